"""The engine and its sessions. SQLite in WAL mode, every commit on disk before it is answered."""

import os
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

# Few connections, since SQLite has one writer: as many requests a second as with the default of up to 15, but the
# slowest writes wait a fraction as long for its lock.
engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=3, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session
