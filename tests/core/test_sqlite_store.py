"""The embedded engine under bad weather: a full disk, other processes, long readers, a log that must stay bounded."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from conftest import make_assets

from pinakes import collections, upkeep
from pinakes.access import Actor
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.store import checkpoint, sqlite
from pinakes.store.sqlite import SqliteStore, create_or_upgrade, is_created

pytestmark = pytest.mark.engine("sqlite")

MIB = 1 << 20
COUNT = itertools.count()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    create_or_upgrade(tmp_path / "a.db")
    store = SqliteStore(tmp_path / "a.db", 0.2)
    yield store
    store.close()


def connection_of(store: object) -> apsw.Connection:
    """The write connection, to put it into a state that only a bad day could."""
    assert isinstance(store, SqliteStore)
    return store._writer.connection


def write(store: SqliteStore, name: str, size: int = MIB) -> None:
    with store.write() as tx:
        tx.upkeep.set_setting(name, f"{next(COUNT):08}" * (size // 8))


def read(store: SqliteStore, name: str) -> int:
    """The size of a setting."""
    with store.write() as tx:
        return len(tx.upkeep.setting(name, ""))


def test_the_log_stays_bounded_and_is_gone_in_the_end(store: SqliteStore, tmp_path: Path) -> None:
    log, worst = tmp_path / "a.db-wal", 0
    for n in range(300):
        write(store, f"{n % 20}")
        worst = max(worst, store.log_bytes(), log.stat().st_size)
    assert 4 * MIB < worst < 64 * MIB
    store.close()
    assert not log.exists()
    store.close()  # once more does no harm


def test_a_long_reader_keeps_its_snapshot_and_stalls_nobody(store: SqliteStore, tmp_path: Path) -> None:
    write(store, "before", 10)
    with store.read() as tx:
        settings = "SELECT name FROM setting ORDER BY name"
        seen = tx.upkeep._query(settings)
        begin = time.monotonic()
        for n in range(100):
            write(store, f"{n}")
        assert time.monotonic() - begin < 20
        assert tx.upkeep._query(settings) == seen
        assert store.log_bytes() > 64 * MIB  # the reader needs it
    deadline = time.monotonic() + 20
    while store.log_bytes() > 20 * MIB and time.monotonic() < deadline:
        write(store, "after")
    assert store.log_bytes() <= 20 * MIB
    assert (tmp_path / "a.db-wal").stat().st_size <= 64 * MIB


def test_a_checkpoint_that_fails_undoes_nothing_and_stops_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real failure: another process holds the checkpoint lock, so that every checkpoint finds it busy."""
    monkeypatch.setattr(checkpoint, "_START_BYTES", MIB)
    rival = apsw.Connection(connection_of(store).filename)
    with store.read() as tx:
        tx.upkeep.ready()
        rival.set_busy_timeout(3000)
        blocked = threading.Thread(target=_restart_log, args=(rival,))
        blocked.start()
        for n in range(10):
            write(store, f"{n}")
    blocked.join(20)
    rival.close()
    assert [read(store, f"{n}") for n in range(10)] == [MIB] * 10


def test_an_unexpected_error_of_a_checkpoint_is_told_once_and_stops_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real failure: the connection of the second thread is closed."""
    monkeypatch.setattr(checkpoint, "_START_BYTES", MIB)
    monkeypatch.setattr(checkpoint, "_WAIT_BYTES", MIB)
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    store._checkpointer._second.close()

    def write_much() -> None:
        for n in range(40):
            write(store, f"{n % 3}")

    writing = threading.Thread(target=write_much, daemon=True)
    writing.start()
    writing.join(20)
    assert not writing.is_alive()
    assert reported == [apsw.ConnectionClosedError]
    store.ready()


def test_ready_asks_the_writer_and_writes_nothing(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, "x")
    before = (tmp_path / "a.db-wal").stat()
    store.ready()
    after = (tmp_path / "a.db-wal").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    rival = apsw.Connection(connection_of(store).filename)
    rival.execute("BEGIN IMMEDIATE")
    store.ready()  # it answers that somebody else writes
    rival.close()
    monkeypatch.setattr(sqlite, "_READY_S", 0)
    opened = threading.Event()
    store.submit(lambda: opened.wait(20), None, lambda _: None)
    with pytest.raises(PinakesError, match="does not answer") as caught:
        store.ready()
    assert caught.value.code == "UNAVAILABLE"
    opened.set()
    store.ready()
    store.close()
    with pytest.raises(PinakesError) as caught:
        store.ready()
    assert caught.value.code == "UNAVAILABLE"


def test_a_library_is_not_ready_without_its_writer(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.ready()
    monkeypatch.setattr(sqlite, "_READY_S", -1)  # nothing left beside the busy timeout of one second
    opened = threading.Event()
    library.store.submit(lambda: opened.wait(20), None, lambda _: None)
    with pytest.raises(PinakesError, match="does not answer"):
        library.ready()
    opened.set()


def _restart_log(connection: apsw.Connection) -> None:
    """Waits for readers while it holds the checkpoint lock."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    except apsw.BusyError:
        return


