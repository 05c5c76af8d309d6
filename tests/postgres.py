"""One PostgreSQL server for all tests of a process, from the first that asks for it, and others to be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.pgbouncer import Pooler, pgbouncer
from local.postgres import QUICK, PostgresServer, temporary_server
from local.processes import temporary_folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with temporary_server() as server:
        yield server


@pytest.fixture(scope="session")
def pooler(postgres: PostgresServer) -> Iterator[Pooler]:
    """A PgBouncer before that server. It lets go of connections soon, or databases could not be dropped."""
    with pgbouncer(postgres, default_pool_size=4, server_idle_timeout=1) as pooler:
        yield pooler


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Servers may write here also when root runs the tests, which is not so for `tmp_path`."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def primary(server_folder: Path) -> Iterator[PostgresServer]:
    """A server for one test, which keeps what it answers."""
    server = PostgresServer.start(server_folder / "primary", **(QUICK | {"fsync": True, "synchronous_commit": True}))
    yield server
    server.stop()


@pytest.fixture
def standby(primary: PostgresServer, server_folder: Path) -> Iterator[PostgresServer]:
    """A synchronous copy of it."""
    server = primary.standby(server_folder / "standby")
    yield server
    server.stop()
