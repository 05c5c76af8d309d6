"""No verb scans or sorts a table: looked at in a library of 20,000 assets, on each engine, statement by statement.

`python -m bench.plans` looks at the same in one of a million.
"""

from collections.abc import Iterator

import pytest
from conftest import ENGINES, new_database

from bench import large
from bench.explain import Explained, Step, explained
from bench.large_rows import Sizes
from bench.large_verbs import World, reads, writes
from bench.plans import faults, somebody
from pinakes.config import Config
from pinakes.library import open_library
from pinakes.upkeep import check

pytestmark = pytest.mark.timeout(400)
SIZES = Sizes(20_000, 20_000, 100_000, 1_000)


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("large")
    with new_database(request.param, request) as url:
        config = Config(data=str(folder / "data"), database_url=url)
        large.fill(config, SIZES)
        library = open_library(config)
        yield somebody(library)
        library.close()


def test_what_is_made_up_for_it_is_sound(world: World) -> None:
    assert check(world.library, is_quick=True) == []


def test_verbs_neither_scan_nor_sort(world: World) -> None:
    found = {}
    for name, verb in {**reads(world), **writes(world)}.items():
        with explained(world.library) as ran:
            verb()
        assert ran, name
        found[name] = list(faults(ran, SIZES.assets))
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "step",
    [
        Step("Seq Scan", "asset", "", 5, 5),
        Step("Index Scan", "asset", "", 5, 5),
        Step("Bitmap Index Scan", "asset_terms", "", 5, 5),
        Step("Sort", "", "", 19_000, 20),
    ],
)
def test_what_would_be_a_fault(step: Step) -> None:
    assert list(faults([Explained("x", "SELECT", (), "custom", [step])], SIZES.assets))


def test_what_would_be_one_in_sqlite() -> None:
    for step in (Step("SCAN", "x USING INDEX asset_created", "", 0, 0), Step("SCAN", "collection_asset", "", 0, 0)):
        assert list(faults([Explained("x", "SELECT", (), "", [step])], SIZES.assets))
    assert list(faults([Explained("x", "SELECT", (), "", [], 100_000_000)], SIZES.assets))
