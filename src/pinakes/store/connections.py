"""Connections to PostgreSQL, each taken for the length of a transaction and kept for the next who needs one.

Whoever needs a connection that broke makes a new one, so that nothing has to notice that a server is back.
"""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import TextLoader

from pinakes.errors import PinakesError
from pinakes.store.dialect import TSVECTOR, Row, postgres_spelling
from pinakes.store.tables import POSTGRES_COLUMNS, Column

_CONNECT_S = 5
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_IDLE = pq.TransactionStatus.IDLE
_STOPPED = (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown)


class Link:
    """One connection, counting its statements: the `Driver` of PostgreSQL. Reads lock no rows."""

    spelling = TSVECTOR
    keeps_nul = False

    def __init__(self, url: str, *, is_prepared: bool, is_replica: bool = False) -> None:
        timeout = {} if "connect_timeout=" in url else {"connect_timeout": _CONNECT_S}
        self.connection = psycopg.connect(url, autocommit=True, application_name="pinakes", **timeout)  # type: ignore[arg-type]
        self.connection.prepare_threshold = 5 if is_prepared else None
        self.connection.adapters.register_dumper(int, Int8Dumper)  # one type for all, and so one plan for a statement
        self.connection.adapters.register_loader("json", TextLoader)
        self._cursor = self.connection.cursor()
        self.is_replica = is_replica
        self.is_writing = False
        self.count = 0
        self.tx: Any = None

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        self._run(sql, params)
        return self._cursor.fetchall()

    def change(self, sql: str, params: tuple[Any, ...] = ()) -> int:
        self._run(sql, params)
        return self._cursor.rowcount

    def _run(self, sql: str, params: tuple[Any, ...]) -> None:
        self.count += 1
        self._cursor.execute(postgres_spelling(sql, self.is_writing), _without_nul(params))  # type: ignore[arg-type]

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
        self._cursor.executemany(postgres_spelling(sql, self.is_writing), rows)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.count += 1
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

    def close(self) -> None:
        """End the connection, and whatever it was at."""
        self.connection.close()


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection is gone, and not that the server minds what it was asked."""
    return isinstance(error, _STOPPED) or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None)


def _sequence(table: str) -> str:
    return f"pg_get_serial_sequence('{table}', 'number')::regclass"


class Connections:
    """At most `most` connections to one address. Who needs one more waits for it, but not for longer than `wait_s`."""

    def __init__(self, url: str, most: int, wait_s: float, *, is_prepared: bool, is_replica: bool = False) -> None:
        self._url = url
        self._wait_s = wait_s
        self._is_prepared = is_prepared
        self._is_replica = is_replica
        self._free = threading.Semaphore(most)
        self._idle: list[Link] = []
        self._lock = threading.Lock()
        self._ended_statements = 0
        self._links: set[Link] = set()
        self._is_closed = False

    def take(self, begin: str) -> Link:
        """A connection on which `begin` has run. UNAVAILABLE when all are in use for too long.

        The error of the driver when the server cannot be reached, or minds `begin`. Connections that broke while they
        were idle are let go of on the way.
        """
        if self._is_closed:
            raise PinakesError("UNAVAILABLE", "The library is closed.")
        if not self._free.acquire(timeout=self._wait_s):
            raise PinakesError("UNAVAILABLE", "All connections to the database are in use; try again shortly.")
        try:
            return self._begun(begin)
        except BaseException:
            self._free.release()
            raise

    def _begun(self, begin: str) -> Link:
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            link = kept or self._connect()
            try:
                link.command(begin)
            except psycopg.Error as error:
                self._forget(link)
                if kept is None or not is_lost(error):
                    raise
            else:
                return link

    def _connect(self) -> Link:
        link = Link(self._url, is_prepared=self._is_prepared, is_replica=self._is_replica)
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
        link.close()
        with self._lock:
            self._links.discard(link)
            self._ended_statements += link.count

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
            self._forget(link)


def _without_nul(params: tuple[Any, ...]) -> tuple[Any, ...]:
    """No text in the database holds U+0000, and none is found by it."""
    if any(type(value) is str and "\0" in value for value in params):
        return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in params)
    return params
