"""A large library for searches, written straight into the database: rows alone, no files.

Words follow Zipf's law, as in prompts: the commonest stand in most of them, half of all words in very few.
"""

import json
import math
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import apsw

from pinakes import ids
from pinakes.store import fulltext

OWNER = 1
WORDS, TAGS, COLLECTIONS, MODELS = 40_000, 2_000, 1_000, 50
PROMPT_WORDS = 22
SIZES = ((1024, 1024), (832, 1216), (1216, 832), (512, 512), (768, 1344), (1536, 1024), (2048, 2048), (4096, 4096))
SIZE_WEIGHTS = (40, 15, 15, 10, 9, 8, 2.7, 0.3)
KINDS = (("image", "uploaded"), ("video", "uploaded-video"), ("audio", "uploaded-audio"), ("3d", "uploaded-3d"))
KIND_WEIGHTS = (94, 4, 1.9, 0.1)
ALIKE = 20
"""Pictures in a row that look alike."""

_BATCH = 10_000
_START_MS, _STEP_MS = 1_735_689_600_000, 30_000


def word(rank: int) -> str:
    """The word of a rank, from 0, the commonest: two or three syllables that no other rank has."""
    digits, text = rank * 7919 + 13, ""
    for _ in range(2 + rank % 2):
        digits, consonant = divmod(digits, 18)
        digits, vowel = divmod(digits, 5)
        text += "bcdfghjklmnprstvwz"[consonant] + "aeiou"[vowel]
    return f"{text}{rank:x}"


class Zipf:
    """Picks ranks, each in proportion to 1 over it."""

    def __init__(self, dice: random.Random, count: int) -> None:
        self._dice, self._ranks = dice, range(count)
        self._weights = list(accumulate(1 / (rank + 1) for rank in self._ranks))

    def pick(self, count: int) -> list[int]:
        return self._dice.choices(self._ranks, cum_weights=self._weights, k=count)


def fill(database: Path, count: int) -> None:
    """Add `count` assets to the first project of a new library."""
    connection = apsw.Connection(str(database))
    for name, value in (("journal_mode", "off"), ("synchronous", "off"), ("cache_size", -1_000_000)):
        connection.pragma(name, value)
    with connection:
        _shelves(connection)
        dice = random.Random(1)
        words, tags, shelves = Zipf(dice, WORDS), Zipf(dice, TAGS), Zipf(dice, COLLECTIONS)
        for first in range(1, count + 1, _BATCH):
            numbers = range(first, min(first + _BATCH, count + 1))
            _write(connection, [_asset(dice, words, tags, shelves, number) for number in numbers])
        connection.execute(
            "INSERT INTO tag SELECT owner, name, count(*), '', '' FROM asset_tag GROUP BY owner, name;"
            "UPDATE collection SET asset_count = (SELECT count(*) FROM collection_asset m WHERE m.collection = number)"
        )
    connection.pragma("journal_mode", "wal")
    connection.close()


def _shelves(connection: apsw.Connection) -> None:
    now = ids.iso(_START_MS)
    connection.executemany(
        "INSERT INTO collection (number, owner, id, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
        ((number + 1, OWNER, f"col_{number}", f"Shelf {number}", now, now) for number in range(COLLECTIONS)),
    )
    connection.executemany(
        "INSERT INTO model (number, owner, id, name, type, status, author_id, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, 'custom', 'trained', 'key', ?, ?)",
        ((number + 1, OWNER, f"model_{number}", f"Model {number}", now, now) for number in range(MODELS)),
    )


def _asset(dice: random.Random, words: Zipf, tags: Zipf, shelves: Zipf, number: int) -> dict[str, Any]:
    prompt = [word(rank) for rank in words.pick(PROMPT_WORDS)]
    kind, type = dice.choices(KINDS, KIND_WEIGHTS)[0]
    width, height = dice.choices(SIZES, SIZE_WEIGHTS)[0] if kind in ("image", "video") else (None, None)
    first = random.Random((number - 1) // ALIKE).getrandbits(64)
    look = first ^ sum(1 << bit for bit in dice.sample(range(64), dice.randrange(4)))
    return {
        "number": number,
        "id": ids.new("asset"),
        "name": f"{'_'.join(prompt[:3])}.png" if number % 2 else f"ComfyUI_{number:05}_.png",
        "kind": kind,
        "type": type,
        "size": int(math.exp(dice.gauss(14, 1))),
        "width": width,
        "height": height,
        "model": dice.randrange(MODELS) + 1,
        "generation": json.dumps({"generator": "ComfyUI", "prompt": " ".join(prompt)}),
        "look": look - (1 << 64) if look >> 63 else look,
        "at": ids.iso(_START_MS + number * _STEP_MS),
        "prompt": " ".join(prompt),
        "tags": list({f"tag {rank}" for rank in tags.pick(3)}),
        "shelf": shelves.pick(1)[0] + 1,
    }


def _write(connection: apsw.Connection, rows: list[dict[str, Any]]) -> None:
    connection.executemany(
        "INSERT INTO asset (number, owner, id, name, kind, type, mime_type, sha256, size, width, height, author_id,"
        " model_id, created_at, updated_at, has_thumbnail, generation, look) VALUES (:number, 1, :id, :name, :kind,"
        " :type, 'image/png', 'none', :size, :width, :height, 'key', 'model_' || :model, :at, :at, 1, :generation,"
        " :look)",
        rows,
    )
    for sql in (
        "INSERT INTO collection_asset VALUES (1, :shelf, :number)",
        "INSERT INTO asset_ingredient (owner, model, asset, role) VALUES (1, :model, :number, 'said')",
    ):
        connection.executemany(sql, rows)
    connection.executemany(
        "INSERT INTO asset_tag VALUES (1, ?, ?)", ((row["number"], tag) for row in rows for tag in row["tags"])
    )
    texts = ([[row["name"]], row["tags"], [row["prompt"]], []] for row in rows)
    terms = (fulltext.terms(OWNER, json.dumps(text)) for text in texts)
    connection.executemany(
        "INSERT INTO asset_text (rowid, terms) VALUES (?, ?)", zip((row["number"] for row in rows), terms, strict=True)
    )
    connection.executemany("INSERT INTO asset_look VALUES (1, ?, ?, ?)", _bands(rows))


def _bands(rows: list[dict[str, Any]]) -> Iterator[tuple[int, int, int]]:
    for row in rows:
        for at in range(4):
            yield at << 16 | row["look"] >> 16 * at & 65535, row["number"], row["look"]
