"""The tables that hold a library, read off the database itself, so that no new one and no new column is forgotten."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from pinakes.store.schema import ENGINES, migrations

OF_THE_PLACE = frozenset({"pinakes_migration", "process", "rate_use"})
"""Tables about a database or the processes at it; a copy of the library has its own."""

DERIVED = frozenset({"asset_look", "asset_text", "model_text"})
"""Tables that follow from others, and are made anew wherever these go."""


class Column(NamedTuple):
    """A column of a table, as an engine tells of it. `kind` is its type, in lower case."""

    table: str
    name: str
    kind: str
    key: int
    """Its place in the primary key from 1 on, 0 when it is not in it."""
    is_counted: bool
    """Whether the engine numbers new rows in it, and gives no number twice."""


class Table(NamedTuple):
    """A table of a library. `key` tells rows apart on every engine; it comes first in `columns`, the rest by name."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    counter: str | None

    @property
    def owner(self) -> int | None:
        """Where in a row its owner is."""
        return self.columns.index("owner") if "owner" in self.columns else None

    def at(self, column: str) -> int:
        """Where in a row a column is."""
        return self.columns.index(column)


SQLITE_COLUMNS = """
SELECT t.name, c.name, lower(c.type), c.pk,
    lower(c.type) = 'integer' AND c.pk = 1 AND NOT t.wr
    AND (SELECT max(o.pk) FROM pragma_table_info(t.name) o) = 1
FROM pragma_table_list t JOIN pragma_table_info(t.name) c
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%'
"""
"""What there is in SQLite; the indexes of full text are tables of other types."""

POSTGRES_COLUMNS = """
SELECT t.relname, c.attname, format_type(c.atttypid, NULL),
    coalesce(array_position(k.indkey::int2[], c.attnum) + 1, 0), c.attidentity <> ''
FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
LEFT JOIN pg_index k ON k.indrelid = t.oid AND k.indisprimary
WHERE t.relkind IN ('r', 'p') AND t.relnamespace =
    (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('setting'))
"""
"""What there is in PostgreSQL, beside our table of settings."""


@cache
def names() -> frozenset[str]:
    """The tables that migrations make: others may lie beside them, and are none of ours."""
    sql = "".join(step.sql for engine in ENGINES for step in migrations(engine))
    return frozenset(re.findall(r"^CREATE (?:UNLOGGED )?TABLE (\w+)", sql, re.MULTILINE)) - OF_THE_PLACE - DERIVED


def tables_of(columns: Iterable[Column]) -> list[Table]:
    """The tables to copy, in order of name."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        if column.table in names():
            found.setdefault(column.table, []).append(column)
    return [_table(name, found[name]) for name in sorted(found)]


def _table(name: str, columns: Sequence[Column]) -> Table:
    kinds = {column.name: column.kind for column in columns}
    # SQLite keeps what has an id by its number alone, and PostgreSQL by owner and number.
    key = ("owner", "id") if {"owner", "id"} <= kinds.keys() else _primary_key(columns)
    names = (*key, *sorted(kinds.keys() - set(key)))
    counter = next((column.name for column in columns if column.is_counted), None)
    return Table(name, key, names, tuple(kinds[column] for column in names), counter)


def _primary_key(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in sorted(columns, key=lambda column: column.key) if column.key)
