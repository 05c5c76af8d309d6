"""The database of a library as its engine shows it to anybody."""

from contextlib import AbstractContextManager, closing
from typing import Any

import apsw
import psycopg
from psycopg.sql import SQL, Identifier

from pinakes.config import Config
from pinakes.library import Library


def run_sql(config: Config, *statements: str) -> None:
    """Change what is stored, behind the back of whoever has the library open."""
    with _connection(config) as connection:
        for statement in statements:
            connection.execute(statement)


def ask_sql(config: Config, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What a statement answers. Values have `?` for a place, on each engine."""
    with _connection(config) as connection:
        if not config.is_postgres:
            return list(connection.execute(statement, values))
        cursor = connection.execute(statement.replace("?", "%s"), values or None)
        return cursor.fetchall() if cursor.description else []


def _connection(config: Config) -> AbstractContextManager[Any]:
    """One of its own, on which each statement is a transaction."""
    if config.is_postgres:
        return psycopg.connect(config.database_url, autocommit=True)
    return closing(apsw.Connection(str(config.database_path)))


def everything(config: Config) -> bytes:
    """All that is in the database, in whatever form it has there."""
    if not config.is_postgres:
        files = config.database_path.parent.glob(f"{config.database_path.name}*")
        return b"".join(file.read_bytes() for file in files)
    tables = ask_sql(config, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    with psycopg.connect(config.database_url) as link, link.cursor() as cursor:
        found = []
        for (table,) in tables:
            with cursor.copy(SQL("COPY {} TO STDOUT (FORMAT binary)").format(Identifier(table))) as copy:
                found += [bytes(data) for data in copy]
        return b"".join(found)


def around(library: Library) -> int:
    """How many statements a transaction that reads has besides those that ask: PostgreSQL is sent its two ends."""
    return 2 if library.config.is_postgres else 0
