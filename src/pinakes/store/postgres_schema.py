"""A database of PostgreSQL before it is opened: whether it can be, which schema it has, and how it gets the newest."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pinakes.errors import bad_request
from pinakes.store import schema
from pinakes.store.connections import connect
from pinakes.store.failures import violations

LOCKS = 0x50494E41
"""The first half of our advisory locks, lest they meet those of others in the same database."""
_SCHEMA = -1


def check_url(url: str) -> None:
    """BAD_REQUEST for what is no address of a database. It may hold a password, and is not told again."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        form = "postgresql://user:password@host:5432/name, with special characters percent-encoded"
        raise bad_request(
            "database_url", f"this is no address of a PostgreSQL database; it has the form {form}"
        ) from error


def is_created(url: str) -> bool:
    """Whether the database holds a schema of ours, of whatever version."""
    with violations():
        return version_of(url) > 0


def create_or_upgrade(url: str) -> list[str]:
    """Bring a database to the newest schema, creating it if need be; the names of the migrations that ran.

    Of several processes that do so at once, one does, and the others wait for it.
    """
    ran = []
    with violations(), connect(url) as connection, connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCKS}, {_SCHEMA})")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS pinakes_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
        )
        rows = connection.execute("SELECT coalesce(max(number), 0) FROM pinakes_migration").fetchall()
        for number, name, sql in schema.migrations("postgres"):
            if number > rows[0][0]:
                connection.execute(sql)
                connection.execute("INSERT INTO pinakes_migration (number, name) VALUES (%s, %s)", (number, name))
                ran.append(name)
    return ran


def version_of(url: str) -> int:
    """The number of its newest migration; 0 where there is none of ours."""
    with connect(url) as connection:
        if connection.execute("SELECT to_regclass('pinakes_migration')").fetchall() == [(None,)]:
            return 0
        return int(connection.execute("SELECT coalesce(max(number), 0) FROM pinakes_migration").fetchall()[0][0])
