"""Threads that work for nobody who waits, or for somebody who waits for long anyway."""

import os
import sys
import threading

NICE = 5
"""With that, a thread gets a quarter of a core where another wants all of it, and the whole where none does."""


def stand_back() -> None:
    """Let threads that answer go before this one, and before those that it starts. On Linux; elsewhere nothing.

    Linux has a nice value for each thread (setpriority(2)), others for a process, which would be ours as a whole.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
