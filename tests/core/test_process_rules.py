"""Processes of one library note themselves, and find out whose settings are not theirs."""

from collections.abc import Callable

import msgspec
import pytest
from conftest import Clock

from pinakes import processes
from pinakes.config import OWN, SETTINGS, Config
from pinakes.library import Library


@pytest.fixture
def open_as(open_with: Callable[[Config], Library], config: Config) -> Callable[..., Library]:
    """The library as a process opens it that has other settings."""

    def open_one(**settings: object) -> Library:
        return open_with(msgspec.structs.replace(config, **settings))

    return open_one


def test_settings_that_should_agree_are_compared(open_as: Callable[..., Library]) -> None:
    one, two = open_as(trash_days=7, rate_limit=5, port=1), open_as(trash_days=30, rate_limit=9, port=2)
    first, second = processes.this(one), processes.this(two)
    assert processes.note(one, first) == {}
    assert processes.note(two, second) == {first.name: ["rate_limit", "trash_days"]}
    assert processes.note(one, first) == {second.name: ["rate_limit", "trash_days"]}
    processes.end(two, second)
    assert processes.note(one, first) == {}


def test_who_is_killed_is_forgotten(open_as: Callable[..., Library], clock: Clock) -> None:
    one, two = open_as(), open_as(require_if_match=True)
    first, second = processes.this(one), processes.this(two)
    processes.note(one, first)
    clock.move(ms=60_000)
    assert processes.note(two, second) == {first.name: ["require_if_match"]}
    clock.move(ms=120_000)
    assert processes.note(two, second) == {}
    clock.move(days=1)
    processes.note(two, second)
    with two.store.read() as tx:
        assert [found.id for found in tx.processes.seen_since("")] == [second.id]


def test_a_setting_that_only_one_version_has_is_no_difference(open_as: Callable[..., Library]) -> None:
    library = open_as()
    old = msgspec.structs.replace(processes.this(library), settings={"long_gone": "1"})
    processes.note(library, old)
    assert processes.note(library, processes.this(library)) == {}


def test_where_bytes_are_is_compared_however_it_is_said(tmp_path: object) -> None:
    assert Config(data=f"{tmp_path}/a").digests() == Config(blob_url=f"file://{tmp_path}/a/blobs").digests()
    assert Config(data=f"{tmp_path}/a").digests() != Config(data=f"{tmp_path}/b").digests()


def test_what_is_compared_tells_no_value() -> None:
    digests = Config(jwt_issuer="https://id.example.com").digests()
    assert "example" not in str(digests)
    assert digests.keys() == SETTINGS.keys() - OWN
    assert SETTINGS.keys() > OWN
