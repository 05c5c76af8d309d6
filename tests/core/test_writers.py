"""Writers: every verb is answered, once, after its commit, whatever the others do."""

import threading
from collections.abc import Callable
from queue import Queue

import apsw
import msgspec
import psycopg
import pytest
from conftest import make_assets, new_actor
from writing import Answer, Answers, Gate, creation, names

from local.postgres import wait_until
from pinakes import collections
from pinakes.access import Actor
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_each_caller_gets_only_its_own(library: Library, admin: Actor) -> None:
    first, second, gate = Answers(), Answers(), Gate()
    library.store.submit(gate, None, first.done)
    for n in range(10):
        library.store.submit(creation(library, admin), n, (first if n % 2 else second).done)
    gate.opened.set()
    assert {token for token, _, _ in first.take(6)} == {None, 1, 3, 5, 7, 9}
    assert {token for token, _, _ in second.take(5)} == {0, 2, 4, 6, 8}
    assert first.queue.empty()
    assert second.queue.empty()


def test_it_is_stored_when_the_answer_comes(library: Library, admin: Actor) -> None:
    """Another connection sees it, so it is committed."""
    seen: Queue[list[str]] = Queue()
    library.store.submit(creation(library, admin), None, lambda _: seen.put(names(library, admin)))
    assert seen.get(timeout=20) == ["Shelf"]


def test_a_failing_verb_leaves_nothing_and_disturbs_nobody(library: Library, admin: Actor, answers: Answers) -> None:
    def half() -> None:
        creation(library, admin, "half")()
        with library.store.write() as tx:
            tx.upkeep.setting("half", "x")
            raise ArithmeticError("midway")

    def late() -> None:
        creation(library, admin, "late")()
        raise SystemExit  # not even an Exception

    def bad_sql() -> None:
        with library.store.write() as tx:
            tx.projects._query("no sql")

    gate = Gate()
    verbs: list[Callable[[], object]] = [
        gate,
        creation(library, admin, "a"),
        half,
        creation(library, admin, "b"),
        late,
        bad_sql,
    ]
    for n, verb in enumerate([*verbs, creation(library, admin, " "), creation(library, admin, "c")]):
        library.store.submit(verb, n, answers.done)
    gate.opened.set()
    kinds = {n: type(error) for n, _, error in answers.take(8) if error is not None}
    bad = apsw.SQLError if library.store.is_embedded else psycopg.errors.SyntaxError
    assert kinds == {2: ArithmeticError, 4: SystemExit, 5: bad, 6: PinakesError}
    assert sorted(names(library, admin)) == ["a", "b", "c"]
    with library.store.write() as tx:
        assert tx.upkeep.setting("half", "nothing") == "nothing"


def test_a_direct_verb_that_fails_midway_leaves_nothing(library: Library, admin: Actor) -> None:
    def fail(name: str, inner: Callable[[], object] = str) -> None:
        with library.store.write():
            creation(library, admin, name)()
            inner()
            raise ArithmeticError(name)

    with pytest.raises(ArithmeticError, match="outer"):
        fail("outer", creation(library, admin, "inner"))
    assert names(library, admin) == []
    with library.store.write():
        creation(library, admin, "kept")()
        with pytest.raises(ArithmeticError, match="inner"):
            fail("inner")
    assert names(library, admin) == ["kept"]


def test_a_part_that_fails_leaves_the_rest_of_a_verb(library: Library, admin: Actor, answers: Answers) -> None:
    """Whether something was changed before it, or not."""

    def fail(name: str) -> None:
        with library.store.write():
            creation(library, admin, name)()
            raise ArithmeticError(name)

    def failing(name: str) -> None:
        with pytest.raises(ArithmeticError, match=name):
            fail(name)

    def verb() -> None:
        failing("first of all")
        creation(library, admin, "a")()
        failing("after one")
        with library.store.write():
            failing("within another")
            creation(library, admin, "b")()
            failing("later within another")
        creation(library, admin, "c")()

    library.store.submit(verb, 0, answers.done)
    assert answers.take(1) == [(0, None, None)]
    with library.store.transaction(), library.store.write():
        verb()
    assert sorted(names(library, admin)) == ["a", "a", "b", "b", "c", "c"]


