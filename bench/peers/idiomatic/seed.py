"""Make an empty database with a project, a key and asset rows, and print the key: python -m idiomatic.seed ASSETS."""

import asyncio
import json
import secrets
import sys

from idiomatic.access import hash_secret
from idiomatic.database import engine, new_session
from idiomatic.models import ApiKey, Asset, Base, Project


async def seed(assets: int) -> dict[str, object]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    secret = secrets.token_urlsafe(32)
    async with new_session() as session:
        project = Project(name="default")
        session.add(project)
        await session.flush()
        key = ApiKey(project_id=project.id, secret_hash=hash_secret(secret), role="admin")
        rows = [
            Asset(project_id=project.id, name=f"Asset {n}", mime_type="image/png", size=1000 + n) for n in range(assets)
        ]
        session.add_all([key, *rows])
        await session.commit()
    await engine.dispose()
    return {
        "apiKey": key.id,
        "apiSecret": secret,
        "projectId": project.id,
        "assetIds": [asset.id for asset in rows],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(seed(int(sys.argv[1])))))
