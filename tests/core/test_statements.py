"""Lists cost the same number of statements whatever their size, and so do changes of many things at once."""

from collections.abc import Callable

import pytest
from conftest import make_assets
from databases import around
from hot import fill, lists

from pinakes import assets, collections
from pinakes.access import Actor
from pinakes.library import Library


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    return fill(library, admin)


def test_lists_take_the_same_statements_for_any_size(library: Library, admin: Actor, shelf: str) -> None:
    for name, (promised, verb) in lists(library, admin, shelf).items():
        costs = set()
        for size in (1, 7, 50):
            before = library.store.statements()
            verb(size)
            costs.add(library.store.statements() - before)
        assert (name, len(costs)) == (name, 1)
        assert (name, promised <= costs.pop() <= promised + around(library)) == (name, True)


def test_bulk_changes_take_the_same_statements_for_any_number(library: Library, admin: Actor, shelf: str) -> None:
    made = make_assets(library, admin, 49)
    changes: list[Callable[[list[str]], object]] = [
        lambda some: collections.add(library, admin, shelf, "asset", some),
        lambda some: assets.delete(library, admin, some),
        lambda some: assets.restore(library, admin, some),
        lambda some: collections.remove(library, admin, shelf, "asset", some),
    ]
    for change in changes:
        costs = set()
        for some in (made[:1], made[1:]):
            before = library.store.statements()
            change(some)
            costs.add(library.store.statements() - before)
        assert len(costs) == 1
        assert costs.pop() <= 6 + around(library)
