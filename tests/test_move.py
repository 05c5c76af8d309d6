"""A library that was moved is the library it was, whichever engines it is moved between, and whatever happens on the way."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from conftest import ENGINES, new_actor, new_database
from listings import everything
from shuffled import Shuffled, files_in

from pinakes import assets, collections, upkeep
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.blobs import blob_key, open_blobs
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library, open_store
from pinakes.transfer.move import Choice, MoveReport, To, move
from pinakes.transfer.rows import measure

SWITCH = Choice(is_switch=True)


@pytest.fixture(params=ENGINES)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """Where to: each engine in turn, and another folder."""
    with new_database(request.param, request) as url:
        yield Config(data=str(tmp_path / "there"), database_url=url)


def run(library: Library, there: Config, choice: Choice = SWITCH, *, is_whole: bool = True) -> MoveReport:
    """Move rows, and files too if it `is_whole`."""
    with closing(open_store(there, create=True)) as store:
        return move(library, "here", To(store, "there", open_blobs(there.blobs_url) if is_whole else None), choice)


def refusal(library: Library, there: Config, choice: Choice = SWITCH) -> str:
    with pytest.raises(PinakesError) as caught:
        run(library, there, choice)
    assert caught.value.code == "BAD_REQUEST"
    return caught.value.message


@contextmanager
def opened(config: Config) -> Iterator[Library]:
    with closing(open_library(config, create=False)) as library:
        yield library


def assert_same(library: Library, other: Library) -> None:
    """The two show the same, hold the same rows and bytes, and are sound."""
    ours, theirs = measure(library.store), measure(other.store)
    assert {name: one for name, one in ours.items() if one != theirs[name] and name != "setting"} == {}
    assert everything(library) == everything(other)
    assert upkeep.check(library) == upkeep.check(other) == []


def is_orphan(library: Library, key: str) -> bool:
    """Whether a file is not referred to: its asset could not be made."""
    sha256 = key.rpartition("/")[2][:64]
    with library.store.read() as tx:
        return not key.startswith("uploads") and not tx.upkeep.users([sha256])


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_library_is_the_same_and_takes_changes_where_it_is_now(
    library: Library, there: Config, seed: int
) -> None:
    shuffled = Shuffled(library, random.Random(seed)).run(400)
    report = run(library, there)
    assert (report.is_switched, report.absent) == (True, [])
    assert report.written == sum(table.rows for table in report.tables)
    assert {table.name for table in report.tables if not table.rows} <= {"job", "model_example"}
    with opened(there) as moved:
        assert_same(library, moved)
        assert files_in(moved) == {key: hash for key, hash in files_in(library).items() if not is_orphan(library, key)}
        with pytest.raises(PinakesError, match="moved to there"):
            collections.create(library, shuffled.actors[0], NewCollection("Late"))
        with pytest.raises(PinakesError, match="moved to there"):
            library.ready()
        moved.ready()
        before = {thing for things in shuffled.things.values() for thing in things}
        again = Shuffled(moved, random.Random(seed + 100), shuffled.actors)
        again.things = shuffled.things
        again.run(100)
        assert upkeep.check(moved) == []
        assert before < {thing for things in again.things.values() for thing in things}


def test_there_and_back_again(library: Library, admin: Actor, there: Config) -> None:
    shuffled = Shuffled(library, random.Random(7), [admin]).run(150)
    run(library, there)
    with opened(there) as moved:
        back = Shuffled(moved, random.Random(8), [admin])
        back.things = shuffled.things
        back.run(100)
        report = run(moved, library.config)
        assert 0 < report.written < sum(table.rows for table in report.tables)
        assert_same(moved, library)
        assert "moved to there" in refusal(moved, library.config)
    assert refusal(library, library.config)
    collections.create(library, admin, NewCollection("Here again"))
    assert upkeep.check(library) == []
