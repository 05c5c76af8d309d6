"""The schema that comes to mind first, for bare loops: ids of random bits in every table, and an index for each way.

Its changes check what ours check: the collection is there, each asset is there and not in the trash, who is in already.
"""

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

SCHEMA = """
CREATE TABLE asset (id TEXT PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL, created_at TEXT NOT NULL,
    deleted_at TEXT);
CREATE TABLE collection (id TEXT PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    asset_count INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE collection_asset (collection_id TEXT NOT NULL, asset_id TEXT NOT NULL,
    PRIMARY KEY (collection_id, asset_id));
"""
INDEXES = """
CREATE INDEX asset_of_project ON asset (project_id, created_at, id);
CREATE INDEX collection_of_project ON collection (project_id, created_at, id);
CREATE INDEX collections_of_asset ON collection_asset (asset_id, collection_id);
"""
NOW = "2026-01-01T00:00:00.000Z"
_WANTED = """
SELECT a.id, m.asset_id IS NOT NULL FROM json_each(?) wanted
CROSS JOIN asset a ON a.id = wanted.value AND +a.project_id = ? AND a.deleted_at IS NULL
LEFT JOIN collection_asset m ON m.collection_id = ? AND m.asset_id = a.id
"""


class Naive:
    """A database of that schema, as durable as ours, with `collections`, `assets` and `memberships` in it."""

    def __init__(self, path: Path, collections: int, assets: int, memberships: int) -> None:
        self._connection = apsw.Connection(str(path))
        self._dice = random.Random(1)
        for name, value in (("journal_mode", "wal"), ("synchronous", "off"), ("cache_size", -32 * 1024)):
            self._connection.pragma(name, value)
        self._project = self._id()
        self._assets = [self._id() for _ in range(assets)]
        self._collections = [self._id() for _ in range(collections)]
        self._connection.execute(SCHEMA)
        with self._connection:
            many = self._connection.executemany
            many(
                "INSERT INTO asset VALUES (?, ?, 'A picture', ?, NULL)",
                ((id, self._project, NOW) for id in self._assets),
            )
            of_project = ((id, self._project, NOW, NOW) for id in self._collections)
            many("INSERT INTO collection VALUES (?, ?, 'A collection', 0, ?, ?)", of_project)
            many("INSERT OR IGNORE INTO collection_asset VALUES (?, ?)", sorted(self._pairs(memberships)))
        self._connection.execute(INDEXES)
        self._connection.wal_checkpoint()
        self._connection.pragma("synchronous", "full")

    def _id(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def _pairs(self, count: int) -> Iterator[tuple[str, str]]:
        for _ in range(count):
            yield self._dice.choice(self._collections), self._dice.choice(self._assets)

    def add(self) -> None:
        """What one request does: 49 random assets to a random collection."""
        collection, assets = self._dice.choice(self._collections), self._dice.sample(self._assets, 49)
        execute = self._connection.execute
        (found,) = execute(
            "SELECT asset_count FROM collection WHERE id = ? AND project_id = ?", (collection, self._project)
        )
        states = execute(_WANTED, (json.dumps(assets), self._project, collection)).fetchall()
        new = [id for id, is_in in states if not is_in]
        many: list[tuple[Any, ...]] = [(collection, id) for id in new]
        self._connection.executemany("INSERT INTO collection_asset VALUES (?, ?)", many)
        count = int(str(found[0])) + len(new)
        execute("UPDATE collection SET asset_count = ?, updated_at = ? WHERE id = ?", (count, NOW, collection))

    def rate(self, seconds: float, batch: int) -> float:
        """Adds a second with a commit for each `batch` of them."""
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            with self._connection:
                for _ in range(batch):
                    self.add()
            done += batch
        return done / (time.perf_counter() - begun)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def library(folder: Path, collections: int, assets: int, memberships: int) -> Iterator[Naive]:
    """Such a database in a new file, for as long as it is needed."""
    with closing(Naive(folder / "naive.db", collections, assets, memberships)) as made:
        yield made
