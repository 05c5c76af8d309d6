"""The writer thread: every verb is answered, once, after its commit, whatever the others do."""

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

import apsw
import pytest
from conftest import make_assets

from pinakes import collections
from pinakes.access import Actor
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.group import GroupCommit

Answer = tuple[Any, Any, BaseException | None]


class Answers:
    """Collects what the writer says; several verbs of one commit come as one call."""

    def __init__(self) -> None:
        self.queue: Queue[Answer] = Queue()
        self.calls = 0

    def done(self, answers: list[Answer]) -> None:
        self.calls += 1
        for answer in answers:
            self.queue.put(answer)

    def take(self, n: int) -> list[Answer]:
        return [self.queue.get(timeout=20) for _ in range(n)]


@pytest.fixture
def answers() -> Answers:
    return Answers()


def creation(library: Library, actor: Actor, name: str = "Shelf") -> Callable[[], str]:
    return lambda: collections.create(library, actor, NewCollection(name)).id


def names(library: Library, actor: Actor) -> list[str]:
    return [item.name for item in collections.get_page(library, actor, 100).items]


class Gate:
    """A verb that holds the writer until it is opened, so that others gather behind it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(20)
        return "gate"


def test_answers_come_in_order_one_call_for_a_commit(library: Library, admin: Actor, answers: Answers) -> None:
    gate = Gate()
    library.store.submit(gate, "first", answers.done)
    assert gate.entered.wait(20)
    for n in range(50):
        library.store.submit(creation(library, admin), n, answers.done)  # a bound method is a new object each time
    gate.opened.set()
    got = answers.take(51)
    assert [token for token, _, _ in got] == ["first", *range(50)]
    assert [error for _, _, error in got] == [None] * 51
    assert answers.calls < 10
    assert {id for _, id, _ in got[1:]} == {item.id for item in collections.get_page(library, admin, 100).items}


def test_each_caller_gets_only_its_own(library: Library, admin: Actor) -> None:
    first, second, gate = Answers(), Answers(), Gate()
    library.store.submit(gate, None, first.done)
    for n in range(10):
        library.store.submit(creation(library, admin), n, (first if n % 2 else second).done)
    gate.opened.set()
    assert [token for token, _, _ in first.take(6)] == [None, 1, 3, 5, 7, 9]
    assert [token for token, _, _ in second.take(5)] == [0, 2, 4, 6, 8]


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
    for verb in [*verbs, creation(library, admin, " "), creation(library, admin, "c")]:
        library.store.submit(verb, None, answers.done)
    gate.opened.set()
    kinds = [type(error) for _, _, error in answers.take(8)]
    none = type(None)
    assert kinds == [none, none, ArithmeticError, none, SystemExit, apsw.SQLError, PinakesError, none]
    assert names(library, admin) == ["c", "b", "a"]
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


def test_a_failing_callback_is_reported_and_the_writer_lives(
    library: Library, admin: Actor, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))

    def broken(_: list[Answer]) -> None:
        raise RuntimeError("Event loop is closed")

    for _ in range(3):
        library.store.submit(creation(library, admin), None, broken)
    library.store.submit(creation(library, admin), None, answers.done)
    answers.take(1)
    assert set(reported) == {RuntimeError}
    assert len(names(library, admin)) == 4


def test_an_error_after_a_batch_is_reported_and_the_writer_lives(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))

    def broken() -> None:
        raise apsw.CorruptError

    group = GroupCommit(lambda verbs: [(verb(), None) for verb in verbs], broken)
    for n in range(3):
        group.submit(lambda: "done", n, answers.done)
        assert answers.take(1) == [(n, "done", None)]
    group.close()
    assert reported == [apsw.CorruptError] * 3


def test_a_writer_that_cannot_begin_answers_everyone(library: Library, admin: Actor, answers: Answers) -> None:
    """Another process holds the write lock for longer than the busy timeout of one second."""
    rival = apsw.Connection(str(library.config.database_path))
    rival.execute("BEGIN IMMEDIATE")
    for n in range(5):
        library.store.submit(creation(library, admin), n, answers.done)
    got = answers.take(5)
    assert [error.code for _, _, error in got if isinstance(error, PinakesError)] == ["UNAVAILABLE"] * 5
    with pytest.raises(PinakesError, match="busy with another process") as caught:
        creation(library, admin)()
    assert caught.value.code == "UNAVAILABLE"
    assert names(library, admin) == []
    rival.execute("ROLLBACK")
    rival.close()
    library.store.submit(creation(library, admin), None, answers.done)
    assert answers.take(1)[0][2] is None


def test_a_verb_waits_for_another_process(library: Library, admin: Actor) -> None:
    rival = apsw.Connection(str(library.config.database_path))
    rival.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: rival.execute("COMMIT")).start()
    creation(library, admin)()
    rival.close()
    assert names(library, admin) == ["Shelf"]


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
    library: Library, admin: Actor, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinakes.store.X", 3)
    gate = Gate()
    library.store.submit(gate, None, answers.done)
    assert gate.entered.wait(20)
    for _ in range(3):
        library.store.submit(creation(library, admin), None, answers.done)
    with pytest.raises(PinakesError, match="Too many writes"):
        library.store.submit(creation(library, admin), None, answers.done)
    gate.opened.set()
    answers.take(4)


def test_32_threads_add_overlapping_sets(library: Library, admin: Actor, answers: Answers) -> None:
    """Half call the verb, half hand it to the writer; what they count agrees with what is in."""
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
