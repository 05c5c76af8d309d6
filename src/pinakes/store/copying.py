"""Whole rows, out of one database and into another, whichever engines these are.

A row is a tuple of what SQLite would hold: integers for truth, text for JSON. Rows are read in order of their key, a
slice at a time, so that two databases can be compared slice by slice. Search indexes follow from rows: who replaces
rows takes what they had in them out, and `index_some` puts in what is missing.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from pinakes.collections import MemberNoun
from pinakes.store import fulltext, looks
from pinakes.store.closing import CLOSED
from pinakes.store.dialect import NUMBERS, Driver, Row, id_list, without_nul
from pinakes.store.tables import Column, Table, tables_of

Key = tuple[Any, ...]

SLICE = 2_000
"""Rows that are read, compared and written at a time."""

_SETTINGS = f"WHERE name <> '{CLOSED}'"
_INDEXED: dict[str, tuple[MemberNoun, str]] = {
    "asset": ("asset", "number"),
    "asset_tag": ("asset", "asset"),
    "model": ("model", "number"),
    "model_tag": ("model", "model"),
}
"""Tables whose rows are found by their words, or say by which: the noun, and the column with its number."""

_LOOKS = f"""
INSERT INTO asset_look (owner, band, asset, look)
SELECT x.owner, {looks.BAND}, x.number, x.look
FROM {NUMBERS} n CROSS JOIN asset x ON x.number = n.value CROSS JOIN {looks.BANDS} b
WHERE x.owner = ? AND x.look IS NOT NULL
"""


class RowSql:
    """Statements on rows of whatever table."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def columns(self) -> list[Column]:
        """The columns of all tables that there are."""
        return self._driver.columns()

    def tables(self) -> list[Table]:
        """The tables that hold a library."""
        return tables_of(self.columns())

    def slice(self, table: Table, after: Key | None, upto: Key | None, limit: int = -1) -> list[Row]:
        """Rows in order of their key: those with a greater one than `after`, up to `upto`; -1 for no limit."""
        where: list[str] = []
        params: list[Any] = []
        key = ", ".join(table.key)
        for bound, sign in ((after, ">"), (upto, "<=")):
            if bound is not None:
                where.append(f"({key}) {sign} ({', '.join('?' * len(bound))})")
                params += bound
        if table.name == "setting":
            where.append(f"name <> '{CLOSED}'")
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        columns = ", ".join(map(self._driver.selected, table.columns, table.kinds))
        end = "" if limit < 0 else f"LIMIT {limit:d}"
        return self._query(f"SELECT {columns} FROM {table.name} {condition} ORDER BY {key} {end}", tuple(params))

    def is_empty(self) -> bool:
        """Whether there is no row but settings, which a library has from the first moment."""
        tables = [table.name for table in self.tables() if table.name != "setting"]
        return not any(self._query(f"SELECT 1 FROM {table} LIMIT 1") for table in tables)

    def count(self, table: str) -> int:
        """How many rows there are."""
        condition = _SETTINGS if table == "setting" else ""
        return int(self._query(f"SELECT count(*) FROM {table} {condition}")[0][0])

    def replace(self, table: Table, gone: Sequence[Row], new: Sequence[Row]) -> None:
        """Delete rows and store others. What searches knew of any of them they know no more."""
        indexed = _INDEXED.get(table.name)
        for owner, numbers in _by_owner(table, indexed[1], [*gone, *new]) if indexed else ():
            fulltext.forget(self._driver, indexed[0], owner, numbers)  # type: ignore[index]
        if gone:
            if table.name == "asset":
                for owner, numbers in _by_owner(table, "number", gone):
                    self._change(looks.FORGET, (id_list(numbers), owner))
            where = " AND ".join(f"{name} = ?" for name in table.key)
            self._driver.change_each(f"DELETE FROM {table.name} WHERE {where}", [row[: len(table.key)] for row in gone])
        if new:
            self._driver.load(table.name, table.columns, new)
            if table.name == "asset":
                for owner, numbers in _by_owner(table, "number", new):
                    self._change(_LOOKS, (id_list(numbers), owner))

    def index_some(self, noun: MemberNoun, after: Key, limit: int = SLICE) -> Key | None:
        """Let searches find live rows, of those they do not, after a key. Where to go on; None when all are found."""
        rows = self._query(
            f"SELECT x.owner, x.id, x.number FROM {noun} x WHERE (x.owner, x.id) > (?, ?) AND x.deleted_at IS NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {noun}_text_docsize d WHERE d.id = x.number)"
            " ORDER BY x.owner, x.id LIMIT ?",
            (*after, limit),
        )
        for owner, found in groupby(rows, itemgetter(0)):
            fulltext.index(self._driver, noun, owner, [row[2] for row in found])
        return rows[-1][:2] if len(rows) == limit else None

    def indexed(self) -> list[int]:
        """How many rows each of the derived tables has."""
        return [self.count(table) for table in ("asset_look", "asset_text_docsize", "model_text_docsize")]

    def last_number(self, table: Table) -> int:
        """The greatest number that a row was ever given."""
        return self._driver.last_number(table.name)

    def set_last_number(self, table: Table, number: int) -> None:
        """Have new rows get greater ones."""
        self._driver.set_last_number(table.name, number)

    def settle(self) -> None:
        """Let the engine learn about the many rows that it was given."""
        self._driver.settle()

    def cleaned(self, table: Table, rows: list[Row]) -> list[Row]:
        """Rows as this engine can hold them, when they come from another: not every one takes U+0000."""
        if self._driver.keeps_nul:
            return rows
        return [tuple(map(_clean, row, table.kinds)) for row in rows]


def _by_owner(table: Table, column: str, rows: Sequence[Row]) -> list[tuple[int, list[int]]]:
    """The numbers in a column, once each, of each owner."""
    pairs = sorted(set(map(itemgetter(table.at("owner"), table.at(column)), rows)))
    return [(owner, [pair[1] for pair in found]) for owner, found in groupby(pairs, itemgetter(0))]


def _clean(value: Any, kind: str) -> Any:
    if type(value) is not str:
        return value
    if kind == "json":
        return without_nul(value)
    return value.replace("\0", "\ufffd")