def test_a_full_disk_is_unavailable_and_nothing_is_half_stored(library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    wanted = make_assets(library, admin, 49)
    connection = connection_of(library.store)
    connection.pragma("max_page_count", connection.pragma("page_count"))
    answers: list[BaseException | None] = []
    told = threading.Event()

    def fill() -> None:
        while True:
            collections.create(library, admin, NewCollection("x" * 1000))

    def add() -> object:
        return collections.add(library, admin, shelf, "asset", wanted)

    with pytest.raises(PinakesError, match="disk of the database is full") as caught:
        fill()
    assert caught.value.code == "UNAVAILABLE"

    def done(outcomes: list[tuple[object, object, BaseException | None]]) -> None:
        answers.extend(error for _, _, error in outcomes)
        if len(answers) == 2:
            told.set()

    library.store.submit(add, None, done)
    library.store.submit(lambda: make_assets(library, admin, 50), None, done)
    assert told.wait(20)
    assert any(isinstance(error, PinakesError) and error.code == "UNAVAILABLE" for error in answers)
    assert collections.get(library, admin, shelf).asset_count in (0, 49)
    assert upkeep.check(library, is_quick=True) == []
    connection.pragma("max_page_count", 1 << 30)
    add()
    assert collections.get(library, admin, shelf).asset_count == 49
    assert upkeep.check(library, is_quick=True) == []


def test_readers_of_ended_threads_are_closed_and_still_counted(store: SqliteStore) -> None:
    before = store.statements()

    def look() -> None:
        with store.read() as tx:
            tx.upkeep.ready()

    for _ in range(50):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert len(store._readers) <= 2
    assert store.statements() == before + 50


def test_a_reader_goes_on_after_an_error(store: SqliteStore) -> None:
    def fail(*statements: str) -> None:
        with store.read() as tx:
            for sql in statements:
                tx.upkeep._query(sql)

    with pytest.raises(apsw.SQLError, match="syntax error"):
        fail("no sql")
    with pytest.raises(apsw.SQLError, match="syntax error"):
        fail("ROLLBACK", "no sql")  # as after an error for which SQLite itself ends the transaction
    with store.read() as tx:
        tx.upkeep.ready()


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    with store.read() as tx:
        tx.upkeep.ready()
    store.close()
    for use in (lambda: write(store, "x"), lambda: store.read().__enter__()):
        with pytest.raises(PinakesError) as caught:
            use()
        assert caught.value.code == "UNAVAILABLE"


def test_a_backup_is_a_whole_library_at_one_moment(store: SqliteStore, tmp_path: Path) -> None:
    write(store, "kept", 5000)
    copy = tmp_path / "copy.db"
    store.backup(str(copy))
    write(store, "later")
    other = SqliteStore(copy)
    assert (read(other, "kept"), read(other, "later")) == (5000, 0)
    other.close()


def test_only_the_schema_of_this_version_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert not is_created(path)
    create_or_upgrade(path)
    assert is_created(path)
    assert create_or_upgrade(path) == []
    connection = apsw.Connection(str(path))
    for version, words in ((10_000, "newer Pinakes"), (0, "pinakes migrate")):
        connection.pragma("user_version", version)
        with pytest.raises(PinakesError, match=words) as caught:
            SqliteStore(path)
        assert caught.value.code == "UNAVAILABLE"
    connection.close()


def test_what_is_no_library_is_refused(library: Library, tmp_path: Path, open_with: Callable[..., Library]) -> None:
    config = msgspec.structs.replace(library.config, data=str(tmp_path / "none"))
    with pytest.raises(PinakesError, match="There is no library in"):
        open_library(config, create=False)
    (tmp_path / "file").write_bytes(b"x")
    junk = tmp_path / "junk"
    junk.mkdir()
    (junk / "pinakes.db").write_bytes(b"not a database" * 1000)
    for folder in (tmp_path / "file" / "below", junk):
        with pytest.raises(PinakesError) as caught:
            open_with(msgspec.structs.replace(config, data=str(folder)))
        assert caught.value.code == "UNAVAILABLE"


def test_those_who_make_the_same_library_at_once_make_one(tmp_path: Path) -> None:
    """Who comes at a bad moment may hear that it is busy."""

    def make(path: Path, outcomes: list[object]) -> None:
        try:
            outcomes.append(create_or_upgrade(path))
        except PinakesError as error:
            outcomes.append(error.code)

    for attempt in range(5):
        path, outcomes = tmp_path / f"{attempt}.db", list[object]()
        threads = [threading.Thread(target=make, args=(path, outcomes)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ran = [outcome for outcome in outcomes if outcome not in ("UNAVAILABLE", [])]
        assert len(ran) == 1
        SqliteStore(path).close()
