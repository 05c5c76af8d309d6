"""The worker sweeps until it is stopped, whatever happens."""

import time
from collections.abc import Callable

import msgspec
import pytest
from conftest import make_assets
from databases import ask_sql
from shelves import left
from structlog.testing import capture_logs

from bench.explain import explained
from pinakes import assets, processes, upkeep
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.tags import TagChange
from pinakes.turns import Turn
from pinakes.upkeep import SweepReport
from pinakes.worker import Worker


def test_the_worker_sweeps_and_stops(library: Library, orphans: set[str]) -> None:
    with capture_logs() as logs:
        worker = Worker(library, first_after_s=0, every_s=3600)
        worker.start()
        wait_for(lambda: bool(logs))
        begun = time.monotonic()
        worker.stop()
    assert time.monotonic() - begun < 20
    assert [(log["event"], log["blobs"]) for log in logs] == [("swept", 2)]
    assert left(library, orphans) == set()


@pytest.mark.engine("postgres")
def test_a_young_table_is_looked_at(library: Library, admin: Actor) -> None:
    """Without, PostgreSQL compares all that has one tag with all that has another."""
    tagged = make_assets(library, admin, 60)
    for id in tagged:
        assets.update_tags(library, admin, id, TagChange(add=["red", "blue"]))
    wanted = AssetFilter(tags=("red", "blue"))
    with explained(library) as before:
        assets.get_page(library, admin, wanted, 100)
    worker = Worker(library)
    worker.start()
    wait_for(lambda: ask_sql(library.config, "SELECT 1 FROM pg_stats WHERE tablename = 'asset_tag'") != [])
    worker.stop()
    with library.store.transaction() as tx:
        assert tx.upkeep.learn() == []
    with explained(library) as after:
        assert len(assets.get_page(library, admin, wanted, 100).items) == 60
    most = [max(step.reads for one in ran for step in one.steps) for ran in (before, after)]
    assert most[0] > 10_000
    assert most[1] <= 200


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


def test_of_several_workers_one_sweeps(
    open_with: Callable[[Config], Library], config: Config, orphans: set[str], library: Library
) -> None:
    """And which of them does is open the next time."""
    with capture_logs() as logs:
        workers = [Worker(open_with(config), first_after_s=0.02, every_s=3600) for _ in range(3)]
        for worker in workers:
            worker.start()
        wait_for(lambda: bool(logs))
        time.sleep(0.3)
        for worker in workers:
            worker.stop()
    assert [log["event"] for log in logs] == ["swept"]
    assert left(library, orphans) == set()


def test_a_sweep_that_was_stopped_is_due_at_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def until_told(_library: Library, *, rest: upkeep.Rest) -> SweepReport:
        while not rest(0.01):
            pass
        return SweepReport()

    monkeypatch.setattr(upkeep, "sweep", until_told)
    worker = Worker(library, first_after_s=0, every_s=3600)
    worker.start()
    turn = Turn(library, "sweep_due_at")
    wait_for(lambda: not turn.take())
    worker.stop()
    assert turn.take()


def test_settings_that_differ_are_logged_once(
    open_with: Callable[[Config], Library], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "NOTE_S", 0.02)
    other = open_with(msgspec.structs.replace(config, trash_days=7))
    processes.note(other, processes.this(other))
    library = open_with(config)
    with capture_logs() as logs:
        worker = Worker(library)
        worker.start()
        wait_for(lambda: bool(logs) or library.store.is_embedded)
        time.sleep(0.2)
        worker.stop()
    told = [log["settings"] for log in logs if log["event"] == "settings differ"]
    assert told == ([] if library.store.is_embedded else [["trash_days"]])


def test_a_worker_that_never_began_stops(library: Library) -> None:
    Worker(library).stop()


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
