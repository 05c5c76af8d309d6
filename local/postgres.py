"""PostgreSQL servers to start, kill and start again, several at once, with standbys; nothing need be installed."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psutil
import psycopg
from psycopg.abc import QueryNoTemplate
from psycopg.sql import SQL, Identifier, Literal

from local.processes import Watch, free_port, give, is_reachable, run, spawn, temporary_folder, watch_process
from local.programs import find_programs

QUICK: dict[str, Any] = {
    "fsync": False,
    "synchronous_commit": False,
    "full_page_writes": False,
    "autovacuum": False,
    "jit": False,
    "max_connections": 200,
    "shared_buffers": "32MB",
    "checkpoint_timeout": "1h",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
}
"""For data that nobody will miss. It outlasts its server all the same, but no power cut."""

_LIMIT_S = 60
_SOCKET_LIMIT = 80
"""So many bytes may a folder's path have for a socket in it to have a name that systems take."""
_MEMORY_LINE, _STATUS_LINE = 6, 7
"""Of the file in which a server says how it is."""


class PostgresServer:
    """A server with a folder of its own, which has its data, its log, its password and its socket."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None
        self._connection: psycopg.Connection | None = None
        self._made = 0
        self._prepare_folder()

    @classmethod
    def start(cls, folder: Path, port: int | None = None, **settings: Any) -> Self:
        """A server on the data in the folder, made if there is none. `settings` are PostgreSQL's own."""
        server = cls(folder, port)
        if not server._data.exists():
            server._make_data(secrets.token_urlsafe(24))
        lines = (f"{name} = {_setting(value)}\n" for name, value in settings.items())
        (server._data / "postgresql.conf").write_text("".join(lines))
        server.restart()
        return server

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def password(self) -> str:
        """Of `postgres`, who may do everything."""
        return self._password_file.read_text()

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres", *, is_socket: bool = False) -> str:
        """Where clients find the database: over TCP, or through the socket in the folder."""
        name = quote(database, safe="")
        if is_socket:
            folder = quote(str(self.folder), safe="")
            return f"postgresql://postgres:{self.password}@/{name}?host={folder}&port={self.port}"
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{name}"

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not is_reachable(self.folder):
            raise ValueError(f"folder: PostgreSQL does not run as root, and nobody else can enter {self.folder}")
        if len(os.fsencode(self.folder)) > _SOCKET_LIMIT:
            raise ValueError(f"folder: the path has more than {_SOCKET_LIMIT} bytes: {self.folder}")
        give(self.folder)

    def _make_data(self, password: str) -> None:
        self._keep_password(password)
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        who: list[str | Path] = ["-U", "postgres", "--pwfile", self._password_file, "--auth=scram-sha-256"]
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # A password of 192 random bits is not found by trying: one round of hashing makes connecting quick.
        how = ["--set=scram_iterations=1", "--no-sync", "--no-instructions"]
        run([self._program("initdb"), "-D", unfinished, *who, *locale, *how])
        unfinished.rename(self._data)

    def _keep_password(self, password: str) -> None:
        self._password_file.touch(0o600)
        self._password_file.write_text(password)
        give(self._password_file)

    def _program(self, name: str) -> Path:
        return find_programs(self.folder) / name

    def restart(self) -> None:
        """Start again on the same port, also after a crash. Whoever is connected is cut off."""
        self.stop()
        where: list[str | Path] = ["-D", self._data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder]
        # All of its memory that has a name is in the folder, and goes with it after a crash.
        where += ["-c", "dynamic_shared_memory_type=mmap"]
        self._process = spawn([self._program("postgres"), *where], self.log)
        self._watch = watch_process(self._process.pid)
        try:
            wait_until(self._is_ready, "PostgreSQL to start")
        except BaseException:
            self.stop(signal.SIGQUIT)
            raise

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start: {self.log.read_text()[-2000:]}")
        lines = self._status()
        return len(lines) > _STATUS_LINE and lines[0] == str(self._process.pid) and lines[_STATUS_LINE] == "ready"

    def _status(self) -> list[str]:
        try:
            return [line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, whoever is connected. SIGQUIT is quicker, but has the next start replay the log."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_LIMIT_S)
        self._forget()

    def kill(self) -> None:
        """As a power cut to all of its processes at once."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        parent.suspend()  # it starts no other, and cannot tell them
        processes = [*parent.children(recursive=True), parent]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(_LIMIT_S)
        wait_until(lambda: not any(_is_alive(process) for process in processes), "processes to end")
        self._free_memory()
        self._forget()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """As a machine that hangs: whoever is connected stays so, and gets no answer."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        processes = [parent, *parent.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _free_memory(self) -> None:
        """A power cut would free this too: a few bytes of shared memory that the system keeps after its last user."""
        lines = self._status()
        if len(lines) > _MEMORY_LINE and (memory := lines[_MEMORY_LINE].split()):
            run(["ipcrm", "-m", memory[1]])

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._watch is not None:
            self._watch.end()
        self._process = self._watch = self._connection = None

    def execute(self, statement: QueryNoTemplate, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement in the database `postgres` answers."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.url(), autocommit=True)
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, template: str | None = None) -> str:
        """The URL of a new database, empty or a copy of one that nobody is connected to."""
        source = SQL(" TEMPLATE {} STRATEGY file_copy").format(Identifier(template)) if template else SQL("")
        self.execute(SQL("CREATE DATABASE {}{}").format(Identifier(name), source))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Whoever is connected is cut off."""
        # PostgreSQL itself sleeps for 100 ms if somebody is there, also if they are about to leave.
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        wait_until(lambda: not self.execute(others, name), f"connections to {name} to end")
        self.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def make_template(self, name: str, build: Callable[[str], None]) -> None:
        """A database that `build`, which gets its URL, fills once; nobody can connect to it any more after that."""
        if self.execute("SELECT 1 FROM pg_database WHERE datname = %s AND NOT datallowconn", name):
            return
        build(self.create_database(name))
        self.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """The URL of a database that nobody else uses, as the template is or empty. It is dropped in the end."""
        self._made += 1
        name = f"{template or 'empty'}_{self._made}"
        yield self.create_database(name, template)
        self.drop_database(name)

    def standby(self, folder: Path, *, is_synchronous: bool = True, port: int | None = None) -> "PostgresServer":
        """A running copy that follows this server. If synchronous, no commit here is answered before it has it."""
        if is_synchronous and self.execute("SHOW synchronous_commit") == [("off",)]:
            raise ValueError("synchronous_commit: commits wait for no standby while it is off")
        copy = PostgresServer(folder, port)
        copy._keep_password(self.password)
        name = f"standby_{copy.port}"
        source = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", f"application_name={name}"]
        how = ["-R", "-X", "stream", "-c", "fast", "--no-sync"]
        run([self._program("pg_basebackup"), "-D", copy._data, *source, *how], PGPASSWORD=self.password)
        copy.restart()
        if is_synchronous:
            self.execute(SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(Literal(name)))
            self.execute("SELECT pg_reload_conf()")
        state = "sync" if is_synchronous else "async"
        following = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = %s"
        wait_until(lambda: bool(self.execute(f"{following} AND state = 'streaming'", name, state)), "the standby")
        return copy

    def promote(self) -> None:
        """Make a standby a server that takes writes, and waits for no other."""
        self.execute("SELECT pg_promote()")
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.execute("SELECT pg_reload_conf()")

    def position(self) -> str:
        """How far the log of writes is."""
        return str(self.execute("SELECT pg_current_wal_lsn()")[0][0])

    def wait_for(self, position: str) -> None:
        """Until a standby shows all that was written to its server up to there."""
        replayed = "SELECT 1 WHERE pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(lambda: bool(self.execute(replayed, position)), f"the standby to reach {position}")


@contextmanager
def temporary_server(**settings: Any) -> Iterator[PostgresServer]:
    """A quick server, unless the settings say otherwise, of which nothing is left in the end."""
    with temporary_folder() as folder:
        server = PostgresServer.start(folder / "postgres", **(QUICK | settings))
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Look every few milliseconds, for a minute."""
    deadline = time.monotonic() + _LIMIT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_LIMIT_S} seconds for {what}")
        time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "'{}'".format(str(value).replace("'", "''"))
