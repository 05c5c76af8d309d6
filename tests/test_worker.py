"""The worker sweeps until it is stopped, whatever happens."""

import time
from collections.abc import Callable

import pytest
from shelves import left
from structlog.testing import capture_logs

from pinakes import upkeep
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.upkeep import SweepReport
from pinakes.worker import Worker


def test_the_worker_sweeps_and_stops(library: Library, orphans: set[str]) -> None:
    with capture_logs() as logs:
        worker = Worker(library, first_after_s=0, every_s=3600)
        worker.start()
        wait_for(lambda: bool(logs))
        begun = time.monotonic()
        worker.stop()
    assert time.monotonic() - begun < 2
    assert [(log["event"], log["blobs"]) for log in logs] == [("swept", 2)]
    assert left(library, orphans) == set()


def test_the_worker_survives_errors(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [PinakesError("UNAVAILABLE", "disk gone"), RuntimeError("a bug"), None]
    real = upkeep.sweep

    def sometimes(library: Library, *, rest: upkeep.Rest) -> SweepReport:
        error = answers.pop(0) if answers else None
        if error:
            raise error
        return real(library, rest=rest)

    monkeypatch.setattr(upkeep, "sweep", sometimes)
    with capture_logs() as logs:
        worker = Worker(library, first_after_s=0, every_s=0.01)
        worker.start()
        wait_for(lambda: any(log["event"] == "swept" for log in logs))
        worker.stop()
    assert [log["log_level"] for log in logs[:3]] == ["warning", "error", "info"]


def test_a_worker_that_never_began_stops(library: Library) -> None:
    Worker(library).stop()


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
