"""Connections to PostgreSQL, each taken for the length of a transaction and kept for the next who needs one.

Whoever needs a connection that broke makes a new one, so that nothing has to notice that a server is back.
"""

import select
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import TextLoader

from pinakes.errors import PinakesError
from pinakes.store.dialect import TSVECTOR, Row, array, postgres_spelling
from pinakes.store.tables import POSTGRES_COLUMNS, Column

_CONNECT_S = 5
_OPTIONS = {
    "application_name": "pinakes",
    "connect_timeout": _CONNECT_S,
    "target_session_attrs": "read-write",
    # A machine that is gone says nothing: notice within this time, instead of the quarter of an hour that is usual.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
"""Of connections, unless their URL says otherwise: of several hosts, the one that takes writes."""
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_IDLE, _FAILED = pq.TransactionStatus.IDLE, pq.TransactionStatus.INERROR
_ENDED = ("57P01", "57P02", "57P05", "25P03", "25P04")
"""Told by a server that ends the connection: it stops, has crashed, or has waited for us for too long."""
_BROKEN = "08"
"""The class of what poolers tell when they have lost the server."""

_GROWN = """
SELECT quote_ident(s.relname) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE s.schemaname = current_schema() AND s.n_live_tup BETWEEN 50 AND 1000000
    AND s.n_live_tup > 2 * greatest(c.reltuples, 0)
ORDER BY s.relname
"""
"""Young tables that have doubled since anybody looked at them; large ones are autovacuum's."""


def connect(url: str, *, is_replica: bool = False) -> psycopg.Connection:
    """A connection that is in no transaction by itself."""
    options: dict[str, Any] = {name: value for name, value in _OPTIONS.items() if f"{name}=" not in url}
    if is_replica:
        options.pop("target_session_attrs", None)
    return psycopg.connect(url, autocommit=True, **options)


class Link:
    """One connection, counting its statements: the `Driver` of PostgreSQL. Reads lock no rows."""

    spelling = TSVECTOR
    keeps_nul = False

    def __init__(self, url: str, setup: str = "", *, is_prepared: bool, is_replica: bool = False) -> None:
        self.connection = connect(url, is_replica=is_replica)
        self.connection.adapters.register_dumper(int, Int8Dumper)  # one type for all, and so one plan for a statement
        self.connection.adapters.register_loader("json", TextLoader)
        self._cursor = self.connection.cursor()
        self.is_replica = is_replica
        self.is_writing = False
        self.count = 0
        self.changes = 0
        """How many statements may have changed something: all that are no SELECT."""
        self.tx: Any = None
        try:
            is_pooled = self._is_pooled()
            self.connection.prepare_threshold = 5 if is_prepared and not is_pooled else None
            self._begin_with = f"; {setup.replace('SET', 'SET LOCAL')}" if setup and is_pooled else ""
            if setup and not is_pooled:
                self.command(setup)
        except BaseException:
            self.close()
            raise

    def _is_pooled(self) -> bool:
        """Whether a pooler stands before the server: transactions of others may share what we prepare or set there."""
        return self.ask("SELECT pg_backend_pid()", _CONNECT_S) != str(self.connection.pgconn.backend_pid)

    def beginning(self, mode: str = "") -> str:
        """The statements that begin a transaction."""
        return f"BEGIN {mode}{self._begin_with}"

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        self._run(sql, params)
        return self._cursor.fetchall()

    def change(self, sql: str, params: tuple[Any, ...] = ()) -> int:
        self._run(sql, params)
        return self._cursor.rowcount

    def _run(self, sql: str, params: tuple[Any, ...]) -> None:
        self.count += 1
        text, lists, is_planned_anew, is_change = postgres_spelling(sql, self.is_writing)
        self.changes += is_change
        values = parameters(params, lists)
        self._cursor.execute(text, values, prepare=False if is_planned_anew else None)

    def command(self, sql: str) -> str | None:
        """Statements without parameters, also several with `;` between them, in one round trip.

        What the first row of the last one begins with, if that has rows.
        """
        self.count += 1
        result = self.connection.pgconn.exec_(sql.encode())
        if result.status not in _DONE:
            raise psycopg.errors.error_from_result(result)
        value = result.get_value(0, 0) if result.ntuples else None
        return None if value is None else value.decode()

    def ask(self, sql: str, within_s: float) -> str | None:
        """The same for what can be answered at once; the first value of the last rows.

        `psycopg.errors.ConnectionTimeout` when it is not: a machine that hangs, or a pooler that waits for a server.
        """
        self.count += 1
        pgconn = self.connection.pgconn
        pgconn.send_query(sql.encode())
        pgconn.flush()
        answers = select.poll()
        answers.register(pgconn.socket, select.POLLIN)
        ends, value, error = time.monotonic() + within_s, None, None
        while True:
            while pgconn.is_busy():
                if not answers.poll(1000 * max(0.0, ends - time.monotonic())):
                    raise psycopg.errors.ConnectionTimeout("the server does not answer")
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                break
            if result.status not in _DONE:
                error = psycopg.errors.error_from_result(result)
            if result.ntuples:
                value = result.get_value(0, 0)
        if error is not None:
            raise error
        return None if value is None else value.decode()

    def commit(self) -> None:
        """End the transaction. The driver's error when it was not committed, which a statement that failed sees to."""
        self.count += 1
        result = self.connection.pgconn.exec_(b"COMMIT")
        if result.status not in _DONE:
            raise psycopg.errors.error_from_result(result)
        if result.command_status != b"COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("an error in the transaction was passed over")

    def snapshot(self) -> AbstractContextManager[None]:
        """Each statement of a survey is of one moment, and needs no other to be of the same."""
        return nullcontext()

    def columns(self) -> list[Column]:
        return [Column(*row) for row in self.query(POSTGRES_COLUMNS)]

    def selected(self, column: str, kind: str) -> str:
        return f"CAST({column} AS INTEGER)" if kind == "boolean" else column

    def change_each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.count += len(rows)
        self.changes += 1
        text, lists, _, _ = postgres_spelling(sql, self.is_writing)
        self._cursor.executemany(text, [parameters(tuple(row), lists) for row in rows])

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.count += 1
        self.changes += 1
        with self._cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def last_number(self, table: str) -> int:
        return int(self.query(f"SELECT coalesce(pg_sequence_last_value({_sequence(table)}), 0)")[0][0])

    def set_last_number(self, table: str, number: int) -> None:
        most = max(number, self.last_number(table))
        if most:
            self.query(f"SELECT setval({_sequence(table)}, ?)", (most,))

    def settle(self) -> None:
        self.command("ANALYZE")

    def learn(self) -> list[str]:
        names = [row[0] for row in self.query(_GROWN)]
        if names:
            self.command(f"ANALYZE (SKIP_LOCKED) {', '.join(names)}")
        return names

    def damage(self, is_quick: bool) -> list[str]:  # noqa: ARG002 - looking into files is `pg_amcheck`'s
        """Pages that PostgreSQL found damaged; it looks at each page it reads when it keeps checksums."""
        rows = self.query(
            "SELECT datname, checksum_failures FROM pg_stat_database"
            " WHERE datname = current_database() AND checksum_failures > 0"
        )
        return [f"PostgreSQL found {count} damaged pages in database {name}; see its log" for name, count in rows]

    def is_usable(self) -> bool:
        """Whether the connection stands, and is in no transaction."""
        return self.connection.pgconn.transaction_status == _IDLE

    def has_failed(self) -> bool:
        """Whether an error in the transaction was passed over, so that nothing of it can be stored."""
        return self.connection.pgconn.transaction_status == _FAILED

    def close(self) -> None:
        """End the connection, and whatever it was at."""
        self.connection.close()


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection is gone, and not that the server minds what it was asked."""
    # What the driver itself says of a connection that broke under a statement is of the wider class, without a state.
    if not (isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError):
        return False
    return error.sqlstate is None or error.sqlstate in _ENDED or error.sqlstate.startswith(_BROKEN)


def _is_gone(error: BaseException) -> bool:
    """Whether a connection that was kept is gone, so that a new one may do. Whoever waited has waited enough."""
    return is_lost(error) and not isinstance(error, psycopg.errors.ConnectionTimeout)


def _sequence(table: str) -> str:
    return f"pg_get_serial_sequence('{table}', 'number')::regclass"


class Connections:
    """At most `most` connections to one address. Who needs one more waits for it, but not for longer than `wait_s`."""

    def __init__(
        self, url: str, setup: str, most: int, wait_s: float, *, is_prepared: bool, is_replica: bool = False
    ) -> None:
        self._url = url
        self._setup = setup
        self._wait_s = wait_s
        self._is_prepared = is_prepared
        self._is_replica = is_replica
        self._free = threading.Semaphore(most)
        self._idle: list[Link] = []
        self._lock = threading.Lock()
        self._ended_statements = 0
        self._links: set[Link] = set()
        self._is_closed = False

    def take(self, mode: str | None = None) -> Link:
        """A connection, and on it a transaction if `mode` says of which kind; else it may be broken already.

        UNAVAILABLE when all are in use for too long; the error of the driver when the server cannot be reached.
        """
        if self._is_closed:
            raise PinakesError("UNAVAILABLE", "The library is closed.")
        if not self._free.acquire(timeout=self._wait_s):
            raise PinakesError("UNAVAILABLE", "All connections to the database are in use; try again shortly.")
        try:
            return self._begun(mode)
        except BaseException:
            self._free.release()
            raise

    def take_idle(self) -> Link | None:
        """A connection that nobody uses, as it is; None when there is none."""
        with self._lock:
            if not self._idle or not self._free.acquire(blocking=False):
                return None
            return self._idle.pop()

    def ask(self, sql: str) -> str | None:
        """What the server answers to a statement outside of transactions; raises as `take` does."""
        link = self.take("READ ONLY")
        try:
            return link.ask(f"{sql}; COMMIT", self._wait_s)
        except psycopg.Error:
            link.close()
            raise
        finally:
            self.give(link)

    def _begun(self, mode: str | None) -> Link:
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            link = kept or self._connect()
            if mode is None:
                return link
            try:
                link.ask(link.beginning(mode), self._wait_s)
            except psycopg.Error as error:
                self._forget(link)
                if kept is None or not _is_gone(error):
                    raise
            else:
                return link

    def _connect(self) -> Link:
        link = Link(self._url, self._setup, is_prepared=self._is_prepared, is_replica=self._is_replica)
        with self._lock:
            self._links.add(link)
        return link

    def give(self, link: Link) -> None:
        """Keep a connection for the next, unless it is broken or in the middle of something."""
        link.is_writing = False
        if link.is_usable() and not self._is_closed:
            with self._lock:
                self._idle.append(link)
        else:
            self._forget(link)
        self._free.release()

    def _forget(self, link: Link) -> None:
        """Let go of a connection. When it broke, those that are idle broke with it."""
        with self._lock:
            broken, self._idle = [link, *self._idle], []
            for one in broken:
                self._links.discard(one)
                self._ended_statements += one.count
        for one in broken:
            one.close()

    def statements(self) -> int:
        """How many statements have run so far."""
        with self._lock:
            return self._ended_statements + sum(link.count for link in self._links)

    def close(self) -> None:
        """Let go of what is idle, now, and of what is in use when it is given back."""
        self._is_closed = True
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()


def parameters(params: tuple[Any, ...], lists: tuple[int, ...]) -> tuple[Any, ...]:
    """As PostgreSQL takes them. No text in the database holds U+0000, and none is found by it."""
    if any(type(value) is str and "\0" in value for value in params):
        params = tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in params)
    if not lists:
        return params
    return tuple(array(value) if at in lists else value for at, value in enumerate(params))
