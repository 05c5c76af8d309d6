"""The board storage of InvokeAI, in process, one call after another; prints what came out as JSON.

    python boards.py FOLDER SECONDS OPERATION...

All that is timed is code of InvokeAI, called as its routes call it for its one user, an admin. What they check before,
and the JSON they make after, is left out.

* `list`: `boards.get_many` of the newest 100, with the counts and covers, which it finds out as it lists.
* `add`: `board_images.add_image_to_board` of 49 images that are on no board, which commits for each. An image is on one
  board at most, so that this moves it there: the nearest to adding an asset to a collection.
* `remove`: `board_images.remove_image_from_board` of the same 49.
* `first`, `last`: `gallery.list_items` of 100 of 10,000 images, by offset.

The database is made in the folder the first time: 1,000 boards, then one more with 10,000 images, and 10,000 images on
no board. So the large one is among the newest 100, as everybody's is. `list` counts its images each time, as many as if
each of the 100 had 100; that is nine tenths of its CPU time.

It is durable as InvokeAI sets it up: WAL, and `synchronous=FULL`, which is SQLite's default and is set here in case it
is not.

InvokeAI is installed without PyTorch, which five of its migrations and its class for records of images import. Those
migrations are left out: they change the table of models, which is empty. The rows of images are written here.
"""

import importlib
import inspect
import json
import logging
import pkgutil
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from invokeai.app.services.board_image_records.board_image_records_sqlite import SqliteBoardImageRecordStorage
from invokeai.app.services.board_images.board_images_default import BoardImagesService
from invokeai.app.services.board_records.board_records_common import BoardRecordOrderBy
from invokeai.app.services.board_records.board_records_sqlite import SqliteBoardRecordStorage
from invokeai.app.services.boards.boards_default import BoardService
from invokeai.app.services.config.config_default import InvokeAIAppConfig
from invokeai.app.services.gallery.gallery_default import SqliteGalleryService
from invokeai.app.services.image_files.image_files_disk import DiskImageFileStorage
from invokeai.app.services.invoker import Invoker
from invokeai.app.services.shared.sqlite.sqlite_common import SQLiteDirection
from invokeai.app.services.shared.sqlite.sqlite_database import SqliteDatabase
from invokeai.app.services.shared.sqlite_migrator import migrations
from invokeai.app.services.shared.sqlite_migrator.migration_loader import MigrationBuildContext
from invokeai.app.services.shared.sqlite_migrator.sqlite_migrator_common import Migration
from invokeai.app.services.urls.urls_default import LocalUrlService
from invokeai.app.services.users.users_default import UserService

BOARDS, LARGE, LOOSE = 1_000, 10_000, 10_000
BATCH, PAGE = 49, 100
USER = "system"
LOG = logging.getLogger("boards")
NEED_TORCH = {f"migration_{number}" for number in (19, 23, 24, 25, 26)}
IMAGE = """
INSERT INTO images (image_name, image_origin, image_category, width, height, is_intermediate, starred, has_workflow,
    user_id, image_subfolder)
VALUES (?, 'internal', 'general', 1024, 1024, FALSE, FALSE, FALSE, ?, '')
"""

Call = Callable[[str, list[str]], None]
"""It is given a board, and images that are on none."""


def main() -> None:
    folder, seconds, wanted = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    kept = folder / "boards.json"
    is_new = not kept.exists()
    db = SqliteDatabase(folder / "invokeai.db", LOG)
    services = start(db)
    if is_new:
        set_synchronous(db, "OFF")
        migrate(db, folder)
        kept.write_text(json.dumps(fill(db, services)))
    set_synchronous(db, "FULL")
    known = json.loads(kept.read_text())
    calls = prepare(services, known["large"])
    measured = {}
    # In turn, so that the images are on no board again.
    for together in (["list"], ["first"], ["last"], ["add", "remove"]):
        if not set(together).isdisjoint(wanted):
            measured |= measure({name: calls[name] for name in together}, known, seconds)
    print(json.dumps({name: measured[name] for name in wanted}))


