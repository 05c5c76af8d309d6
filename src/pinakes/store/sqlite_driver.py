"""A connection to SQLite as nouns use one, and its errors as ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from pinakes.errors import PinakesError
from pinakes.store.dialect import FTS5, Row
from pinakes.store.tables import SQLITE_COLUMNS, Column


class SqliteDriver:
    """One connection, counting its statements."""

    spelling = FTS5
    keeps_nul = True

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.count = 0

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        self.count += 1
        return self.execute(sql, params).fetchall()

    def change(self, sql: str, params: tuple[Any, ...] = ()) -> int:
        self.count += 1
        self.execute(sql, params)
        return self.connection.changes()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.query("BEGIN")
        yield
        self.query("COMMIT")  # not after an error: the survey ends with its connection

    def columns(self) -> list[Column]:
        return [Column(row[0], row[1], row[2], row[3], bool(row[4])) for row in self.query(SQLITE_COLUMNS)]

    def selected(self, column: str, kind: str) -> str:  # noqa: ARG002 - it is what SQLite holds
        return column

    def change_each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.count += len(rows)
        self.connection.executemany(sql, rows)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        self.change_each(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def last_number(self, table: str) -> int:
        known = f"SELECT max(seq) FROM sqlite_sequence WHERE name = '{table}'"
        return int(self.query(f"SELECT coalesce(({known}), (SELECT max(number) FROM {table}), 0)")[0][0])

    def set_last_number(self, table: str, number: int) -> None:
        if not self.change("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, table)):
            counted = "SELECT 1 FROM sqlite_schema WHERE name = ? AND sql LIKE '%AUTOINCREMENT%'"
            self.change(
                f"INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? WHERE EXISTS ({counted})", (table, number, table)
            )

    def settle(self) -> None:
        """Plans are made without statistics here."""

    def learn(self) -> list[str]:
        return []

    def damage(self, is_quick: bool) -> list[str]:
        try:
            rows = self.query("PRAGMA quick_check" if is_quick else "PRAGMA integrity_check")
        except (apsw.CorruptError, apsw.NotADBError) as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]


def as_ours(error: BaseException) -> BaseException:
    """As `violations` raises it."""
    try:
        with violations():
            raise error
    except BaseException as told:  # noqa: BLE001 - it is handed on
        return told


@contextmanager
def violations() -> Iterator[None]:
    """Engine errors as ours: a busy or full store is UNAVAILABLE and may be tried again; anything else is a bug."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise PinakesError("UNAVAILABLE", "The database is busy with another process; try again.") from error
    except apsw.ConnectionClosedError as error:
        raise PinakesError("UNAVAILABLE", "The library is closed.") from error
    except apsw.FullError as error:
        raise PinakesError("UNAVAILABLE", "The disk of the database is full; free some space.") from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise PinakesError("UNAVAILABLE", f"The database cannot be read or written: {error}") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise PinakesError("UNAVAILABLE", f"The database file is damaged; restore a backup: {error}") from error
