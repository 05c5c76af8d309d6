"""A whole database into an empty one, of whatever engines: for backups, which are files of SQLite's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pinakes.collections import MemberNoun
from pinakes.store import Tx
from pinakes.store.copying import SLICE, Key
from pinakes.store.dialect import Row
from pinakes.store.sqlite import SqliteStore, create_or_upgrade, make_one_file
from pinakes.store.tables import Table

NOUNS: tuple[MemberNoun, ...] = ("asset", "model")


def write_file(source: Tx, path: Path) -> None:
    """Make a database file of all that a snapshot has."""
    create_or_upgrade(path)
    with closing(SqliteStore(path)) as store, store.fill() as target:
        copy_all(source, target)
    make_one_file(path)


def copy_all(source: Tx, target: Tx) -> None:
    """Copy every row, and have searches find them. The settings of the target give way."""
    tables = {table.name: table for table in target.rows.tables()}
    for table in source.rows.tables():
        own = tables[table.name]
        if table.name == "setting":
            target.rows.replace(own, target.rows.slice(own, None, None), [])
        for rows in slices(source, table):
            target.rows.replace(own, [], target.rows.cleaned(own, rows))
        if own.counter:
            target.rows.set_last_number(own, source.rows.last_number(table))
    for noun in NOUNS:
        index_all(target, noun)


def slices(tx: Tx, table: Table) -> Iterator[list[Row]]:
    """All rows in order of their key."""
    after: Key | None = None
    while rows := tx.rows.slice(table, after, None, SLICE):
        yield rows
        after = rows[-1][: len(table.key)]


def index_all(tx: Tx, noun: MemberNoun) -> None:
    """Let searches find whatever they do not yet."""
    after: Key | None = (0, "")
    while after is not None:
        after = tx.rows.index_some(noun, after)
