"""What a search refuses, whom it shows what, and how it keeps up with changes."""

import base64
from typing import Any

import msgspec
import pytest
from conftest import DAY_MS, Clock, make_png, store_png
from linking import make

from pinakes import assets, collections, mlmodels, search
from pinakes.access import Actor
from pinakes.asset_types import Generation
from pinakes.assets import NewAsset
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.search import Hits, Images, Search
from pinakes.store import search as store_search
from pinakes.tags import TagChange
from pinakes.upkeep import check, sweep

LOOK = 0b1011


def names(library: Library, actor: Actor, *of: Any, **more: Any) -> list[str]:
    return [hit.metadata.name for hit in search.find_assets(library, actor, Search(*of, **more), {}).items]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (Search(), "query"),
        (Search(images=Images()), "query"),
        (Search(query="x" * 1_001), "query"),
        (Search(query="a " * 33), "query"),
        (Search(filter="nothing = 1"), "filter"),
        (Search(query="a", sort_by=("height",)), "sortBy"),
        (Search(query="a", sort_by=("height:up",)), "sortBy"),
        (Search(query="a", sort_by=("score:asc",)), "sortBy"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(library: Library, admin: Actor, wrong: Search, field: str) -> None:
    for find in (search.find_assets, search.find_models):
        with pytest.raises(PinakesError) as caught:
            find(library, admin, wrong, {})
        assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", field)


def test_a_picture_must_be_one_of_the_projects(library: Library, admin: Actor, other: Actor) -> None:
    plain, foreign, gone = (
        make(library, admin, "plain"),
        make(library, other, "f", look=1),
        make(library, admin, "g", look=1),
    )
    assets.delete(library, admin, [gone.id])
    for id in (foreign.id, gone.id, "asset_never", ""):
        for images in (Images(like=[id]), Images(unlike=[id])):
            with pytest.raises(PinakesError) as caught:
                search.find_assets(library, admin, Search(images=images), {})
            assert (caught.value.code, caught.value.details["missing"]) == ("NOT_FOUND", [id])
    with pytest.raises(PinakesError, match="is no picture that others can be compared with"):
        search.find_models(library, admin, Search(image=plain.id), {})


def test_a_picture_by_its_bytes(library: Library, admin: Actor) -> None:
    url = "data:image/png;base64," + base64.b64encode(make_png(64, 64)).decode()
    seen = search.see(library, admin, Search(image=url, images=Images(like=["asset_x"])))
    assert list(seen) == [url]
    near = make(library, admin, "near", look=seen[url] ^ 0b111)
    make(library, admin, "far", look=~seen[url])
    (hit,) = search.find_assets(library, admin, Search(image=url), seen).items
    assert (hit.id, hit.score) == (near.id, 1 - 3 / 64)
    for wrong in ("data:text/plain;base64,YWJj", "data:image/png;base64,!", "data:image/png;base64,iVBORw0KGgo="):
        with pytest.raises(PinakesError) as caught:
            search.see(library, admin, Search(images=Images(unlike=[wrong])))
        assert caught.value.code == "BAD_REQUEST"


def test_another_project_neither_shows_nor_counts(library: Library, admin: Actor, other: Actor) -> None:
    for number in range(5):
        make(library, other, "red fox", look=number)
    shelf = collections.create(library, other, NewCollection("c")).id
    mine = make(library, admin, "red", look=7)
    for wanted in (
        Search("re"),
        Search(filter="kind = image"),
        Search(image=mine.id),
        Search("red", sort_by=("name:asc",)),
    ):
        hits = search.find_assets(library, admin, msgspec.structs.replace(wanted, limit=1), {})
        assert ([hit.id for hit in hits.items], hits.total) == ([mine.id], 1)
    assert names(library, admin, "fox") == names(library, admin, filter=f"collectionIds = {shelf}") == []


def test_a_search_keeps_up_with_every_change(library: Library, admin: Actor) -> None:
    one = make(library, admin, "old name", generation=Generation(generator="x", prompt="misty harbour"))
    assert names(library, admin, "harb") == ["old name"]
    assets.update(library, admin, one.id, assets.AssetPatch(name="new name", description="two boats"))
    assets.update_tags(library, admin, one.id, TagChange(add=["blue hour"]))
    assert names(library, admin, "old") == []
    assert names(library, admin, 'new boats "blue hour" misty') == ["new name"]
    assets.update_tags(library, admin, one.id, TagChange(delete=["blue hour"]))
    assert names(library, admin, "hour") == []
    copy = assets.copy(library, admin, one.id)
    assert names(library, admin, "boats harbour") == ["new name", "new name"]
    assets.delete(library, admin, [one.id, copy.id])
    assert names(library, admin, "boats") == names(library, admin, filter="kind = image") == []
    assets.restore(library, admin, [copy.id])
    (hit,) = search.find_assets(library, admin, Search("boats"), {}).items
    assert hit.id == copy.id
    assert check(library) == []


def test_models_are_found_by_their_texts_and_pictures(library: Library, admin: Actor) -> None:
    cover, example = make(library, admin, "a", look=LOOK), make(library, admin, "b", look=LOOK ^ 3)
    ink = mlmodels.create(library, admin, NewModel(name="Ink wash", short_description="thin lines"))
    mlmodels.update(library, admin, ink.id, ModelPatch(thumbnail=cover.id))
    oil = mlmodels.create(library, admin, NewModel())
    mlmodels.update_description(library, admin, oil.id, "Thick *paint*.")
    mlmodels.update_examples(library, admin, oil.id, [example.id])

    def found(**of: Any) -> list[tuple[str, Any]]:
        return [(hit.id, hit.score) for hit in search.find_models(library, admin, Search(**of), {}).items]

    assert found(query="wash") == [(ink.id, 1)]
    assert found(query="thin ink") == found(query="lines") == [(ink.id, 0.25)]
    assert found(query="thick paint") == [(oil.id, 0.25)]
    assert found(image=cover.id) == [(ink.id, 1), (oil.id, 1 - 2 / 64)]
    assert found(image=cover.id, query="paint") == [(oil.id, 1 - 2 / 64)]
    assert [id for id, _ in found(filter="type = custom", sort_by=("name:desc",))] == [ink.id, oil.id]
    mlmodels.delete(library, admin, oil.id)
    assert found(query="paint") == []
    mlmodels.restore(library, admin, oil.id)
    assert found(query="paint") == [(oil.id, 0.25)]
    assets.delete(library, admin, [cover.id])
    assert found(image=example.id) == [(oil.id, 1)]


def test_nothing_is_public(library: Library, admin: Actor) -> None:
    make(library, admin, "red")
    assert names(library, admin, "red", is_public=True) == []
    assert names(library, admin, "", is_public=False) == ["red"]


def test_what_is_hidden_is_found_as_it_is_listed(library: Library, admin: Actor) -> None:
    stored = store_png(library)
    assets.create(library, admin, NewAsset("red", "", hide=True), stored)
    assert names(library, admin, "red") == names(library, admin, filter="kind = image") == ["red"]


def test_what_is_purged_leaves_nothing_behind(library: Library, admin: Actor, clock: Clock) -> None:
    make(library, admin, "stays", look=5)
    gone = make(library, admin, "goes", look=6)
    model = mlmodels.create(library, admin, NewModel(name="m")).id
    assets.delete(library, admin, [gone.id])
    mlmodels.delete(library, admin, model)
    clock.move(ms=31 * DAY_MS)
    sweep(library)
    with library.store.read() as tx:
        rows = tx.search._query(
            "SELECT (SELECT count(*) FROM asset_text), (SELECT count(*) FROM model_text), count(*) FROM asset_look"
        )
    assert rows == [(1, 0, 4)]
    assert check(library) == []


def test_an_estimate_is_near_what_there_is(library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        make(library, admin, "red" if number % 3 else "blue", width=number % 5)
    for name, value in (("FEW", 5), ("MANY", 5), ("MOST_COUNTED", 30), ("_SAMPLE", 30)):
        monkeypatch.setattr(store_search, name, value)

    def total(**of: Any) -> int:
        hits: Hits[Any] = search.find_assets(library, admin, Search(limit=2, **of), {})
        return hits.total

    assert total(query="red") == pytest.approx(80, abs=4)
    assert total(query="red", filter="width = 1") == pytest.approx(16, abs=4)
    assert total(filter="width >= 1") == pytest.approx(96, abs=4)
    assert total(filter="width >= 1", sort_by=("name:asc",)) == pytest.approx(96, abs=4)


def test_no_query_is_a_command_to_the_engine(library: Library, admin: Actor) -> None:
    make(library, admin, "red fox NEAR name OR")
    for query in (
        '" OR "',
        "name:red",
        "NEAR(red fox)",
        "red*",
        "^red",
        "(red",
        "red AND",
        "{name} : red",
        "-",
        "--",
        "*",
        "'",
    ):
        names(library, admin, query)
    assert names(library, admin, "NEAR(red fox)") == []
    assert names(library, admin, "name:red") == []
    assert names(library, admin, "red OR") == names(library, admin, "^red") == ["red fox NEAR name OR"]
