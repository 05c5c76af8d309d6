"""Lists cost the same number of statements whatever their size, and the hot ones never scan or sort a table."""

from collections.abc import Callable
from typing import Any

import apsw
import pytest
from conftest import make_assets, new_actor
from linking import made_with, one

from pinakes import assets, collections, mlmodels, projects, tags
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.store.sqlite import SqliteStore
from pinakes.tags import TagChange

Verb = Callable[[int], object]


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    """A collection of 60 assets and 60 models, each with tags and in another collection, a cover, and examples.

    All assets were made with the model `fox`.
    """
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    second = collections.create(library, admin, NewCollection("Second")).id
    fox = mlmodels.create(library, admin, NewModel(id="fox", name="fox")).id
    made = [made_with(library, admin, one(name="fox"), one(name="wolf"), model_id=fox) for _ in range(60)]
    for joined in (shelf, second):
        for some in (made[:49], made[49:]):
            collections.add(library, admin, joined, "asset", some)
    for id in made:
        assets.update_tags(library, admin, id, TagChange(add=["a", id[-4:]]))
        model = mlmodels.create(library, admin, NewModel(collection_ids=[shelf, second])).id
        mlmodels.update_tags(library, admin, model, TagChange(add=["a"]))
        mlmodels.update_examples(library, admin, model, made[:3])
        collections.create(library, admin, NewCollection("x"))
    collections.update(library, admin, shelf, CollectionPatch(thumbnail=made[0]))
    return shelf


def lists(library: Library, admin: Actor, shelf: str) -> dict[str, tuple[int, Verb]]:
    """Each list with how many statements it says it takes."""
    members = [item.id for item in assets.get_page(library, admin, AssetFilter(), 60).items]
    models = [item.id for item in mlmodels.get_page(library, admin, ModelFilter(), 60).items]
    in_shelf, models_in = AssetFilter(collection_id=shelf), ModelFilter(collection_ids=(shelf,))
    return {
        "collections": (1, lambda n: collections.get_page(library, admin, n)),
        "assets": (1, lambda n: assets.get_page(library, admin, AssetFilter(), n)),
        "tagged assets": (1, lambda n: assets.get_page(library, admin, AssetFilter(tags=("a",)), n)),
        "assets of a collection": (2, lambda n: assets.get_page(library, admin, in_shelf, n)),
        "assets of a model": (1, lambda n: assets.get_page(library, admin, AssetFilter(model_id="fox"), n)),
        "models": (1, lambda n: mlmodels.get_page(library, admin, ModelFilter(), n)),
        "models of a collection": (2, lambda n: mlmodels.get_page(library, admin, models_in, n)),
        "tags": (1, lambda n: tags.get_page(library, admin, n)),
        "projects": (2, lambda n: projects.get_page(library, admin, n)),
        "assets by id": (1, lambda n: assets.get_bulk(library, admin, members[:n])),
        "models by id": (1, lambda n: mlmodels.get_bulk(library, admin, models[:n])),
        "examples": (2, lambda n: mlmodels.get_examples(library, admin, models[n - 1])),
        "description": (3, lambda n: mlmodels.get_description(library, admin, models[n - 1])),
        "team": (3, lambda _: projects.get_team(library, admin)),
    }


def test_lists_take_the_same_statements_for_any_size(library: Library, admin: Actor, shelf: str) -> None:
    for name, (promised, verb) in lists(library, admin, shelf).items():
        costs = set()
        for size in (1, 7, 50):
            before = library.store.statements()
            verb(size)
            costs.add(library.store.statements() - before)
        assert (name, costs) == (name, {promised})


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
        assert costs.pop() <= 6


