"""What people would use instead, each in a folder of its own, whose `service.py` says how it is set up and started.

What a folder installs is in it, made by `make bench-peers` alone.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.services import Service


@dataclass(frozen=True)
class Peer:
    """How to compare with one.

    `make` takes an empty folder and the URL of an empty PostgreSQL database, or "" for SQLite; it prepares the service
    as far as that goes before it runs. `fill` gives the running service what every service holds (`prepare.fill`), and
    stores what the operations pick from. `versions` is a line that names what runs.
    """

    name: str
    is_set_up: Callable[[], bool]
    engines: frozenset[str]
    make: Callable[[Path, str], Service]
    fill: Callable[[Service], None]
    versions: Callable[[], str]
    speaks_ours: bool = False
    """It has this API, so that its answers and refusals are compared with ours."""
    is_large: bool = False
    """It holds as much as our large library does, and is for `--large` alone. Without this it is for the small size."""


def python_versions(program: Path, packages: tuple[str, ...]) -> str:
    """The versions of a Python and of packages in its environment."""
    code = (
        "import platform, sys, importlib.metadata as m;"
        "print('python', platform.python_version(), *(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    )
    return subprocess.run([program, "-c", code, *packages], capture_output=True, text=True, check=True).stdout.strip()
