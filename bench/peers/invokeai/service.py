"""The board storage of InvokeAI, a studio for images that keeps boards of them in SQLite.

It is no service here, but `boards.py` beside this, which calls InvokeAI's code in process: no HTTP, JSON or access, and
one call after another, for 32 clients have no meaning there. So it stands beside the bare loops: beside it, a service
does all that as well. On the other hand a service can commit for many clients at once, and this has but one. What is
called, and how that differs from ours, is said in `boards.py`.
"""

import json
import subprocess
from pathlib import Path

from bench.peers import python_versions
from bench.services import SERVER_CORE

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv/bin/python"
NAME = "InvokeAI, in process"
CAN = ("list", "add", "remove", "first", "last")


def is_set_up() -> bool:
    return PYTHON.exists()


def rates(folder: Path, operations: list[str], seconds: float) -> dict[str, tuple[float, float]]:
    """How many a second, and the CPU microseconds of one, of each operation that it can do.

    The database is in the folder, and is made there the first time.
    """
    wanted = [name for name in CAN if name in operations]
    if not wanted:
        return {}
    command = ["taskset", "-c", SERVER_CORE, str(PYTHON), str(FOLDER / "boards.py"), str(folder), str(seconds), *wanted]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return {name: (per_second, cpu) for name, (per_second, cpu) in json.loads(run.stdout).items()}


def versions() -> str:
    return python_versions(PYTHON, ("InvokeAI",))
