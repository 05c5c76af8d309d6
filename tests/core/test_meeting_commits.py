"""Verbs that PostgreSQL commits together, and that want what others hold: all come out right, and nobody waits long."""

import base64
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
from conftest import make_assets, make_png, new_actor
from writing import Answers, creation, names

from local.postgres import wait_until
from pinakes import asset_bytes, assets, collections, upkeep, uploads
from pinakes.access import Actor
from pinakes.assets import NewAsset
from pinakes.collections import CollectionPatch
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.tags import TagChange
from pinakes.upload_types import NewUpload

pytestmark = pytest.mark.engine("postgres")

Verbs = list[tuple[Callable[[], Any], tuple[str, ...]]]
"""Verbs, and what each changes."""


@pytest.fixture
def patient(config: Config, open_with: Callable[..., Library]) -> Library:
    return open_with(msgspec.structs.replace(config, busy_timeout_s=30))


def hand_over(library: Library, verbs: Verbs) -> list[str | None]:
    """The code of each verb's error, or None."""
    answers = Answers()
    for at, (verb, subject) in enumerate(verbs):
        library.store.submit(verb, at, answers.done, subject)
    told = sorted(answers.take(len(verbs)), key=lambda answer: int(answer[0]))
    errors = [error for _, _, error in told]
    assert all(error is None or isinstance(error, PinakesError) for error in errors), errors
    return [error.code if isinstance(error, PinakesError) else None for error in errors]


def deadlocks(config: Config) -> int:
    """Those that were noticed, which takes a second; sessions tell of them by then, and when they end."""
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        found = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(found.fetchall()[0][0])


def tagging(library: Library, admin: Actor, dice: random.Random) -> Verbs:
    """Of other assets each, with the same few tags."""

    def tag(asset: str, name: str) -> Callable[[], Any]:
        return lambda: assets.update_tags(library, admin, asset, TagChange(add=[name], strict=False))

    return [(tag(asset, f"tag {dice.randrange(5)}"), (asset,)) for asset in make_assets(library, admin, 64)]


def uploading(library: Library, admin: Actor, dice: random.Random) -> Verbs:
    """Into the same few collections, each with one of few parents."""
    stored = asset_bytes.store(library, admin, NewAsset("a.png", base64.b64encode(make_png()).decode()))
    shelves = [creation(library, admin, f"{n}")() for n in range(4)]
    parents = make_assets(library, admin, 4)

    def upload(shelf: str, parent: str) -> Callable[[], Any]:
        new = NewAsset("a.png", "", collection_ids=[shelf], parent_id=parent)
        return lambda: assets.create(library, admin, new, stored)

    return [(upload(dice.choice(shelves), dice.choice(parents)), ()) for _ in range(64)]


def sending(library: Library, admin: Actor, dice: random.Random) -> Verbs:
    """Parts of few uploads, mixed."""
    new = NewUpload(kind="asset", file_name="a.bin", file_size=160.0, parts=16.0)
    begun = [uploads.create(library, admin, new) for _ in range(4)]

    def part(upload: str, number: int) -> Callable[[], Any]:
        writer = library.parts.begin(upload, number)
        writer.write(bytes(10))
        stored = writer.finish()
        return lambda: uploads.add_part(library, admin.project_id, upload, stored)

    verbs: Verbs = [(part(one.id, number), (one.id,)) for one in begun for number in range(1, 17)]
    dice.shuffle(verbs)
    return verbs


@pytest.mark.parametrize("make", [tagging, uploading, sending])
def test_batches_that_want_the_same_rows_come_to_no_deadlock(
    patient: Library, config: Config, make: Callable[[Library, Actor, random.Random], Verbs]
) -> None:
    admin = new_actor(patient)
    verbs = make(patient, admin, random.Random(7))
    assert hand_over(patient, verbs) == [None] * 64
    assert upkeep.check(patient, is_quick=True) == []
    patient.close()
    assert deadlocks(config) == 0


