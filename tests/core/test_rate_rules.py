"""How fast a key is, counted over all processes: a bucket in the database, which leaks by its clock."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pinakes import rates, upkeep
from pinakes.api.limits import RateLimit
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library

RATE = 20


def test_what_all_used_is_summed_up(open_with: Callable[[Config], Library], config: Config) -> None:
    one, two = open_with(config), open_with(config)
    assert rates.exchange(one, RATE, {"a": 15, "b": 0}) == {"a": 15, "b": 0}
    assert 10 < rates.exchange(two, RATE, {"a": 5})["a"] <= 20
    assert rates.exchange(two, RATE, {}) == {}
    assert rates.exchange(two, RATE, {"c": 1}) == {"c": 1}


def test_it_comes_back_as_time_passes(library: Library) -> None:
    rates.exchange(library, RATE, {"a": 20})
    begun = time.monotonic()
    time.sleep(0.3)
    left = rates.exchange(library, RATE, {"a": 0})["a"]
    assert 20 - RATE * (time.monotonic() - begun) - 1 < left < 15
    time.sleep(1)
    assert rates.exchange(library, RATE, {"a": 0})["a"] == 0


def test_nothing_is_lost_when_many_tell_at_once(open_with: Callable[[Config], Library], config: Config) -> None:
    libraries = [open_with(config) for _ in range(4)]

    def tell(library: Library) -> None:
        for number in range(25):
            rates.exchange(library, 1, {f"key {n}": 10 for n in ((0, 1, 2), (2, 1, 0))[number % 2]})

    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, libraries))
    spent = rates.exchange(libraries[0], 1, {"key 0": 0, "key 1": 0, "key 2": 0})
    leaked = time.monotonic() - begun + 1
    assert all(1000 - leaked < one <= 1000 for one in spent.values())


def test_a_sweep_forgets_keys_that_rest(library: Library) -> None:
    rates.exchange(library, RATE, {"old": 1, "new": 1})
    with library.store.write() as tx:
        assert tx.rates.forget(60_000) == 0
        assert tx.rates.forget(-60_000) == 2
    rates.exchange(library, RATE, {"new": 10_000})
    upkeep.sweep(library)
    assert rates.exchange(library, RATE, {"new": 0})["new"] > 0


def test_a_copy_goes_on_from_what_the_database_says(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = RateLimit(10)
    for _ in range(3):
        limit.take("a")
    limit.take("b")
    assert limit.tell() == {"a": 3, "b": 1}
    limit.take("a")  # while the others are told
    limit.correct({"a": 8.0, "b": 1.0})
    limit.take("a")
    with pytest.raises(PinakesError, match="10 requests a second"):
        limit.take("a")
    assert limit.tell() == {"a": 2}
    limit.correct({"a": 25.0})
    now[0] += 1
    with pytest.raises(PinakesError) as caught:
        limit.take("a")
    assert caught.value.details["retryAfter"] == 1
    assert limit.tell() == {"a": 0}, "it is asked about, though it used nothing"
    now[0] += 0.7
    limit.take("a")
