"""What one process at a time does: taken by one, held while it is renewed, and free when it is not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Clock

from pinakes import ids
from pinakes.config import Config
from pinakes.library import Library
from pinakes.turns import LEASE_MS, Turn

Open = Callable[[], Library]


@pytest.fixture
def turns(open_with: Open, clock: Clock) -> list[Turn]:
    """The same turn, as two processes see it."""
    assert clock.ms
    return [Turn(open_with(), "sweep"), Turn(open_with(), "sweep")]


def test_one_of_two_has_it(turns: list[Turn], clock: Clock) -> None:
    ours, theirs = turns
    assert ours.take()
    assert not theirs.take()
    ours.end(ids.iso(clock.ms + 1000))
    assert not theirs.take()
    clock.move(ms=1000)
    assert theirs.take()
    assert not ours.take()


def test_it_is_held_as_long_as_it_is_renewed(turns: list[Turn], clock: Clock) -> None:
    ours, theirs = turns
    assert ours.take()
    for _ in range(3):
        clock.move(ms=LEASE_MS - 1)
        ours.renew()
        assert not ours.is_lost()
        assert not theirs.take()


def test_who_is_killed_loses_it(turns: list[Turn], clock: Clock) -> None:
    """And who only slept notices, and takes nothing away from the next."""
    ours, theirs = turns
    assert ours.take()
    clock.move(ms=LEASE_MS + 1)
    assert ours.is_lost()
    assert theirs.take()
    ours.renew()
    assert ours.is_lost()
    ours.end(ids.now())
    assert not ours.take()
    theirs.renew()
    assert not theirs.is_lost()


def test_names_do_not_meet(library: Library) -> None:
    assert Turn(library, "sweep").take()
    assert Turn(library, "rest").take()


def test_of_many_at_once_one_takes_it(open_with: Callable[[Config], Library], config: Config) -> None:
    turns = [Turn(open_with(config), "sweep") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(Turn.take, turns)) == [False, False, False, True]
