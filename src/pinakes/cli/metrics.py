"""The folder in which workers put their metrics together."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from pinakes.config import share_metrics

_PREFIX = "pinakes-metrics-"
_YOUNG_S = 60.0


@contextmanager
def shared_metrics() -> Iterator[None]:
    """For the processes that are started meanwhile. The library that counts must not be loaded before.

    They come by the end of this too, and leave it to the first. If that one was killed, the folder is left to whoever
    starts next: it is locked as long as any of them lives.
    """
    _remove_left()
    folder, owner = mkdtemp(prefix=_PREFIX), os.getpid()
    lock = os.open(folder, os.O_RDONLY)
    flock(lock, LOCK_EX)
    share_metrics(folder)
    try:
        yield
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder)
            os.close(lock)


def _remove_left() -> None:
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            if folder.stat().st_mtime < time.time() - _YOUNG_S:
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flock(lock, LOCK_EX | LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
