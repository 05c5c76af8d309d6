"""Make a large database in plain SQL, and print a key and a sample of what there is: python -m idiomatic.seed_large.

Prompts have 22 words by Zipf's law. Half of the memberships are those of collections at random, the others those of a
few, of which the largest has at least 100,000. Indexes are made at the end.
"""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID

import asyncpg
from idiomatic.database import engine, is_postgres, url
from idiomatic.models import Asset, Base, Collection, CollectionAsset, now
from idiomatic.search import GIN
from idiomatic.seed import make_key, store_picture
from sqlalchemy import Connection, text

ASSETS, COLLECTIONS, MEMBERSHIPS, LARGEST = 1_000_000, 1_000_000, 5_000_000, 100_000
SHARED, SHARED_BY = 64, 100
WORDS, PROMPT_WORDS, COMMON = 40_000, 22, range(20, 30)
SIZES = ((1024, 1024), (832, 1216), (1216, 832), (512, 512))

dice = random.Random(1)
start, step = now() - timedelta(days=365), timedelta(days=365) / ASSETS


def make_ids(prefix: str, count: int) -> list[str]:
    """As the models make them, in the order in which indexes keep them."""
    return sorted(f"{prefix}_{UUID(int=dice.getrandbits(128), version=4).hex}" for _ in range(count))


def time_of(number: int) -> Any:
    at = start + number * step
    return at if is_postgres else at.isoformat(" ", "microseconds")


def make_assets(key: dict[str, Any], ids: list[str]) -> Iterator[dict[str, Any]]:
    """In the order of time."""
    picture = store_picture() | {"format": None}
    words, weights = [f"word{rank}" for rank in range(WORDS)], list(accumulate(1 / (n + 1) for n in range(WORDS)))
    for number, id in enumerate(dice.sample(ids, len(ids))):
        prompt = dice.choices(words, cum_weights=weights, k=PROMPT_WORDS)
        model, width_and_height, at = dice.randrange(1, 5000), dice.choice(SIZES), time_of(number)
        has_lora = number % 2 == 0
        lora = [{"role": "lora", "name": f"Model {model - 1}", "weight": 0.8}] if has_lora else []
        yield picture | {
            "id": id,
            "project_id": key["projectId"],
            "author_id": key["apiKey"],
            "name": f"{'_'.join(prompt[:3])}.png" if number % 2 else f"ComfyUI_{number:05}_.png",
            "width": width_and_height[0],
            "height": width_and_height[1],
            "tags": json.dumps([f"tag {tag}" for tag in dice.sample(range(2000), 3)]),
            "generator": "ComfyUI",
            "prompt": " ".join(prompt),
            "seed": str(number * 7919),
            "ingredients": json.dumps([{"role": "checkpoint", "name": f"Model {model}"}, *lora]),
            "concepts": json.dumps([{"modelId": f"model_{model - 1}", "scale": 0.8}]) if has_lora else None,
            "model_id": f"model_{model}",
            "created_at": at,
            "updated_at": at,
        }


def make_pairs(shared: list[int]) -> list[int]:
    """Memberships, each `collection * ASSETS + asset`, of places in the lists of ids; the largest collection is 0."""
    random_of = dice.random
    pairs = {collection * ASSETS + asset for collection in range(1, SHARED_BY + 1) for asset in shared}
    pairs.update(dice.sample(range(ASSETS), LARGEST))
    while len(pairs) < MEMBERSHIPS:
        place = random_of() if len(pairs) % 2 else random_of() ** 3
        pairs.add(int(COLLECTIONS * place) * ASSETS + int(ASSETS * random_of()))
    return sorted(pairs)


def make_collections(
    key: dict[str, Any], ids: list[str], assets: list[str], counts: Counter[int]
) -> Iterator[dict[str, Any]]:
    for number, place in enumerate(dice.sample(range(COLLECTIONS), COLLECTIONS)):
        at = time_of(number)
        yield {
            "id": ids[place],
            "project_id": key["projectId"],
            "name": f"Collection {number}",
            "thumbnail_id": dice.choice(assets) if number % 10 == 0 else None,
            "asset_count": counts[place],
            "model_count": 0,
            "created_at": at,
            "updated_at": at,
        }


def make_memberships(pairs: list[int], collections: list[str], assets: list[str]) -> Iterator[dict[str, Any]]:
    at = time_of(ASSETS)
    for pair in pairs:
        yield {"collection_id": collections[pair // ASSETS], "asset_id": assets[pair % ASSETS], "added_at": at}


def insert_all(tables: list[tuple[Any, Iterator[dict[str, Any]]]]) -> None:
    connection = sqlite3.connect(str(url.database), isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    for model, rows in tables:
        names = [column.name for column in model.__table__.columns]
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {model.__tablename__} ({', '.join(names)}) VALUES ({marks})"
        connection.executemany(statement, (tuple(map(row.get, names)) for row in rows))
    connection.execute("COMMIT")
    connection.close()


async def copy_all(tables: list[tuple[Any, Iterator[dict[str, Any]]]]) -> None:
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("SET session_replication_role = replica")  # what is made here refers to what is there
    for model, rows in tables:
        names = [column.name for column in model.__table__.columns]
        records = (tuple(map(row.get, names)) for row in rows)
        await connection.copy_records_to_table(model.__tablename__, records=records, columns=names, timeout=None)
    await connection.close()


def drop_indexes(connection: Connection) -> None:
    if is_postgres:
        connection.execute(text("DROP INDEX ix_assets_search"))
    for table in Base.metadata.sorted_tables:
        for index in table.indexes:
            index.drop(connection)


def make_indexes(connection: Connection) -> None:
    for table in Base.metadata.sorted_tables:
        for index in table.indexes:
            index.create(connection)
    if is_postgres:
        connection.execute(text(GIN))


async def seed() -> dict[str, Any]:
    key = await make_key()
    async with engine.begin() as connection:
        await connection.run_sync(drop_indexes)
    await engine.dispose()
    assets, collections = make_ids("asset", ASSETS), make_ids("collection", COLLECTIONS)
    shared = dice.sample(range(ASSETS), SHARED)
    pairs = make_pairs(shared)
    counts = Counter(pair // ASSETS for pair in pairs)
    tables: list[tuple[Any, Iterator[dict[str, Any]]]] = [
        (Asset, make_assets(key, assets)),
        (Collection, make_collections(key, collections, assets, counts)),
        (CollectionAsset, make_memberships(pairs, collections, assets)),
    ]
    if is_postgres:
        await copy_all(tables)
    else:
        insert_all(tables)
    async with engine.begin() as connection:
        await connection.run_sync(make_indexes)
    if is_postgres:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("VACUUM (ANALYZE)"))
    await engine.dispose()
    return key | {
        "largest": collections[0],
        "collections": dice.sample(collections, 20_000),
        "assets": dice.sample(assets, 100_000),
        "shared": [assets[place] for place in shared],
        "words": [f"word{rank}" for rank in COMMON],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(seed())))
