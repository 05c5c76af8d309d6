"""A complete set-up on this machine: PostgreSQL, an S3 server, and Pinakes with two workers on both.

All of it is kept in one folder and goes on where it was when it is started again. Ctrl-C stops it.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.postgres import PostgresServer
from local.processes import watch_process
from local.s3 import S3Server

_DATABASE, _BUCKET = "pinakes", "pinakes"
_STOPS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run it all until Ctrl-C or SIGTERM; the exit status of Pinakes."""
    arguments = _parse()
    folder: Path = arguments.data.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    stopping: list[int] = []
    for sign in _STOPS:
        signal.signal(sign, lambda number, _frame: stopping.append(number))
    with _database(folder) as database_url, _bucket(folder) as (blob_url, keys):
        settings = {
            "PINAKES_DATA": str(folder / "pinakes"),
            "PINAKES_DATABASE_URL": database_url,
            "PINAKES_BLOB_URL": blob_url,
            **keys,
        }
        _tell_commands(folder, settings)
        return 0 if stopping else _serve(settings, arguments.options, stopping)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data-large"), help="the folder; ./data-large")
    parser.add_argument("options", nargs="*", help="of `pinakes serve`, after --")
    return parser.parse_args()


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    """A PostgreSQL that keeps what it answers, as it does unless told otherwise."""
    server = PostgresServer.start(folder / "postgres", max_connections=200, shared_buffers="256MB", jit=False)
    try:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", _DATABASE):
            server.create_database(_DATABASE)
            os.sync()  # making a server's files does not wait for the disk
        yield server.url(_DATABASE)
    finally:
        server.stop()


@contextmanager
def _bucket(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    server = S3Server.start(folder / "s3")
    try:
        server.make_bucket(_BUCKET)
        yield server.url(_BUCKET), server.environment()
    finally:
        server.stop()


def _tell_commands(folder: Path, settings: dict[str, str]) -> None:
    """What other commands have to know to work on the same library."""
    path = folder / "environment"
    path.touch(0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
    print(f"For other commands, as long as this runs: source {path}", flush=True)


def _serve(settings: dict[str, str], options: list[str], stopping: list[int]) -> int:
    """Out of reach of Ctrl-C, so that it is told to stop once, and by us."""
    command = [sys.executable, "-m", "pinakes", "serve", "--workers", "2", *options]
    process = subprocess.Popen(command, env=os.environ | settings, start_new_session=True)
    watch = watch_process(process.pid)
    for sign in _STOPS:
        signal.signal(sign, lambda _number, _frame: process.terminate())
    if stopping:
        process.terminate()
    try:
        return process.wait()
    finally:
        watch.end()


if __name__ == "__main__":
    sys.exit(main())
