"""The PgBouncer that tests put before PostgreSQL does share connections, and knows who may come in."""

import psycopg
import pytest

from local.pgbouncer import pgbouncer
from local.postgres import PostgresServer

PID = "SELECT pg_backend_pid()"


def test_clients_take_turns_on_one_connection(postgres: PostgresServer) -> None:
    with (
        pgbouncer(postgres, default_pool_size=1) as pooler,
        postgres.fresh() as url,
        psycopg.connect(pooler.url(url.rpartition("/")[2]), prepare_threshold=None, autocommit=True) as one,
        psycopg.connect(pooler.url(url.rpartition("/")[2]), prepare_threshold=None, autocommit=True) as another,
    ):
        with one.transaction():
            pid = one.execute(PID).fetchone()
        with another.transaction():
            assert another.execute(PID).fetchone() == pid


def test_refuses_a_wrong_password(postgres: PostgresServer) -> None:
    with pgbouncer(postgres) as pooler, pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        psycopg.connect(pooler.url().replace(postgres.password, "guessed"))


def test_says_why_it_does_not_start(postgres: PostgresServer) -> None:
    with pytest.raises(RuntimeError, match="no_such_setting"), pgbouncer(postgres, no_such_setting=1):
        pass
