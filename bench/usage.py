"""What processes and files take while something is measured."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of all that it has started, those that have ended too."""
    own, ended = _times(pid)
    children = [child for thread in Path(f"/proc/{pid}/task").iterdir() for child in _children(thread)]
    return own, ended + sum(sum(cpu_s(child)) for child in children)


def _children(thread: Path) -> list[int]:
    """The processes that a thread has started; none when it has ended meanwhile, for then another has them."""
    try:
        return [int(child) for child in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _times(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of those of its children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, waited_user, waited_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, waited_user + waited_system


@contextmanager
def watching(file: Path | None, core: int) -> Iterator[Callable[[], float | None]]:
    """Look at a file every 10 ms, on a core; what is yielded tells the largest size in MB that it had so far."""
    if file is None:
        yield lambda: None
        return
    largest, is_over = 0, threading.Event()

    def watch() -> None:
        nonlocal largest
        os.sched_setaffinity(0, {core})  # of this thread alone
        while not is_over.wait(0.01):
            largest = max(largest, file.stat().st_size if file.exists() else 0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: largest / 1e6
    finally:
        is_over.set()
        thread.join()