def test_a_row_that_somebody_else_holds_is_waited_for_by_those_who_want_it(
    config: Config, open_with: Callable[..., Library]
) -> None:
    """For as long as one waits for a lock, and not for each other; the others are done at once."""
    library = open_with(msgspec.structs.replace(config, busy_timeout_s=5))
    admin, other = new_actor(library), new_actor(library)
    shelf = creation(library, admin)()
    told: dict[str, float] = {}

    def note(name: str) -> Callable[[Any], None]:
        return lambda _: told.update({name: time.monotonic()})

    with psycopg.connect(config.database_url) as holder:
        holder.execute("SELECT 1 FROM collection FOR UPDATE")
        begun = time.monotonic()
        for n in range(10):
            update = lambda: collections.update(library, admin, shelf, CollectionPatch(name="x"))  # noqa: E731
            library.store.submit(update, n, note(f"update {n}"), (shelf,))
            library.store.submit(creation(library, other), n, note(f"create {n}"))
        while len(told) < 20:
            assert time.monotonic() - begun < 60
            time.sleep(0.01)
    waited = {name: at - begun for name, at in told.items()}
    updates = [seconds for name, seconds in waited.items() if name.startswith("update")]
    creates = [seconds for name, seconds in waited.items() if name.startswith("create")]
    assert min(updates) > 4.5
    assert max(creates) < min(updates)
    assert len(names(library, other)) == 10
    assert names(library, admin) == ["Shelf"]


def test_who_is_patient_gets_the_row_in_the_end(patient: Library, config: Config) -> None:
    admin = new_actor(patient)
    shelf = creation(patient, admin)()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(config.database_url) as holder:
        holder.execute("SELECT 1 FROM collection FOR UPDATE")
        update = lambda: collections.update(patient, admin, shelf, CollectionPatch(name="x"))  # noqa: E731
        updating = pool.submit(hand_over, patient, [(update, (shelf,)), (creation(patient, admin, "y"), ())])
        wait_until(lambda: names(patient, admin) == ["y", "Shelf"], "what wants another row to be done")
        holder.rollback()
        assert updating.result(20) == [None, None]
    assert sorted(names(patient, admin)) == ["x", "y"]


def test_batches_of_two_processes_that_want_the_same_collections_count_right(
    library: Library, admin: Actor, config: Config, open_with: Callable[..., Library]
) -> None:
    """Adds, removals, renames and the trash in everybody's way, handed over in any order."""
    made = make_assets(library, admin, 40)
    shelves = [creation(library, admin, f"{n}")() for n in range(5)]
    crew = [open_with(msgspec.structs.replace(config, database_connections=8, busy_timeout_s=30)) for _ in range(2)]
    answers = Answers()

    def verbs(one: Library, shelf: str, some: list[str]) -> list[Callable[[], Any]]:
        return [
            lambda: collections.add(one, admin, shelf, "asset", some),
            lambda: collections.remove(one, admin, shelf, "asset", some[::2]),
            lambda: collections.update(one, admin, shelf, CollectionPatch(name="new")),
            lambda: assets.delete(one, admin, some[:3]),
            lambda: assets.restore(one, admin, some[:3]),
        ]

    def work(number: int) -> None:
        one = crew[number % 2]
        for turn in range(12):
            shelf = shelves[(number * 7 + turn * 3) % 5]
            some = made[(number + turn) % 4 :: 4]
            for verb in verbs(one, shelf, some):
                one.store.submit(verb, 0, answers.done, (shelf,))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    errors = [error for _, _, error in answers.take(4 * 12 * 5)]
    assert {error.code if isinstance(error, PinakesError) else error for error in errors} <= {None, "NOT_FOUND"}
    assert upkeep.check(library, is_quick=True) == []
    for one in crew:
        one.close()
    assert deadlocks(config) == 0
