"""Threads and processes that work for nobody who waits, or for somebody who waits for long anyway."""

import os
import sys
import threading
from contextlib import suppress

NICE = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
"""Five more than the process was started with: a quarter of a core where others want all of it, the whole where not."""


def stand_back(process: int | None = None) -> None:
    """Let those who answer go before this thread, or a process, and what that starts from now on.

    On Linux, where each thread has a nice value (setpriority(2)); elsewhere, and where it is forbidden, nothing.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process or threading.get_native_id(), NICE)
