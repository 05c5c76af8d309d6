"""Verbs that PostgreSQL commits together: each comes out as if it had run by itself, whatever the others do."""

import base64
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from conftest import make_assets, make_png, new_actor
from writing import Answers, Gate, creation, names

from pinakes import asset_bytes, assets, collections, uploads
from pinakes.access import Actor
from pinakes.assets import NewAsset
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.connections import Link
from pinakes.upload_types import NewUpload

pytestmark = pytest.mark.engine("postgres")

Verb = Callable[[], Any]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, all that wait are one batch."""
    monkeypatch.setattr("pinakes.store.group.BATCH_SECONDS", 20.0)


@pytest.fixture
def library(config: Config, open_with: Callable[..., Library]) -> Library:
    """One with a single writer, that takes all that wait."""
    return open_with(msgspec.structs.replace(config, database_connections=3, busy_timeout_s=10))


class Batch:
    """Hands over verbs in such a way that they are taken together, and notes in which transaction each ran."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.ran: list[tuple[int, int]] = []
        """Of each run, in order: the place of its verb among those handed over, and the transaction it ended in."""

    def noting(self, at: int, verb: Verb) -> Verb:
        def run() -> Any:
            try:
                return verb()
            finally:
                self.ran.append((at, self._transaction()))

        return run

    def _transaction(self) -> int:
        try:
            with self.library.store.glance() as tx:
                return int(tx.upkeep._query("SELECT coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0)")[0][0])
        except psycopg.Error:  # it failed, or its connection did
            return -1

    def run(self, *verbs: Verb, subjects: list[tuple[str, ...]] | None = None) -> list[tuple[Any, Any]]:
        """What came of each: its result, and the code or kind of its error."""
        gate, answers = Gate(), Answers()
        self.library.store.submit(gate, -1, answers.done)
        assert gate.entered.wait(20)
        for at, verb in enumerate(verbs):
            subject = subjects[at] if subjects else (f"{at:03}",)
            self.library.store.submit(self.noting(at, verb), at, answers.done, subject)
        gate.opened.set()
        told = sorted(answers.take(len(verbs) + 1), key=lambda answer: answer[0])
        assert answers.queue.empty()
        self.calls = answers.calls - 1
        return [(result, error and _kind(error)) for _, result, error in told[1:]]

    def order(self) -> list[int]:
        return [at for at, _ in self.ran]

    def transactions(self) -> int:
        return len({number for _, number in self.ran if number > 0})


def _kind(error: BaseException) -> Any:
    return error.code if isinstance(error, PinakesError) else type(error)


@pytest.fixture
def batch(library: Library) -> Batch:
    return Batch(library)


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    return collections.create(library, admin, NewCollection("Shelf")).id


def half(library: Library, admin: Actor) -> Verb:
    """A verb that fails when it has changed something."""

    def verb() -> None:
        with library.store.write(admin.owner, beside=True) as tx:
            tx.upkeep.setting("half", "x")
            creation(library, admin, "half")()
            raise PinakesError("BAD_REQUEST", "midway")

    return verb


def test_all_that_wait_share_a_commit(library: Library, admin: Actor, batch: Batch) -> None:
    answers = batch.run(*(creation(library, admin, f"{n}") for n in range(20)))
    assert [error for _, error in answers] == [None] * 20
    assert batch.transactions() == 1
    assert batch.calls == 1
    assert len(batch.ran) == 20
    assert sorted(names(library, admin)) == sorted(f"{n}" for n in range(20))


def test_what_is_not_found_leaves_the_others_together(library: Library, admin: Actor, batch: Batch) -> None:
    missing = [lambda: collections.update(library, admin, "col_no", CollectionPatch(name="x"))] * 2
    answers = batch.run(missing[0], creation(library, admin, "a"), missing[1], creation(library, admin, "b"))
    assert [error for _, error in answers] == ["NOT_FOUND", None, "NOT_FOUND", None]
    assert batch.order() == [0, 1, 2, 3]
    assert batch.transactions() == 1
    assert sorted(names(library, admin)) == ["a", "b"]


