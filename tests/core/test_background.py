"""Threads that let others go first."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from pinakes.background import NICE, stand_back


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_stands_back_alone() -> None:
    before = own()
    assert before + 5 == NICE
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


def test_a_server_that_is_nice_itself_stays_nicer_than_its_helpers() -> None:
    """Without the right to raise a priority, nobody is stopped by lacking it."""
    script = (
        "import os; os.nice(17); from pinakes.background import NICE, stand_back; stand_back();"
        "print(NICE, os.getpriority(os.PRIO_PROCESS, 0)); os.nice(2); stand_back()"
    )
    ran = subprocess.run(["setpriv", "--reuid=65534", sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("19 19\n", "")
