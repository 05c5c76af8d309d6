"""One PostgreSQL server for all tests of a process, from the first that asks for it, and folders for others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import PostgresServer, temporary_server
from local.processes import temporary_folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with temporary_server() as server:
        yield server


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Servers may write here also when root runs the tests, which is not so for `tmp_path`."""
    with temporary_folder() as folder:
        yield folder
