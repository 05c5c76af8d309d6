"""Writing a large library into an engine, and what each of its tables and indexes takes there."""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import NamedTuple

import apsw
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from bench.large_rows import COLUMNS, Batch
from pinakes.config import Config

NUMBERED = ("asset", "collection", "model")


class Part(NamedTuple):
    """A table or an index: its table, its bytes on disk, and the rows of the table."""

    name: str
    table: str
    bytes: int
    rows: int


def write(config: Config, batches: Iterable[Batch], progress: Callable[[str], None]) -> None:
    """All or nothing, into a library that is new. Indexes are dropped meanwhile and made at the end."""
    (_copy if config.is_postgres else _insert)(config, batches, progress)


def parts(config: Config) -> list[Part]:
    """What each table and index takes."""
    return _postgres_parts(config) if config.is_postgres else _sqlite_parts(config)


def _copy(config: Config, batches: Iterable[Batch], progress: Callable[[str], None]) -> None:
    with psycopg.connect(config.database_url) as connection:
        connection.execute("SET statement_timeout = 0; SET maintenance_work_mem = '1GB'; SET synchronous_commit = off")
        again = _drop_indexes(connection)
        for batch in batches:
            for table, rows in batch.items():
                names = SQL(", ").join(map(Identifier, COLUMNS[table].split()))
                command = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), names)
                with connection.cursor().copy(command) as copy:
                    for row in rows:
                        copy.write_row(row)
            progress(", ".join(batch))
        for table in NUMBERED:
            last = SQL("SELECT setval(pg_get_serial_sequence({}, 'number'), max(number)) FROM {}")
            connection.execute(last.format(Literal(table), Identifier(table)))
        for definition in again:
            connection.execute(definition.encode())
            progress(definition[:60])
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("VACUUM (ANALYZE)")


def _drop_indexes(connection: psycopg.Connection) -> list[str]:
    """The commands that make them again."""
    again: list[str] = []
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY(%s)",
        (list(COLUMNS),),
    ).fetchall()
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ANY(%s)"
        " AND indexname <> ALL(%s)",
        (list(COLUMNS), [name for _, name, _ in keys]),
    ).fetchall()
    for table, name, definition in keys:
        connection.execute(SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(Identifier(table), Identifier(name)))
        again.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for name, definition in indexes:
        connection.execute(SQL("DROP INDEX {}").format(Identifier(name)))
        again.append(definition)
    return again


def _insert(config: Config, batches: Iterable[Batch], progress: Callable[[str], None]) -> None:
    with closing(apsw.Connection(str(config.database_path))) as connection:
        for name, value in (("journal_mode", "off"), ("synchronous", "off"), ("cache_size", -1_000_000)):
            connection.pragma(name, value)
        with connection:
            found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql <> ''")
            indexes = [(str(row[0]), str(row[1])) for row in found]
            for index, _ in indexes:
                connection.execute(f"DROP INDEX {index}")
            for batch in batches:
                for table, rows in batch.items():
                    names, values = COLUMNS[table].split(), rows
                    if table.endswith("_text"):
                        names, values = names[1:], [row[1:] for row in rows]
                    marks = ", ".join("?" * len(names))
                    connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
                progress(", ".join(batch))
            for index, command in indexes:
                connection.execute(command)
                progress(index)
        connection.pragma("journal_mode", "wal")


def _postgres_parts(config: Config) -> list[Part]:
    with psycopg.connect(config.database_url) as connection:
        found = connection.execute(
            "SELECT i.relname, t.relname, pg_table_size(i.oid), t.reltuples::bigint FROM pg_class i"
            " LEFT JOIN pg_index x ON x.indexrelid = i.oid JOIN pg_class t ON t.oid = coalesce(x.indrelid, i.oid)"
            " WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(%s)",
            (list(COLUMNS),),
        ).fetchall()
    return sorted(Part(*row) for row in found)


def _sqlite_parts(config: Config) -> list[Part]:
    with closing(apsw.Connection(str(config.database_path))) as connection:
        sizes = dict(connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = true"))
        tables = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema"))
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchall() for table in COLUMNS}
    rows = {table: int(str(found[0][0])) for table, found in counts.items()}
    found = []
    for name, size in ((str(name), int(str(size))) for name, size in sizes.items()):
        table = str(tables.get(name, name))
        table = next((of for of in ("asset_text", "model_text") if table.startswith(of)), table)
        if table in rows:
            found.append(Part(name, table, size, rows[table]))
    return sorted(found)
