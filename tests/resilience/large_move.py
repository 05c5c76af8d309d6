"""A large library moved between engines by a command that is killed twice: while rows are copied, and while files are.

`python tests/resilience/large_move.py --assets 100000` does it with as many as are asked for, from SQLite to PostgreSQL
and back, and tells figures.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from conftest import new_actor
from listings import everything

from local.postgres import temporary_server
from pinakes import assets, collections, mlmodels, upkeep
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes, Generation, Ingredient
from pinakes.assets import NewAsset
from pinakes.blob_urls import folder_of, open_blobs
from pinakes.blobs import blob_key, thumbnail_key
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library, open_store
from pinakes.mlmodels import NewModel
from pinakes.tags import TagChange
from pinakes.transfer.rows import measure

_BATCH = 500
_WORDS = ["moss", "stone", "glow", "fox", "river", "lamp", "cloud", "ember", "tower", "night"]


class Figures(NamedTuple):
    """What was measured of one direction: the two runs that were killed, the one that ended, and one with --switch."""

    rows: int
    files: int
    bytes: int
    killed_s: list[float]
    last_s: float
    held_s: float
    again_s: float
    again_held_s: float


def fill(library: Library, count: int) -> None:
    """Assets with bytes of their own in two projects, tagged, in collections, made with models. Nothing is synced."""
    dice = random.Random(count)
    folder = folder_of(library.config.blobs_url)
    assert folder is not None
    for actor in (new_actor(library), new_actor(library)):
        shelves = [collections.create(library, actor, NewCollection(f"Shelf {n}")).id for n in range(20)]
        for word in _WORDS:
            mlmodels.create(library, actor, NewModel(name=word))
        for start in range(0, count // 2, _BATCH):
            with library.store.write():
                for number in range(start, min(start + _BATCH, count // 2)):
                    words = " ".join(dice.choices(_WORDS, k=8))
                    new = NewAsset(f"{words} {number}.png", "", collection_ids=dice.sample(shelves, 3))
                    id = assets.create(library, actor, new, _stored(folder, dice, words)).id
                    assets.update_tags(library, actor, id, TagChange(add=dice.sample(_WORDS, 2)))


def _stored(folder: Path, dice: random.Random, words: str) -> Bytes:
    data = dice.randbytes(2000)
    hash = sha256(data).hexdigest()
    has_thumbnail = dice.random() < 0.1
    keys = [blob_key(hash), *([thumbnail_key(hash, size) for size in THUMBNAIL_SIZES] if has_thumbnail else [])]
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    made = Generation(generator="A1111", prompt=words, ingredients=[Ingredient("lora", words.split()[0], weight=0.5)])
    look = dice.getrandbits(64) - (1 << 63)
    facts: dict[str, Any] = {"has_thumbnail": has_thumbnail, "generation": made, "look": look}
    return Bytes(hash, len(data), "image", "image/png", "png", 2, 2, 1, **facts)


def move_through_two_kills(here: Config, there: Config) -> Figures:
    """Move a library with a command that is killed twice on the way; assert that both are the same in the end."""
    with closing(open_store(here)) as store, store.read() as tx:
        total = sum(tx.rows.count(table.name) for table in tx.rows.tables())
    killed = [
        _kill_when(here, there, lambda: _rows_in(there) > total // 2),
        _kill_when(here, there, lambda: _files_in(there) > _files_in(here) // 2),
    ]
    first = _run(here, there)
    again = _run(here, there, "--switch")
    assert first["written"] < total
    held = 1  # the setting that keeps bytes from being swept, which each run renews
    assert (again["written"], again["files"], again["isSwitched"]) == (held, 0, True), again
    _assert_same(here, there)
    rows, files = sum(table["rows"] for table in first["tables"]), _files_in(there)
    stated = (first["seconds"], first["heldS"], again["seconds"], again["heldS"])
    return Figures(rows, files, first["bytes"], killed, *stated)


def _command(here: Config, there: Config, *options: str) -> list[str]:
    named = {"--data": here.data, "--database-url": here.database_url, "--blob-url": here.blobs_url}
    target = {"--to-database": there.database_url or f"sqlite:///{there.database_path}", "--to-blobs": there.blobs_url}
    given = [text for name, value in (named | target).items() for text in (name, value)]
    return [sys.executable, "-m", "pinakes", "move", *given, "--json", *options]


def _run(here: Config, there: Config, *options: str) -> Any:
    done = subprocess.run(_command(here, there, *options), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def _kill_when(here: Config, there: Config, is_time: Callable[[], bool]) -> float:
    """The seconds after which it was time."""
    begun = time.monotonic()
    process = subprocess.Popen(_command(here, there), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not is_time():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.communicate()
    return time.monotonic() - begun


def _rows_in(there: Config) -> int:
    try:
        with closing(open_store(there)) as store, store.read() as tx:
            return sum(tx.rows.count(table.name) for table in tx.rows.tables())
    except PinakesError:
        return 0  # it is being made


def _files_in(config: Config) -> int:
    return sum(1 for kind in ("blobs", "thumbnails") for _ in open_blobs(config.blobs_url).paths(kind))


def _assert_same(here: Config, there: Config) -> None:
    with _opened(here) as library, _opened(there) as moved:
        ours, theirs = measure(library.store), measure(moved.store)
        assert {name: one for name, one in ours.items() if one != theirs[name] and name != "setting"} == {}
        assert everything(library) == everything(moved)
        for one in (library, moved):
            assert upkeep.check(one) == []


@contextmanager
def _opened(config: Config) -> Iterator[Library]:
    with closing(open_library(config, create=False)) as library:
        yield library


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=100_000)
    count = parser.parse_args().assets
    with tempfile.TemporaryDirectory() as folder, temporary_server() as server:
        here = Config(data=f"{folder}/here")
        there = Config(data=f"{folder}/there", database_url=server.create_database("there"))
        back = Config(data=f"{folder}/back")
        begun = time.monotonic()
        with closing(open_library(here)) as library:
            fill(library, count)
        print(f"made {count} assets in {time.monotonic() - begun:.0f} s", flush=True)
        for name, source, target in (("SQLite to PostgreSQL", here, there), ("PostgreSQL to SQLite", there, back)):
            print(f"{name}: {move_through_two_kills(source, target)}", flush=True)


if __name__ == "__main__":
    main()
