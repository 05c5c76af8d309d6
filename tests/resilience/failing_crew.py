"""A supervisor whose processes fail in one of several ways; each leaves a file. `test_supervisor.py` runs it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pinakes.api import supervisor
from pinakes.api.observe import configure_logs
from pinakes.config import Config
from pinakes.errors import PinakesError

Ready = Callable[[], object]


def never_again(number: int, ready: Ready) -> int:
    """The first two start and die soon after; none starts after that."""
    if number >= 2:
        raise PinakesError("UNAVAILABLE", "This does not start.")
    ready()
    time.sleep(0.3)
    return 1


def second_fails(number: int, ready: Ready) -> int:
    if number == 1:
        raise PinakesError("UNAVAILABLE", "The second does not start.")
    return serve(number, ready)


def killed(number: int, _ready: Ready) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def deaf(number: int, ready: Ready) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return serve(number, ready)


def fickle(number: int, ready: Ready) -> int:
    """Each is ready and dies, until the tenth, and its successor, do not."""
    ready()
    if number < 10:
        return 1
    return serve(number, ready)


def serve(number: int, ready: Ready) -> int:
    ready()
    time.sleep(60)
    return number


def greet(folder: Path) -> int:
    (folder / "greeted").touch()
    return 7 if sys.argv[2] == "rude" else 0


def main(folder: Path, way: str) -> int:
    configure_logs(Config())
    supervisor.LEAST_S, supervisor.STOP_S = 0.01, 1.0
    do = {"never again": never_again, "second fails": second_fails, "killed": killed, "deaf": deaf, "fickle": fickle}

    def work(ready: Ready) -> int:
        number = len(list(folder.glob("[0-9]*")))
        (folder / str(os.getpid())).touch()
        return do.get(way, serve)(number, ready)

    return supervisor.Supervisor(2, work, lambda: greet(folder), lambda _pid: None).run()


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
    except PinakesError as error:
        sys.exit(error.message)
