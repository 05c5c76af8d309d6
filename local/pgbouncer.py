"""PgBouncer in front of a PostgreSQL server: clients share its connections, each for one transaction at a time."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from local.postgres import PostgresServer, wait_until
from local.processes import free_port, give, spawn, temporary_folder, watch_process


class Pooler(NamedTuple):
    """A PgBouncer that runs."""

    server: PostgresServer
    port: int

    def url(self, database: str = "postgres") -> str:
        """Where clients find the database of the server, through the pooler."""
        return self.server.url(database).replace(f":{self.server.port}/", f":{self.port}/")


@contextmanager
def pgbouncer(server: PostgresServer, **settings: Any) -> Iterator[Pooler]:
    """`settings` are PgBouncer's own, such as `default_pool_size`."""
    with temporary_folder() as folder:
        pooler = Pooler(server, free_port())
        configuration = _configure(pooler, folder, settings)
        process = spawn([_program(), configuration], folder / "log")
        watch = watch_process(process.pid)

        def is_ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"PgBouncer did not start: {(folder / 'log').read_text()[-2000:]}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", pooler.port)) == 0

        try:
            wait_until(is_ready, "PgBouncer to start")
            yield pooler
        finally:
            process.kill()
            process.wait()
            watch.end()


def _program() -> str:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise RuntimeError("PgBouncer is not installed: apt-get install pgbouncer")
    return program


def _configure(pooler: Pooler, folder: Path, settings: dict[str, Any]) -> Path:
    users = _write(folder / "users", f'"postgres" "{pooler.server.password}"\n')
    own = {
        "listen_addr": "127.0.0.1",
        "listen_port": pooler.port,
        "unix_socket_dir": folder,
        "auth_type": "scram-sha-256",
        "auth_file": users,
        "pool_mode": "transaction",
        "max_client_conn": 1000,
    }
    lines = (f"{name} = {value}\n" for name, value in (own | settings).items())
    where = f"[databases]\n* = host=127.0.0.1 port={pooler.server.port}\n"
    return _write(folder / "pgbouncer.ini", f"{where}[pgbouncer]\n{''.join(lines)}")


def _write(path: Path, text: str) -> Path:
    """A file that only the pooler reads."""
    path.touch(0o600)
    path.write_text(text)
    give(path)
    return path
