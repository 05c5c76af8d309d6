"""On SQLite the hot statements neither scan nor sort a table, and no search reads all rows."""

import re
from collections.abc import Callable
from typing import Any

import apsw
import pytest
from hot import fill, hot
from linking import make

from pinakes import assets, mlmodels, search
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.search import Search
from pinakes.store import search as store_search
from pinakes.store.sqlite import SqliteStore
from pinakes.tags import TagChange

pytestmark = pytest.mark.engine("sqlite")


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    return fill(library, admin)


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


def steps(library: Library, use: Callable[[], object]) -> str:
    """What the engine does for those statements that name assets."""
    return "\n".join(step for sql, step in plans(library, use) if " asset" in sql)


def test_no_change_walks_an_index_of_search(library: Library, admin: Actor) -> None:
    one = make(library, admin, "red", look=5)
    changes: list[Callable[[], object]] = [
        lambda: make(library, admin, "blue", look=6),
        lambda: assets.update(library, admin, one.id, assets.AssetPatch(name="new")),
        lambda: assets.update_tags(library, admin, one.id, TagChange(add=["a"])),
        lambda: assets.copy(library, admin, one.id),
        lambda: assets.delete(library, admin, [one.id]),
        lambda: assets.restore(library, admin, [one.id]),
        lambda: mlmodels.create(library, admin, NewModel(name="m")),
    ]
    for change in changes:
        done = plans(library, change)
        walked = [step for _, step in done if re.match(r"\w+ (?:x|asset) USING .*INDEX asset_(?!key|trash)\w+", step)]
        assert (walked, scans(done)) == ([], [])


@pytest.mark.parametrize(
    ("wanted", "uses"),
    [
        (Search("red"), "asset_text VIRTUAL TABLE"),
        (Search("red", "tags = a"), "USING COVERING INDEX tag_asset (owner=? AND name=?)"),
        (Search(filter="tags = a"), "USING COVERING INDEX tag_asset (owner=? AND name=?)"),
        (Search(filter="collectionIds = a"), "SEARCH m USING PRIMARY KEY (owner=? AND collection=?)"),
        (Search(filter="modelId = a"), "SEARCH m USING PRIMARY KEY (owner=? AND model=?)"),
        (Search(filter="kind = 3d"), "USING COVERING INDEX asset_kind (owner=? AND kind=?"),
        (
            Search(filter="type = txt2img"),
            "USING COVERING INDEX asset_kind (owner=? AND kind=? AND type=?",
        ),
        (Search(filter="width > 4000"), "USING COVERING INDEX asset_width (owner=? AND width>?)"),
        (Search(filter="size > 9 AND size < 12"), "asset_size (owner=? AND size>? AND size<?)"),
        (Search(filter="createdAt > 2020-01-01"), "USING INDEX asset_created (owner=? AND created_at>?)"),
        (
            Search(filter="name = a OR height = 2"),
            "USING COVERING INDEX asset_height (owner=? AND height=?)",
        ),
    ],
)
@pytest.mark.parametrize("few", [0, 2_000])
def test_no_search_reads_all_rows(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch, wanted: Search, uses: str, few: int
) -> None:
    make(library, admin, "red")
    monkeypatch.setattr(store_search, "FEW", few)
    done = steps(library, lambda: search.find_assets(library, admin, wanted, {}))
    assert uses in done
    assert "SEARCH x USING INDEX asset_key (owner=? AND id=?)" in done
    assert "SCAN x" not in done
    assert "SCAN asset\n" not in done


@pytest.mark.parametrize("field", ["createdAt", "updatedAt", "name", "size", "width", "height"])
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_sorting_everything_walks_an_index(library: Library, admin: Actor, field: str, way: str) -> None:
    make(library, admin, "red")
    done = steps(library, lambda: search.find_assets(library, admin, Search("", sort_by=(f"{field}:{way}",)), {}))
    assert "SEARCH x USING INDEX asset_" in done
    assert "TEMP B-TREE" not in done
