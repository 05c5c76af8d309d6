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
FOLDER = Path(sys.argv[1])


def never_again(number: int, ready: Ready) -> int:
    """The first two start and die when all are greeted; none starts after that."""
    if number >= 2:
        raise PinakesError("UNAVAILABLE", "This does not start.")
    return die(ready)


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
    return die(ready) if number < 10 else serve(number, ready)


def die(ready: Ready) -> int:
    """Not before the greeting: one that ends while the others start ends them too."""
    ready()
    while not (FOLDER / "greeted").exists():
        time.sleep(0.01)
    return 1


def serve(number: int, ready: Ready) -> int:
    ready()
    time.sleep(60)
    return number


def greet() -> int:
    (FOLDER / "greeted").touch()
    return 7 if sys.argv[2] == "rude" else 0


def main(way: str) -> int:
    configure_logs(Config())
    supervisor.LEAST_S, supervisor.STOP_S = 0.01, 1.0
    do = {"never again": never_again, "second fails": second_fails, "killed": killed, "deaf": deaf, "fickle": fickle}

    def work(ready: Ready) -> int:
        number = len(list(FOLDER.glob("[0-9]*")))
        (FOLDER / str(os.getpid())).touch()
        return do.get(way, serve)(number, ready)

    return supervisor.Supervisor(2, work, greet, lambda _pid: None).run()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[2]))
    except PinakesError as error:
        sys.exit(error.message)
