"""Ids that sort by creation whatever the clock does, times of one form, and links that nobody can change."""

import threading
from collections.abc import Callable

import pytest
from conftest import Clock
from hypothesis import given
from hypothesis import strategies as st

from pinakes import ids
from pinakes.library import Library
from pinakes.links import Links, asset_path


def test_ids_have_a_prefix_and_sort_by_creation() -> None:
    made = [ids.new("asset") for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(id.startswith("asset_") and len(id) == 28 and id[6:].isalnum() and id.isascii() for id in made)


def test_ids_go_on_when_the_clock_steps_back_or_stands(clock: Clock) -> None:
    made = []
    for move in (0, 1, -1000, 0, 5, -3600_000, 10, 7200_000):
        clock.move(ms=move)
        made += [ids.new("x") for _ in range(5000)]  # more than one millisecond numbers
    assert made == sorted(set(made))


def test_ids_of_many_threads_differ_and_sort_within_each() -> None:
    made: list[list[str]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=lambda one=one: one.extend(ids.new("x") for _ in range(2000))) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == sorted(one) for one in made)
    assert len({id for one in made for id in one}) == 16_000


def test_an_id_is_a_uuid7(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "random_bits", lambda: (1 << 62) - 1)
    value = 0
    for digit in ids.new("x")[2:]:
        value = value * 62 + ids.DIGITS.index(digit)
    assert value >> 80 == clock.ms
    assert value >> 76 & 0xF == 7
    assert value >> 62 & 0b11 == 2
    assert value & (1 << 62) - 1 == (1 << 62) - 1


FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 and 9999."""


@given(st.integers(FIRST_MS, LAST_MS), st.integers(FIRST_MS, LAST_MS))
def test_times_sort_as_text(one: int, two: int) -> None:
    assert (ids.iso(one) < ids.iso(two)) == (one < two)


def test_times_have_one_form(clock: Clock) -> None:
    assert ids.iso(1_675_423_181_579) == "2023-02-03T11:19:41.579Z"
    assert ids.now() == ids.iso(clock.ms) == "2023-11-14T22:13:20.000Z"
    assert (ids.iso(FIRST_MS), ids.iso(LAST_MS)) == ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")
    for ms in (FIRST_MS - 1, LAST_MS + 1, 10**30):
        with pytest.raises(OverflowError):
            ids.iso(ms)


LINKS = Links(b"secret", 3600)
PATH = asset_path("proj_1", "asset_1", "original")


def parts(link: str) -> tuple[str, str, str]:
    path, query = link.split("?")
    expires, signature = (part.split("=")[1] for part in query.split("&"))
    return path, expires, signature


def test_a_link_is_good_until_it_expires(clock: Clock) -> None:
    path, expires, signature = parts(LINKS.make("", PATH))
    assert path == PATH == "/files/proj_1/asset_1/original"
    lifetime_ms = int(expires) * 1000 - clock.ms
    assert 3600_000 <= lifetime_ms <= 3600_000 + 2 * 450_000
    clock.move(ms=lifetime_ms - 1)
    assert LINKS.is_good(path, expires, signature)
    clock.move(ms=1)
    assert not LINKS.is_good(path, expires, signature)


def test_a_link_stays_the_same_for_a_while(clock: Clock) -> None:
    links = set()
    for _ in range(60):
        clock.move(ms=60_000)
        links.add(LINKS.make("http://h", PATH))
    assert len(links) in (8, 9)


@pytest.mark.usefixtures("clock")
def test_a_link_that_was_changed_is_no_good() -> None:
    path, expires, signature = parts(LINKS.make("", PATH))
    assert LINKS.is_good(path, expires, signature)
    wrong_paths = [path + "x", path.replace("asset_1", "asset_2"), path.replace("original", "thumbnail"), "", "/"]
    wrong_times = [str(int(expires) + 1), " " + expires, "-1", "", "1e9", "9" * 11, "9" * 5000, "²"]
    wrong_signatures = [signature[:-1], signature.upper(), "", "é", "\0", signature + "0", "0" * 32]
    assert not any(LINKS.is_good(wrong, expires, signature) for wrong in wrong_paths)
    assert not any(LINKS.is_good(path, wrong, signature) for wrong in wrong_times)
    assert not any(LINKS.is_good(path, expires, wrong) for wrong in wrong_signatures)
    assert not Links(b"other", 3600).is_good(path, expires, signature)


def test_links_belong_to_the_library_not_to_a_process(library: Library, open_with: Callable[..., Library]) -> None:
    again = open_with()
    assert again.links.is_good(*parts(library.links.make("", PATH)))