def plans(library: Library, use: Callable[[], object]) -> list[tuple[str, str]]:
    """What the engine does for each statement of `use`, as it really ran: pairs of statement and step."""
    assert isinstance(library.store, SqliteStore)
    with library.store.read():
        drivers = [library.store._writer, *library.store._readers.values()]
    ran: list[tuple[apsw.Connection, str, Any]] = []

    def note(cursor: apsw.Cursor, sql: str, params: Any) -> bool:
        ran.append((cursor.connection, sql, params))
        return True

    for driver in drivers:
        driver.connection.set_exec_trace(note)
    use()
    for driver in drivers:
        driver.connection.set_exec_trace(None)
    statements = [item for item in ran if item[1].split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")]
    assert statements
    return [
        (sql, row[3])
        for connection, sql, params in statements
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", params)
    ]


def scans(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Steps that read a whole table or index. Lists that came as a parameter are meant to be read whole.

    `0:=` is how the full-text index says that it looks up one row by its number.
    """
    inner = {f"SCAN {step.split()[1]}" for _, step in found if step.startswith("CO-ROUTINE")}
    scanned = [(sql, step) for sql, step in found if step.startswith("SCAN") and step not in inner]
    return [
        (sql, step)
        for sql, step in scanned
        if not step.endswith(("VIRTUAL TABLE INDEX 1:", "TABLE INDEX 0:=", "CONSTANT ROW"))
    ]


def hot(library: Library, admin: Actor, shelf: str) -> dict[str, Callable[[], object]]:
    """What happens all the time."""
    ids = [item.id for item in assets.get_page(library, admin, AssetFilter(), 60).items]
    token = collections.get_page(library, admin, 5).token
    by_asset = assets.get_page(library, admin, AssetFilter(), 5).token
    in_shelf = AssetFilter(collection_id=shelf)
    by_member = assets.get_page(library, admin, in_shelf, 5).token
    by_model = assets.get_page(library, admin, AssetFilter(model_id="fox"), 5).token
    new = make_assets(library, admin, 49)
    return {
        "authenticate": lambda: new_actor(library, "reader", admin.project_id),
        "find a collection": lambda: collections.get(library, admin, shelf),
        "find an asset": lambda: assets.get(library, admin, ids[0]),
        "collections": lambda: collections.get_page(library, admin, 5),
        "more collections": lambda: collections.get_page(library, admin, 5, token),
        "assets": lambda: assets.get_page(library, admin, AssetFilter(), 5),
        "more assets": lambda: assets.get_page(library, admin, AssetFilter(), 5, by_asset),
        "assets upwards": lambda: assets.get_page(library, admin, AssetFilter(is_ascending=True), 5),
        "assets by update": lambda: assets.get_page(library, admin, AssetFilter(sort_by="updated_at"), 5),
        "trash": lambda: assets.get_page(library, admin, AssetFilter(is_deleted=True), 5),
        "members": lambda: assets.get_page(library, admin, in_shelf, 5),
        "more members": lambda: assets.get_page(library, admin, in_shelf, 5, by_member),
        "made with": lambda: assets.get_page(library, admin, AssetFilter(model_id="fox"), 5),
        "more made with": lambda: assets.get_page(library, admin, AssetFilter(model_id="fox"), 5, by_model),
        "models": lambda: mlmodels.get_page(library, admin, ModelFilter(), 5),
        "tags": lambda: tags.get_page(library, admin, 5),
        "assets by id": lambda: assets.get_bulk(library, admin, ids[:50]),
        "create": lambda: collections.create(library, admin, NewCollection("x")),
        "add": lambda: collections.add(library, admin, shelf, "asset", new),
        "tag": lambda: assets.update_tags(library, admin, new[0], TagChange(add=["new"])),
        "trash some": lambda: assets.delete(library, admin, new[:20]),
        "restore": lambda: assets.restore(library, admin, new[:20]),
        "remove": lambda: collections.remove(library, admin, shelf, "asset", new),
        "create into": lambda: make_assets(library, admin, 1, [shelf]),
        "make with": lambda: made_with(library, admin, one(name="fox"), one("checkpoint", "sd", "0123456789")),
    }


def test_the_hot_statements_neither_scan_nor_sort(library: Library, admin: Actor, shelf: str) -> None:
    for name, use in hot(library, admin, shelf).items():
        found = plans(library, use)
        assert (name, scans(found)) == (name, [])
        assert (name, [step for sql, step in found if "TEMP B-TREE" in step and not _OF_FEW & {*sql.split()}]) == (
            name,
            [],
        )


_OF_FEW = {"GROUP", "row_number()"}
"""Words of statements that put in order what a change is about, and no more than that."""


def test_links_are_walked_and_written_by_their_keys(library: Library, admin: Actor, shelf: str) -> None:
    """Never by all that a project has, which the engine would think is little."""
    use = hot(library, admin, shelf)
    for name in ("made with", "more made with"):
        (walk, *rest) = [step for _, step in plans(library, use[name]) if step.startswith("SEARCH u ")]
        assert "SEARCH u USING PRIMARY KEY (owner=? AND model=?" in walk
        assert all("(owner=? AND asset=?)" in step for step in rest)
    for verb in (
        lambda: mlmodels.create(library, admin, NewModel(name="wolf")),
        lambda: mlmodels.update(library, admin, "fox", ModelPatch(name="wolf")),
        lambda: mlmodels.copy(library, admin, "fox"),
    ):
        steps = [step for sql, step in plans(library, verb) if "asset_use" in sql or "asset_ingredient" in sql]
        assert steps
        assert [step for step in steps if step.endswith("(owner=?)") or "SCAN u" in step] == []


def test_collections_pass_over_the_trash_without_reading_it(library: Library, admin: Actor, shelf: str) -> None:
    use = hot(library, admin, shelf)
    for name in ("collections", "more collections"):
        (walk,) = [step for _, step in plans(library, use[name]) if step.startswith("SEARCH c ")]
        assert walk == "SEARCH c USING INDEX collection_live (owner=? AND id<?)"


def test_filters_read_only_what_may_pass(library: Library, admin: Actor, shelf: str) -> None:
    """They may sort what is left; two tags meet through the key, not by comparing all with all."""
    ids = [item.id for item in assets.get_page(library, admin, AssetFilter(), 3).items]
    filters = [
        AssetFilter(tags=("a",)),
        AssetFilter(tags=("a", ids[0][-4:]), collection_id=shelf),
        AssetFilter(parent_id=ids[0]),
        AssetFilter(root_id=ids[0]),
        AssetFilter(model_id="fox"),
        AssetFilter(model_id="fox", collection_id=shelf),
        AssetFilter(model_id="fox", tags=("a",), is_ascending=True),
        AssetFilter(types=("uploaded",), after="2020"),
        AssetFilter(collection_id=shelf, sort_by="updated_at"),
    ]
    for filter in filters:
        found = plans(library, lambda filter=filter: assets.get_page(library, admin, filter, 5))  # type: ignore[misc]
        assert (filter, scans(found)) == (filter, [])
    two = plans(library, lambda: assets.get_page(library, admin, AssetFilter(tags=("a", "b")), 5))
    (inner,) = [step for _, step in two if step.startswith("SEARCH t0")]
    assert "asset=?" in inner
    by_collection = ModelFilter(collection_ids=(shelf,))
    assert scans(plans(library, lambda: mlmodels.get_page(library, admin, by_collection, 5))) == []
