"""Make an empty database with a project, a key and asset rows, and print the key: python -m idiomatic.seed ASSETS."""

import asyncio
import hashlib
import json
import secrets
import sys
from datetime import timedelta
from io import BytesIO
from typing import Any

from idiomatic import search  # noqa: F401 - it makes a part of the tables
from idiomatic.access import hash_secret
from idiomatic.database import engine, new_session
from idiomatic.links import file_of
from idiomatic.models import ApiKey, Asset, Base, Project, now
from PIL import Image


async def make_key() -> dict[str, Any]:
    """A project in an empty database, and an admin's key to it."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    secret = secrets.token_urlsafe(32)
    async with new_session() as session:
        project = Project(name="default")
        session.add(project)
        await session.flush()
        key = ApiKey(project_id=project.id, secret_hash=hash_secret(secret), role="admin")
        session.add(key)
        await session.commit()
    return {"apiKey": key.id, "apiSecret": secret, "projectId": project.id}


def store_picture() -> dict[str, Any]:
    """One small picture with its thumbnail, and what the rows of all assets say of it."""
    picture, side = BytesIO(), 64
    image = Image.new("RGB", (side, side), "grey")
    image.save(picture, "PNG")
    sha256 = hashlib.sha256(picture.getvalue()).hexdigest()
    file_of(sha256, "original").write_bytes(picture.getvalue())
    image.thumbnail((512, 512))
    image.save(file_of(sha256, "thumbnail"), "WEBP")
    size = len(picture.getvalue())
    what = {"kind": "image", "type": "uploaded", "mime_type": "image/png", "format": "png"}
    return what | {"sha256": sha256, "size": size, "width": side, "height": side}


async def seed(count: int) -> dict[str, Any]:
    """The first asset is the picture, the others are copies of it, a millisecond apart."""
    key, picture, start = await make_key(), store_picture(), now() - timedelta(milliseconds=count)
    assets = []
    for n in range(count):
        at = start + timedelta(milliseconds=n)
        times = {"created_at": at, "updated_at": at, "copied_at": at if n else None}
        assets.append(Asset(project_id=key["projectId"], author_id=key["apiKey"], name="Asset", **picture, **times))
    async with new_session() as session:
        session.add_all(assets)
        await session.commit()
    await engine.dispose()
    return key | {"assetIds": [asset.id for asset in assets]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(seed(int(sys.argv[1])))))