def test_a_failing_callback_is_reported_and_the_writer_lives(
    library: Library, admin: Actor, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: Queue[type[BaseException]] = Queue()
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.put(args.exc_type))

    def broken(_: list[Answer]) -> None:
        raise RuntimeError("Event loop is closed")

    for _ in range(3):
        library.store.submit(creation(library, admin), None, broken)
    library.store.submit(creation(library, admin), None, answers.done)
    answers.take(1)
    assert reported.get(timeout=20) is RuntimeError
    wait_until(lambda: len(names(library, admin)) == 4, "all to be stored")
    assert set(reported.queue) <= {RuntimeError}


def test_closing_finishes_what_waits_and_refuses_what_comes(
    library: Library, admin: Actor, answers: Answers, open_with: Callable[..., Library]
) -> None:
    other, gate = open_with(), Gate()
    other.store.submit(gate, None, answers.done)
    for _ in range(100):
        other.store.submit(creation(other, admin), None, answers.done)
    closing = threading.Thread(target=other.store.close)
    closing.start()

    def keep_submitting() -> None:
        while True:
            other.store.submit(creation(other, admin), None, answers.done)

    with pytest.raises(PinakesError) as caught:
        keep_submitting()
    assert caught.value.code == "UNAVAILABLE"
    gate.opened.set()
    closing.join(20)
    assert not closing.is_alive()
    assert all(error is None for _, _, error in answers.take(101))
    with library.store.read() as tx:
        stored = len(tx.collections.page(admin.owner, None, 1_000_000))
    assert stored == 100 + answers.queue.qsize()


def test_too_many_waiting_are_refused(
    config: Config, open_with: Callable[..., Library], answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinakes.store.group.MOST_WAITING", 3)
    library = open_with(msgspec.structs.replace(config, database_connections=2))  # one that writes, on either engine
    admin, gate = new_actor(library), Gate()
    library.store.submit(gate, None, answers.done)
    assert gate.entered.wait(20)
    for _ in range(3):
        library.store.submit(creation(library, admin), None, answers.done)
    with pytest.raises(PinakesError, match="Too many writes"):
        library.store.submit(creation(library, admin), None, answers.done)
    gate.opened.set()
    answers.take(4)


def test_32_threads_add_overlapping_sets(config: Config, open_with: Callable[..., Library], answers: Answers) -> None:
    """Half call the verb, half hand it to the writer; what they count agrees with what is in."""
    library = open_with(msgspec.structs.replace(config, busy_timeout_s=60))
    admin = new_actor(library)
    wanted = make_assets(library, admin, 200)
    shelf = creation(library, admin)()
    errors: list[BaseException] = []
    added: Queue[list[str]] = Queue()

    def work(n: int) -> None:
        try:
            for start in range(n * 5, n * 5 + 60, 20):
                members = [wanted[(start + i * 3) % 200] for i in range(49)]

                def verb(members: list[str] = members) -> list[str]:
                    after, report = collections.add(library, admin, shelf, "asset", members)
                    assert after.asset_count >= 49
                    return report.added

                if n % 2:
                    added.put(verb())
                    assert collections.get(library, admin, shelf).asset_count >= 49  # reads its own writes
                else:
                    library.store.submit(verb, n, answers.done)
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    got = answers.take(48)
    assert errors == []
    assert [error for _, _, error in got if error] == []
    reported = [id for report in added.queue for id in report] + [id for _, report, _ in got for id in report]
    assert len(reported) == len(set(reported))
    found = collections.get(library, admin, shelf)
    with library.store.read() as tx:
        assert tx.upkeep.contradictions() == []
    assert found.asset_count == len(reported) > 150
