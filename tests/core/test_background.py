"""Threads that let others go first."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from pinakes.background import NICE, stand_back


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_stands_back_alone() -> None:
    before = own()
    with ThreadPoolExecutor(1, initializer=stand_back) as aside, ThreadPoolExecutor(1) as beside:
        assert aside.submit(own).result() == NICE
        assert beside.submit(own).result() == before
    assert own() == before


def test_so_do_those_that_it_starts() -> None:
    seen = []

    def start() -> None:
        thread = threading.Thread(target=lambda: seen.append(own()))
        thread.start()
        thread.join()

    with ThreadPoolExecutor(1, initializer=stand_back) as aside:
        aside.submit(start).result()
    assert seen == [NICE]
