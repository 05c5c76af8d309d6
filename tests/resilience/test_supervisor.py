"""Processes that fail as they start, or over and over, or do not stop."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from crews import is_there, wait_for

SCRIPT = Path(__file__).parent / "failing_crew.py"


@contextmanager
def crew(folder: Path, way: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), way], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def ends(folder: Path, way: str) -> tuple[int, list[str]]:
    """How a crew ends by itself: the status, and what it said."""
    with crew(folder, way) as process:
        _, said = process.communicate(timeout=30)
        assert started(folder)
        assert not any(is_alive(pid) for pid in started(folder))
        return process.returncode, said.splitlines()


def started(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.glob("[0-9]*")]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_there(psutil.Process(pid))


def test_one_that_cannot_start_ends_all(tmp_path: Path) -> None:
    assert ends(tmp_path, "second fails") == (1, ["The second does not start."])
    assert len(started(tmp_path)) == 2
    assert not (tmp_path / "greeted").exists()


def test_one_that_is_killed_at_the_start(tmp_path: Path) -> None:
    """It could not say so itself."""
    assert ends(tmp_path, "killed") == (1, ["A worker was killed by signal 9 while it started."])
    assert len(started(tmp_path)) == 1


def test_a_greeting_that_fails_ends_all(tmp_path: Path) -> None:
    assert ends(tmp_path, "rude") == (7, [])
    assert len(started(tmp_path)) == 2


def test_when_none_can_be_started_any_more(tmp_path: Path) -> None:
    status, said = ends(tmp_path, "never again")
    assert status == 1
    assert said[-1] == "No worker can be started any more; the log says why."
    assert sum('"worker died"' in line for line in said) >= 12
    assert 12 <= len(started(tmp_path)) <= 16


def test_one_that_dies_over_and_over_is_tried_again(tmp_path: Path) -> None:
    with crew(tmp_path, "fickle") as process:
        # Two that begin at the same time may count alike, and then one more dies.
        wait_for(lambda: len(started(tmp_path)) >= 12 and sum(map(is_alive, started(tmp_path))) == 2)
        time.sleep(0.2)
        assert sum(map(is_alive, started(tmp_path))) == 2
        assert (tmp_path / "greeted").exists()
        process.terminate()
        assert process.wait(10) == 0


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    with crew(tmp_path, "deaf") as process:
        wait_for((tmp_path / "greeted").exists)
        begun = time.monotonic()
        process.terminate()
        assert process.wait(10) == 1
        assert 0.9 < time.monotonic() - begun < 8
        assert not any(is_alive(pid) for pid in started(tmp_path))
        assert process.stderr
        assert process.stderr.read().count("did not stop") == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
def test_none_outlives_the_parent(tmp_path: Path, how: signal.Signals) -> None:
    with crew(tmp_path, "serve") as process:
        wait_for((tmp_path / "greeted").exists)
        process.send_signal(how)
        assert process.wait(10) == -how
        wait_for(lambda: not any(is_alive(pid) for pid in started(tmp_path)), 5)