def test_what_clients_get_wrong_is_found_before_anything_is_changed(
    library: Library, admin: Actor, batch: Batch
) -> None:
    """A file for a collection that is not there, and a part that is too much for its file."""
    stored = asset_bytes.store(library, admin, NewAsset("a.png", base64.b64encode(make_png()).decode()))
    upload = uploads.create(library, admin, NewUpload(kind="asset", file_name="a", file_size=9.0, parts=1.0))
    writer = library.parts.begin(upload.id, 1)
    writer.write(bytes(10))
    part = writer.finish()
    answers = batch.run(
        creation(library, admin, "a"),
        lambda: assets.create(library, admin, NewAsset("a.png", "", collection_ids=["col_no"]), stored),
        lambda: uploads.add_part(library, admin.project_id, upload.id, part),
        creation(library, admin, "b"),
    )
    assert [error for _, error in answers] == [None, "NOT_FOUND", "BAD_REQUEST", None]
    assert batch.order() == [0, 1, 2, 3]


def test_one_that_fails_midway_leaves_nothing_of_itself_alone(library: Library, admin: Actor, batch: Batch) -> None:
    answers = batch.run(creation(library, admin, "a"), half(library, admin), creation(library, admin, "b"))
    assert [error for _, error in answers] == [None, "BAD_REQUEST", None]
    assert batch.order()[:2] == [0, 1]  # together as far as it failed, then each by itself
    assert sorted(batch.order()[2:]) == [0, 1, 2]
    assert sorted(names(library, admin)) == ["a", "b"]
    with library.store.glance() as tx:
        assert tx.upkeep._query("SELECT 1 FROM setting WHERE name = 'half'") == []


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_part_that_fails_leaves_the_rest_of_its_verb(library: Library, admin: Actor, batch: Batch, at: int) -> None:
    """A verb that catches what happened in its first write, and goes on."""

    def careful() -> str:
        with pytest.raises(PinakesError):
            half(library, admin)()
        with library.store.write(admin.owner, beside=True):
            made = creation(library, admin, "rest")()
            with pytest.raises(PinakesError):
                half(library, admin)()
        return made

    verbs: list[Verb] = [creation(library, admin, "a"), creation(library, admin, "b")]
    verbs.insert(at, careful)
    assert [error for _, error in batch.run(*verbs)] == [None] * 3
    assert sorted(names(library, admin)) == ["a", "b", "rest"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_who_needs_a_project_or_the_library_alone_does_not_keep_it_for_the_others(
    library: Library, admin: Actor, batch: Batch, at: int
) -> None:
    (asset,) = make_assets(library, admin, 1)
    verbs: list[Verb] = [creation(library, admin, "a"), creation(library, admin, "b")]
    verbs.insert(at, lambda: assets.delete(library, admin, [asset]))
    assert [error for _, error in batch.run(*verbs)] == [None] * 3
    assert batch.order() == [0, 1, 2, at]
    assert batch.transactions() == 2
    with pytest.raises(PinakesError, match=asset):
        assets.get(library, admin, asset)


def test_projects_are_committed_together_and_stay_apart(library: Library, admin: Actor, batch: Batch) -> None:
    other = new_actor(library)
    answers = batch.run(*(creation(library, actor, name) for actor in (admin, other) for name in ("a", "b")))
    assert [error for _, error in answers] == [None] * 4
    assert batch.transactions() == 1
    assert sorted(names(library, admin)) == sorted(names(library, other)) == ["a", "b"]


def test_they_change_things_in_the_order_of_what_they_change(library: Library, admin: Actor, batch: Batch) -> None:
    shelves = [creation(library, admin, f"{n}")() for n in range(6)]
    verbs = [
        lambda shelf=shelf: collections.update(library, admin, shelf, CollectionPatch(name="new"))
        for shelf in reversed(shelves)
    ]
    batch.run(*verbs, subjects=[(shelf,) for shelf in reversed(shelves)])
    assert batch.order() == [5, 4, 3, 2, 1, 0]


def test_an_error_that_a_verb_passes_over_is_its_own(library: Library, admin: Actor, batch: Batch) -> None:
    def careless() -> None:
        with library.store.write(admin.owner, beside=True) as tx, pytest.raises(psycopg.errors.UndefinedTable):
            tx.upkeep._query("SELECT 1 FROM nowhere")

    answers = batch.run(creation(library, admin, "a"), careless, creation(library, admin, "b"))
    assert [error for _, error in answers] == [None, psycopg.errors.InFailedSqlTransaction, None]
    assert sorted(names(library, admin)) == ["a", "b"]


def test_bugs_are_told_to_who_met_them(library: Library, admin: Actor, batch: Batch) -> None:
    def broken() -> None:
        raise SystemExit

    answers = batch.run(creation(library, admin, "a"), broken, creation(library, admin, "b"))
    assert [error for _, error in answers] == [None, SystemExit, None]
    assert sorted(names(library, admin)) == ["a", "b"]


def test_a_connection_that_is_lost_before_the_commit_costs_nothing(
    library: Library, admin: Actor, batch: Batch
) -> None:
    once = iter([True])

    def lost() -> str:
        made = creation(library, admin, "lost")()
        if next(once, False):
            with library.store.glance() as tx, psycopg.connect(library.config.database_url, autocommit=True) as other:
                (pid,) = tx.upkeep._query("SELECT pg_backend_pid()")[0]
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return made

    answers = batch.run(creation(library, admin, "a"), lost, creation(library, admin, "b"))
    assert [error for _, error in answers] == [None, None, None]
    assert sorted(names(library, admin)) == ["a", "b", "lost"]


def test_when_the_answer_of_a_commit_is_lost_all_hear_so_and_none_runs_again(
    library: Library, admin: Actor, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be stored, and here they are."""
    commit = Link.commit

    def lose(link: Link) -> None:
        commit(link)
        if len(batch.ran) == 3:
            link.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(Link, "commit", lose)
    answers = batch.run(*(creation(library, admin, name) for name in "abc"))
    assert [error for _, error in answers] == ["UNAVAILABLE"] * 3
    assert batch.order() == [0, 1, 2]
    assert sorted(names(library, admin)) == ["a", "b", "c"]


def test_when_a_commit_is_refused_because_others_were_met_each_runs_by_itself(
    library: Library, admin: Actor, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a database has SERIALIZABLE for its default."""
    commit = Link.commit

    def refuse(link: Link) -> None:
        if len(batch.ran) == 3:
            link.command("ROLLBACK")
            raise psycopg.errors.SerializationFailure("could not serialize access")
        commit(link)

    monkeypatch.setattr(Link, "commit", refuse)
    answers = batch.run(*(creation(library, admin, name) for name in "abc"))
    assert [error for _, error in answers] == [None, None, None]
    assert sorted(names(library, admin)) == ["a", "b", "c"]


def test_when_the_database_is_away_all_hear_so(
    library: Library, admin: Actor, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = library.store._connections  # type: ignore[attr-defined]
    take, takes = connections.take, iter(range(9))

    def be_away_after_the_gate() -> Link:
        if next(takes):
            raise psycopg.OperationalError("refused")
        return take()  # type: ignore[no-any-return]

    monkeypatch.setattr(connections, "take", be_away_after_the_gate)
    answers = batch.run(*(creation(library, admin) for _ in range(3)))
    assert [error for _, error in answers] == ["UNAVAILABLE"] * 3
    assert batch.ran == []
    assert next(takes) == 2  # they asked once, for all


def test_the_first_does_not_wait_for_all(
    library: Library, admin: Actor, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes long ends a batch; those after it make another."""
    monkeypatch.setattr("pinakes.store.group.BATCH_SECONDS", 3)

    def slow() -> str:
        time.sleep(3.2)
        return creation(library, admin)()

    quick = creation(library, admin)
    answers = batch.run(quick, slow, quick, quick, slow, quick)
    assert [error for _, error in answers] == [None] * 6
    assert batch.order() == list(range(6))
    assert [batch.calls, batch.transactions()] == [3, 3]
