"""The embedded engine: SQLite through apsw, one write connection, a read connection for each thread.

Full durability: write-ahead log with `synchronous=FULL`, so a commit returns after its fsync.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

import apsw

from pinakes.errors import PinakesError
from pinakes.ingredients import stem
from pinakes.store import Done, Tx, closing, schema
from pinakes.store.checkpoint import Checkpointer
from pinakes.store.fulltext import terms
from pinakes.store.group import GroupCommit
from pinakes.store.sqlite_driver import SqliteDriver, as_ours, violations

T = TypeVar("T")

_WRITE_CACHE_KIB = 16 * 1024
_READ_CACHE_KIB = 12 * 1024
_KEPT_LOG_BYTES = 64 << 20  # what a long reader made the log grow beyond is given back when the log starts anew
_READY_S = 5.0


class _Snapshot:
    """`with store.read() as tx`; inside another it is of the same moment.

    A class and not a generator: it costs a third, and every request passes here.
    """

    __slots__ = ("_connection", "_execute", "_is_inner", "_tx")

    def __init__(self, driver: SqliteDriver, tx: Tx) -> None:
        self._connection = driver.connection
        self._execute = driver.execute
        self._tx = tx

    def __enter__(self) -> Tx:
        try:
            self._is_inner = self._connection.in_transaction
            if not self._is_inner:
                self._execute("BEGIN")
        except apsw.Error:
            with violations():
                raise
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_inner and self._connection.in_transaction:  # SQLite ends it itself after some errors
            self._execute("COMMIT")
        if isinstance(error, apsw.Error):
            with violations():
                raise error


class _Nested:
    """A transaction inside another: what fails in it leaves nothing behind.

    While nothing was changed in one, its savepoint serves for the next in it. A class for the reason that `_Snapshot`
    is one.
    """

    __slots__ = ("_is_change", "_is_shared", "_outer", "_store")

    def __init__(self, store: "SqliteStore", is_change: bool) -> None:
        self._store = store
        self._is_change = is_change

    def __enter__(self) -> Tx:
        store = self._store
        store.require_open(self._is_change)
        changes = store.changes()
        self._outer = store.clean_at
        self._is_shared = self._outer == changes
        if not self._is_shared:
            store.execute("SAVEPOINT verb")
            store.clean_at = changes
        return store.write_tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store = self._store
        store.clean_at = self._outer
        if kind is not None:
            if not store.is_in_transaction():  # SQLite ends it itself after some errors
                return
            store.execute("ROLLBACK TO verb")
        if not self._is_shared:
            store.execute("RELEASE verb")


class _Glance:
    """`with store.glance() as tx`."""

    __slots__ = ("_tx",)

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __enter__(self) -> Tx:
        return self._tx

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error):
            with violations():
                raise error


class SqliteStore:
    """The engine of `pinakes.store.Store` on one file."""

    is_embedded = True

    def __init__(self, path: Path, busy_timeout_s: float = 5.0) -> None:
        self._path = path
        self._busy_timeout_ms = int(busy_timeout_s * 1000)
        self._local = threading.local()
        self._readers: dict[threading.Thread, SqliteDriver] = {}
        self._readers_lock = threading.Lock()
        self._ended_statements = 0
        self._lock = threading.RLock()
        self._writing = 0
        """The thread that is in a transaction, by its ident."""
        self._is_open = False
        self.clean_at: int | None = None
        """How many changes there had been when the innermost savepoint began."""
        connection = self._connect(_WRITE_CACHE_KIB)
        schema.require("sqlite", connection.pragma("user_version"), str(path), f"--data {path.parent}")
        self._writer = SqliteDriver(connection)
        self.execute, self.changes = connection.execute, connection.total_changes
        self.write_tx = Tx(self._writer)
        self._checkpointer = Checkpointer(connection, lambda: self._connect(1024))
        self._group = GroupCommit(self._batch, self._after_batch)

    def _connect(self, cache_kib: int) -> apsw.Connection:
        with violations():
            connection = apsw.Connection(str(self._path))
            connection.set_busy_timeout(self._busy_timeout_ms)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("cache_size", -cache_kib)
            connection.pragma("temp_store", "memory")
            connection.pragma("journal_size_limit", _KEPT_LOG_BYTES)
            connection.wal_autocheckpoint(0)
            _add_functions(connection)
        return connection

    def read(self) -> _Snapshot:
        return _Snapshot(*self._reader())

    def glance(self) -> _Glance:
        return _Glance(self._reader()[1])

    def _reader(self) -> tuple[SqliteDriver, Tx]:
        """The read connection of this thread."""
        try:
            found: tuple[SqliteDriver, Tx] = self._local.reader
        except AttributeError:
            driver = self._add_reader()
            found = self._local.reader = (driver, Tx(driver))
        return found

    def _add_reader(self) -> SqliteDriver:
        """A connection for this thread; those of threads that have ended are closed."""
        driver = SqliteDriver(self._connect(_READ_CACHE_KIB))
        with self._readers_lock:
            for thread in [thread for thread in self._readers if not thread.is_alive()]:
                ended = self._readers.pop(thread)
                self._ended_statements += ended.count
                ended.connection.close()
            self._readers[threading.current_thread()] = driver
        return driver

    def replica(self) -> "SqliteStore":
        return self

    @contextmanager
    def survey(self) -> Iterator[Tx]:
        driver = SqliteDriver(self._connect(_READ_CACHE_KIB))
        driver.connection.pragma("temp_store", "file")
        try:
            with violations():
                yield Tx(driver)
        finally:
            driver.connection.close()

    def transaction(self) -> AbstractContextManager[Tx]:
        return self._write(is_change=False)

    def fill(self) -> AbstractContextManager[Tx]:
        return self._write(is_change=False)

    def write(self, owner: int | None = None, *, beside: bool = False) -> AbstractContextManager[Tx]:  # noqa: ARG002 - all take turns
        return self._write(is_change=True)

    def _write(self, is_change: bool) -> AbstractContextManager[Tx]:
        return _Nested(self, is_change) if self._writing == threading.get_ident() else self._outermost(is_change)

    @contextmanager
    def _outermost(self, is_change: bool) -> Iterator[Tx]:
        with self._lock, violations():
            with self._transaction():
                self.require_open(is_change)
                yield self.write_tx
            self._checkpointer.after_commit()

    def require_open(self, is_change: bool) -> None:
        """Look whether the library takes changes, once in a transaction."""
        if is_change and not self._is_open:
            for row in self.execute(closing.QUERY):
                raise closing.refusal(row[0])
            self._is_open = True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        self.write_tx.access.begin()
        self._writing = threading.get_ident()
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self.is_in_transaction():
                self.execute("ROLLBACK")
            raise
        finally:
            self._writing, self._is_open = 0, False

    def is_in_transaction(self) -> bool:
        """Of the writer; only the thread that writes may ask."""
        return self._writer.connection.in_transaction

    def _batch(self, verbs: Iterator[Callable[[], Any]]) -> list[tuple[Any, BaseException | None]]:
        """Run verbs, each in a savepoint of its own, and commit them together."""
        outcomes: list[tuple[Any, BaseException | None]] = []
        with self._lock, violations(), self._transaction():
            for verb in verbs:
                try:
                    with _Nested(self, is_change=False):
                        result = verb()
                    outcomes.append((result, None))
                except BaseException as error:  # handed to whoever asked for this verb; the others go on
                    if not self.is_in_transaction():
                        raise  # SQLite gave up the whole transaction: nothing of the batch is stored
                    outcomes.append((None, as_ours(error)))
        return outcomes

    def _after_batch(self) -> None:
        with self._lock:
            self._checkpointer.after_commit()

    def attempt(self, verb: Callable[[], T]) -> T:
        return verb()

    def submit(self, verb: Callable[[], Any], token: Any, done: Done, subject: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - they take turns
        self._group.submit(verb, token, done)

    def ready(self) -> None:
        answers: SimpleQueue[Any] = SimpleQueue()
        self.submit(_do_nothing, None, answers.put)  # a commit without changes writes nothing, and needs no fsync
        try:
            ((_, _, error),) = answers.get(timeout=self._busy_timeout_ms / 1000 + _READY_S)
        except Empty:
            raise PinakesError("UNAVAILABLE", "The writer of the database does not answer.") from None
        if error and not isinstance(error.__cause__, (apsw.BusyError, apsw.LockedError)):
            raise error

    def version(self) -> int:
        return self._reader()[0].connection.data_version()

    def statements(self) -> int:
        with self._readers_lock:
            return self._ended_statements + self._writer.count + sum(one.count for one in self._readers.values())

    def replica_reads(self) -> tuple[int, int]:
        return 0, 0

    def log_bytes(self) -> int:
        return self._checkpointer.log_bytes

    def backup(self, path: str) -> None:
        with violations():
            target = apsw.Connection(path)
            source = self._connect(1024)
            with target.backup("main", source, "main") as copy:
                copy.step(-1)
            target.close()
            source.close()
        make_one_file(Path(path))

    def close(self) -> None:
        self._group.close()
        with self._lock, self._readers_lock:
            for reader in self._readers.values():
                reader.connection.close()
            self._checkpointer.close()
            self._writer.connection.close()


def create_or_upgrade(path: Path) -> list[str]:
    """Bring a database file to the newest schema, creating it if need be; the names of the migrations that ran."""
    with violations():
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(5000)
        connection.pragma("journal_mode", "wal")
        _add_functions(connection)
        ran = []
        for number, name, sql in schema.migrations("sqlite"):
            with connection:
                connection.execute("SELECT 1 FROM sqlite_schema")
                if connection.pragma("user_version") < number:
                    connection.execute(sql)
                    connection.pragma("user_version", number)
                    ran.append(name)
        connection.close()
    return ran


def make_one_file(path: Path) -> None:
    """Have a database that nobody uses be whole without a log beside it."""
    with violations():
        connection = apsw.Connection(str(path))
        connection.pragma("journal_mode", "delete")
        connection.close()


def _add_functions(connection: apsw.Connection) -> None:
    """What statements and migrations call."""
    connection.create_scalar_function("terms", terms, 2, deterministic=True)
    connection.create_scalar_function("stem", lambda *of: stem(str(of[0] or "")), 1, deterministic=True)


def _do_nothing() -> None:
    return


def is_created(path: Path) -> bool:
    """Whether the file holds a schema of ours, of whatever version."""
    if not path.exists():
        return False
    with violations():
        connection = apsw.Connection(str(path))
        version = connection.pragma("user_version")
        connection.close()
    return bool(version)
