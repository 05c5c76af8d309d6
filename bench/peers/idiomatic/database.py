"""The engine and its sessions, on SQLite or PostgreSQL. Every commit is on disk before it is answered."""

import os
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

url = make_url(os.environ["DATABASE_URL"])
is_postgres = url.get_backend_name() == "postgresql"
insert = postgresql.insert if is_postgres else sqlite.insert

# Few connections to SQLite, which has one writer: as many requests a second as with the default of up to 15, but the
# slowest writes wait a fraction as long for its lock. Whoever finds none free waits, however many they are.
pool = {"pool_size": 15 if is_postgres else 3, "max_overflow": 0, "pool_timeout": 60}
# The driver prepares statements: PostgreSQL would soon plan a list of a large collection as one of an average one.
settings = {"server_settings": {"plan_cache_mode": "force_custom_plan"}} if is_postgres else {}
engine = create_async_engine(url, **pool, connect_args=settings)
new_session = async_sessionmaker(engine, expire_on_commit=False)


def set_pragmas(connection: Any, _record: Any) -> None:
    """SQLite in WAL mode. PostgreSQL is as its server is set: `synchronous_commit` is on by default."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


if not is_postgres:
    event.listen(engine.sync_engine, "connect", set_pragmas)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session
