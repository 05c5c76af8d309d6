"""Processes and folders that never outlive whoever made them, free ports, and whom servers run as."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypedDict

USER = "nobody"
"""Whom servers run as that refuse to run as root."""

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""No variable of ours changes what a server or a tool of it does."""
_FIRST_PORT, _PORTS = 20_000, 12_000
"""Below those that systems give to clients, so that none takes the port of a server that is down for a moment."""

_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30
"""A folder in memory, and the bytes that have to be free there."""

_END_PROCESS = """
read -r _
kill -QUIT "$1" || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" || exit 0; sleep 0.2; done
kill -KILL "$1"
"""
_REMOVE_FOLDER = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && [ ! -e "$1" ] && exit 0; sleep 0.3; done
"""


class Owner(NamedTuple):
    """Whom a server's process and files belong to."""

    user: int
    group: int


class _As(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


class Watch:
    """A shell that waits for us to end without notice, be it by SIGKILL, and tidies up then: its input closes."""

    def __init__(self, script: str, argument: str) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script, "watch", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self) -> None:
        """There is nothing to tidy up any more."""
        self._process.kill()
        self._process.communicate()


def watch_process(process_id: int) -> Watch:
    """Ends a server after us."""
    return Watch(_END_PROCESS, str(process_id))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for servers, in memory if there is room, and gone in the end. Its path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="pinakes-", dir=_memory()))
    watch = Watch(_REMOVE_FOLDER, str(folder))
    try:
        give(folder)
        yield folder
    finally:
        shutil.rmtree(folder)
        watch.end()


def _memory() -> Path | None:
    """A disk takes up to ten times as long to make and remove the hundreds of files of a database."""
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    memory = os.statvfs(_MEMORY)
    is_roomy = memory.f_bavail * memory.f_frsize >= _ROOM
    return None if memory.f_flag & os.ST_NOEXEC or not is_roomy else _MEMORY


def server_owner() -> Owner | None:
    """Somebody else if we are root, nobody in particular if not."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(USER)
    return Owner(entry.pw_uid, entry.pw_gid)


def give(path: Path) -> None:
    """Let servers own the file or folder."""
    if owner := server_owner():
        os.chown(path, *owner)


def is_reachable(path: Path) -> bool:
    """Whether servers can get as far as `path`: root's own folders are often closed to others."""
    owner = server_owner()
    return owner is None or all(_lets_in(folder, owner) for folder in path.resolve().parents)


def _lets_in(folder: Path, owner: Owner) -> bool:
    stat = folder.stat()
    return stat.st_uid == owner.user or bool(stat.st_mode & 0o001)


def spawn(command: list[str | Path], log: Path, *, is_ours: bool = False) -> "subprocess.Popen[bytes]":
    """Start a server in the background, out of reach of Ctrl-C. `is_ours`: it minds not to run as root."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_ENVIRONMENT,
            start_new_session=True,
            **({} if is_ours else _as_owner()),
        )


def run(command: list[str | Path], **environment: str) -> None:
    """Run a tool to its end; if it fails, the error has what it wrote."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_ENVIRONMENT | environment,
        check=False,
        **_as_owner(),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stdout.decode()}")


def _as_owner() -> _As:
    owner = server_owner()
    return {"user": owner.user, "group": owner.group, "extra_groups": []} if owner else {}


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    while True:
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
