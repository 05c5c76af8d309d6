"""python -m bench.large: makes a library of a million assets, a million collections and five million memberships.

Into a new folder, on SQLite, or into an empty PostgreSQL database with --database-url. Prints how long it took, and
what each table and index takes on disk.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import closing

from rich.console import Console
from rich.table import Table

from bench import large_store, prepare
from bench.large_rows import Library as Rows
from bench.large_rows import Sizes, Stored
from bench.large_store import Part
from bench.large_verbs import largest_collection, look_around
from bench.prepare import png
from bench.search_library import word
from bench.services import Service
from pinakes import access, assets, collections, projects
from pinakes.access import NewApiKey
from pinakes.asset_types import THUMBNAIL_SIZES
from pinakes.config import Config
from pinakes.library import Library, open_library
from pinakes.store.dialect import FTS5, TSVECTOR

SAY = Console(stderr=True, style="dim", highlight=False)
PROJECTS, BLOBS = 5, 200


def fill(
    config: Config, sizes: Sizes, projects_count: int = PROJECTS, progress: Callable[[str], None] = lambda _: None
) -> dict[str, str]:
    """Make the library, which must be new; an admin's key of the project that holds nearly all."""
    library = open_library(config)
    try:
        ids = [projects.create_first(library, f"Project {number}") for number in range(projects_count)]
        key = projects.create_first_key(library, ids[0], NewApiKey("Large", "admin"))
        numbers = {project.id: project.number for project in projects.get_all(library)}
        stored = _store(library)
    finally:
        library.close()
    rows = Rows(sizes, [numbers[id] for id in ids], stored, TSVECTOR if config.is_postgres else FTS5)
    large_store.write(config, rows.batches(), progress)
    return {"apiKey": key.id, "apiSecret": key.secret, "projectId": ids[0]}


def make(config: Config) -> dict[str, str]:
    """A library of the usual size for the benchmark of a server; its admin's key."""
    return fill(config, Sizes(1_000_000, 1_000_000, 5_000_000, 5_000), progress=lambda _: None)


def look(service: Service) -> None:
    """Write what `wrk.lua` picks from out of a running large library: things of all ages."""
    with closing(open_library(service.config, create=False)) as library:
        secret = access.hash_secret(service.key["apiSecret"])
        actor = access.authenticate(library, service.key["apiKey"], secret, None)
        world = look_around(library, actor, pages=2_000)
        shared = world.assets[: prepare.SHARED]
        for id in world.collections[: prepare.SHARED_BY]:
            for at in range(0, len(shared), 49):
                collections.add(library, actor, id, "asset", shared[at : at + 49])
        some = (world.assets[at : at + 200] for at in range(0, len(world.assets) // 5, 200))
        shelves = {id for ids in some for asset in assets.get_bulk(library, actor, ids) for id in asset.collection_ids}
        words = [word(rank) for rank in range(20, 30)]
        biggest = largest_collection(world)
    known = {"collections": sorted(shelves), "assets": world.assets[len(shared) :], "shared": shared, "words": words}
    with service.client() as client:
        known |= prepare.pages(client, biggest)
        known["thumbnails"] = [prepare.thumbnail(client, id) for id in known["assets"][:20]]  # never in the trash
    prepare.write(service, known)


def _store(library: Library) -> list[Stored]:
    """A few files of different sizes: what a million assets refer to, for rows are what is measured."""
    found = []
    for number in range(BLOBS):
        data = png(8) + bytes([number]) * (1 << 4 + number % 12)
        sha256 = library.blobs.put(data)
        library.blobs.put_pictures(sha256, dict.fromkeys(THUMBNAIL_SIZES, b"webp"), None)
        found.append(Stored(sha256, len(data)))
    return found


def main() -> None:
    options = _options()
    config = Config(data=options.data, database_url=options.database_url)
    models = options.models or max(1000, options.assets // 200)
    sizes = Sizes(options.assets, options.collections, options.memberships, models)
    if not options.sizes_only:
        started = time.monotonic()
        key = fill(config, sizes, progress=lambda what: SAY.print(f"{time.monotonic() - started:7.1f} s  {what}"))
        SAY.print(f"made in {time.monotonic() - started:.0f} s")
        print(json.dumps(key))
    _print(large_store.parts(config))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--data", required=True, help="the folder of the library's data, which is made")
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL database; else SQLite")
    parser.add_argument("--assets", type=int, default=1_000_000, help="1,000,000")
    parser.add_argument("--collections", type=int, default=1_000_000, help="1,000,000")
    parser.add_argument("--memberships", type=int, default=5_000_000, help="5,000,000")
    parser.add_argument("--models", type=int, default=0, help="one for 200 assets")
    parser.add_argument("--sizes-only", action="store_true", help="only print what a library that is there takes")
    return parser.parse_args()


def _print(parts: list[Part]) -> None:
    table = Table("Table or index", "Rows", "MB", "Bytes a row")
    for name in sorted({part.table for part in parts}):
        of = [part for part in parts if part.table == name]
        total = sum(part.bytes for part in of)
        table.add_row(name, f"{of[0].rows:,}", f"{total / 1e6:,.1f}", f"{total / max(1, of[0].rows):.0f}")
        for part in sorted(of, key=lambda part: part.bytes, reverse=True) if len(of) > 1 else []:
            table.add_row(f"  {part.name}", "", f"{part.bytes / 1e6:,.1f}", f"{part.bytes / max(1, part.rows):.0f}")
    table.add_row("all", "", f"{sum(part.bytes for part in parts) / 1e6:,.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