def start(db: SqliteDatabase) -> SimpleNamespace:
    """The services that boards are made of, as InvokeAI puts them together."""
    services = SimpleNamespace(
        board_image_records=SqliteBoardImageRecordStorage(db),
        board_images=BoardImagesService(),
        board_records=SqliteBoardRecordStorage(db),
        boards=BoardService(),
        gallery=SqliteGalleryService(db),
        urls=LocalUrlService(),
        users=UserService(db),
    )
    Invoker(services)
    return services


def set_synchronous(db: SqliteDatabase, value: str) -> None:
    with db.transaction() as cursor:
        cursor.execute(f"PRAGMA synchronous = {value}")


def migrate(db: SqliteDatabase, folder: Path) -> None:
    """Make the tables. InvokeAI's migrator would want all migrations."""
    context = MigrationBuildContext(InvokeAIAppConfig(), LOG, DiskImageFileStorage(folder / "images"))
    names = [found.name for found in pkgutil.iter_modules(migrations.__path__) if found.name not in NEED_TORCH]
    for migration in sorted((build(name, context) for name in names), key=lambda one: one.sort_key):
        with db.transaction() as cursor:
            migration.callback(cursor)


def build(name: str, context: MigrationBuildContext) -> Migration:
    """The migration of a module."""
    module = importlib.import_module(f"{migrations.__name__}.{name}")
    builder = getattr(module, f"build_{name}", None) or module.build_migration
    return builder(**{needed: context.get_dependency(needed) for needed in inspect.signature(builder).parameters})


def fill(db: SqliteDatabase, services: SimpleNamespace) -> dict[str, object]:
    """What there is after: the boards, the large one, and the images on no board."""
    names = [f"image-{number:05}.png" for number in range(LARGE + LOOSE)]
    with db.transaction() as cursor:
        cursor.executemany(IMAGE, [(name, USER) for name in names])
    boards = [services.boards.create(f"Board {number}", USER).board_id for number in range(BOARDS)]
    large = services.boards.create("Large", USER).board_id
    for name in names[:LARGE]:
        services.board_images.add_image_to_board(large, name)
    return {"boards": boards, "large": large, "images": names[LARGE:]}


def prepare(services: SimpleNamespace, large: str) -> dict[str, Call]:
    """The operations by name. One that did less than it should ends the program."""

    def list_boards(_board: str, _images: list[str]) -> None:
        order = (BoardRecordOrderBy.CreatedAt, SQLiteDirection.Descending)
        page = services.boards.get_many(USER, True, *order, 0, PAGE)
        assert len(page.items) == PAGE

    def add(board: str, images: list[str]) -> None:
        for name in images:
            services.board_images.add_image_to_board(board, name)

    def remove(board: str, images: list[str]) -> None:
        removed = sum(services.board_images.remove_image_from_board(name, board) for name in images)
        assert removed == BATCH

    def page_at(offset: int) -> Call:
        def show(_board: str, _images: list[str]) -> None:
            page = services.gallery.list_items(offset, PAGE, board_id=large, user_id=USER, is_admin=True)
            assert (len(page.items), page.total) == (PAGE, LARGE)

        return show

    return {"list": list_boards, "add": add, "remove": remove, "first": page_at(0), "last": page_at(LARGE - PAGE)}


def measure(calls: dict[str, Call], known: dict[str, list[str]], seconds: float) -> dict[str, tuple[float, float]]:
    """Of calls in turn, each timed by itself: how many a second, and the CPU microseconds of one."""
    wall, cpu, turns = dict.fromkeys(calls, 0.0), dict.fromkeys(calls, 0.0), 0
    while sum(wall.values()) < seconds * len(calls):
        board, images = random.choice(known["boards"]), random.sample(known["images"], BATCH)
        for name, call in calls.items():
            began, cpu_before = time.perf_counter(), time.process_time()
            call(board, images)
            wall[name] += time.perf_counter() - began
            cpu[name] += time.process_time() - cpu_before
        turns += 1
    return {name: (turns / wall[name], cpu[name] * 1e6 / turns) for name in calls}


if __name__ == "__main__":
    main()
