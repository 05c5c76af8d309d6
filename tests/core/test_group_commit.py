"""The writer thread of the embedded engine: it commits together what waits, and waits itself for other processes."""

import threading

import apsw
import pytest
from conftest import sign_in
from writing import Answers, Gate, creation, names

from pinakes import access, collections
from pinakes.access import Actor, NewApiKey
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.group import GroupCommit

pytestmark = pytest.mark.engine("sqlite")


@pytest.fixture
def answers() -> Answers:
    return Answers()


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


def test_a_key_is_confirmed_once_in_a_commit_and_again_when_one_was_revoked(
    library: Library, admin: Actor, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinakes.store.group.BATCH_SECONDS", 20.0)
    key = access.create_key(library, admin, admin.project_id, NewApiKey(role="editor"))
    actor, gate = sign_in(library, key), Gate()

    def confirmed() -> str:
        with library.store.transaction() as tx:
            access.confirm(tx, actor)
            return creation(library, actor)()

    library.store.submit(gate, -1, answers.done)
    assert gate.entered.wait(20)
    before = library.store.statements()
    for n in range(10):
        library.store.submit(confirmed, n, answers.done)
    library.store.submit(lambda: access.revoke_key(library, admin, admin.project_id, key.id), 10, answers.done)
    library.store.submit(confirmed, 11, answers.done)
    gate.opened.set()
    told = {token: error for token, _, error in answers.take(13)}
    assert [token for token, error in told.items() if error] == [11]
    assert isinstance(told[11], PinakesError)
    assert told[11].code == "UNAUTHORIZED"
    assert library.store.statements() - before < 20  # 10 creates, a key that ends, and who called three times


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
