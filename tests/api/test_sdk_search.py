"""The search calls, made by the official SDK."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pyvips
import scenario_sdk
from pictures import encode

from api.clients import Key, Sdk


def pattern(seed: int, scale: float = 1) -> bytes:
    """A picture, and the same in another size."""
    clouds = pyvips.Image.gaussnoise(8, 6, mean=128, sigma=60, seed=seed + 1).cast("uchar")
    return encode(clouds.resize(40 * scale, kernel="cubic").copy(interpretation="b-w"), "png")


def data_url(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


@pytest.fixture
def shelf(sdk: Sdk, upload: Callable[..., dict[str, Any]]) -> dict[str, str]:
    """Ids of three pictures by name, tagged and in a collection."""
    collection = sdk.collections.create(name="Animals").collection.id
    made = {}
    for number, name in enumerate(("red fox.png", "red panda.png", "blue whale.png")):
        made[name] = upload(pattern(number), name, collectionIds=[collection] if number else [])["id"]
        sdk.assets.update_tags(made[name], add=[f"tag {number}", "animal"])
    return {**made, "collection": collection}


@pytest.mark.calls("search.asset_search")
def test_assets(sdk: Sdk, key: Key, shelf: dict[str, str]) -> None:
    page = sdk.search.asset_search(query="red anim")
    assert [hit.metadata.name for hit in page.hits] == ["red panda.png", "red fox.png"]
    assert (page.offset, page.estimated_total_hits) == (0, 2)
    hit = page.hits[0]
    assert (hit.id, hit.owner_id, hit.author_id) == (shelf["red panda.png"], key.project_id, key.id)
    assert (hit.tags, hit.collection_ids, hit.nsfw) == (["animal", "tag 1"], [shelf["collection"]], [])
    assert (hit.mime_type, hit.privacy, hit.metadata.kind, hit.score) == ("image/png", "private", "image", 0.75)
    assert hit.team_id == sdk.teams.list().teams[0].id
    assert httpx.get(hit.url).status_code == httpx.get(hit.thumbnail.url).status_code == 200


@pytest.mark.calls("search.asset_search")
def test_filters_and_sorting(sdk: Sdk, shelf: dict[str, str]) -> None:
    found = sdk.search.asset_search(
        filter=f'collectionIds = {shelf["collection"]} AND tags IN ["tag 1", "tag 2"]', sort_by=["name:asc"]
    )
    assert [hit.metadata.name for hit in found.hits] == ["blue whale.png", "red panda.png"]
    assert all(hit.score is None for hit in found.hits)
    found = sdk.search.asset_search(query="red", filter='NOT tags = "tag 1" AND width > 1', public=False)
    assert [hit.id for hit in found.hits] == [shelf["red fox.png"]]
    assert sdk.search.asset_search(query="red", public=True).hits == []
    with pytest.raises(scenario_sdk.BadRequestError, match="filter: at character 7: size is compared with") as caught:
        sdk.search.asset_search(filter="size =wide")
    assert caught.value.body["details"]["position"] == 7  # type: ignore[index]


@pytest.mark.usefixtures("shelf")
@pytest.mark.calls("search.asset_search", "search.model_search")
def test_all_pages(sdk: Sdk) -> None:
    """The SDK asks for the next page with an offset in the query, whichever way the first was asked for."""
    for paging in ({"limit": 1}, {"limit": 2, "offset": 0}, {"hits_per_page": 1}, {"hits_per_page": 2, "page": 1}):
        for more in ({}, {"sort_by": ["createdAt:desc"]}):
            hits = sdk.search.asset_search.walk(query="animal", **paging, **more)
            assert [hit.metadata.name for hit in hits] == ["blue whale.png", "red panda.png", "red fox.png"]
    names = [sdk.models.create(name=f"Ink {number}").model.name for number in range(3)]
    assert [hit.name for hit in sdk.search.model_search.walk(query="ink", limit=1)] == names[::-1]
    second = sdk.search.asset_search(query="animal", page=2, hits_per_page=2)
    assert (second.offset, len(second.hits), second.estimated_total_hits) == (2, 1, 3)
    with pytest.raises(scenario_sdk.BadRequestError, match="page: send either"):
        sdk.search.asset_search(query="a", page=1, limit=1)
    with pytest.raises(scenario_sdk.BadRequestError, match="query: send at least one of"):
        sdk.search.asset_search(limit=1)


@pytest.mark.calls("search.asset_search")
def test_look_alikes(sdk: Sdk, shelf: dict[str, str]) -> None:
    fox = shelf["red fox.png"]
    (hit,) = sdk.search.asset_search(image=fox).hits
    assert (hit.id, hit.score) == (fox, 1)
    smaller = data_url(pattern(0, scale=0.5))
    assert [hit.id for hit in sdk.search.asset_search(image=smaller, image_semantic_ratio=0.5).hits] == [fox]
    both = sdk.search.asset_search(
        images={"like": [smaller, shelf["blue whale.png"]], "unlike": [shelf["red panda.png"]]}
    )
    assert {hit.id for hit in both.hits} == {fox, shelf["blue whale.png"]}
    rest = sdk.search.asset_search(images={"unlike": [fox]}, query="animal", query_semantic_ratio=1)
    assert {hit.id for hit in rest.hits} == {shelf["red panda.png"], shelf["blue whale.png"]}
    with pytest.raises(scenario_sdk.NotFoundError, match="asset_unknown"):
        sdk.search.asset_search(image="asset_unknown")
    with pytest.raises(scenario_sdk.BadRequestError):
        sdk.search.asset_search(image="data:image/png;base64,AAAA")


@pytest.mark.calls("search.model_search")
def test_models(sdk: Sdk, key: Key, shelf: dict[str, str]) -> None:
    model = sdk.models.create(name="Ink wash", type="flux.1-lora", short_description="soft edges").model.id
    sdk.models.create()
    sdk.models.update_tags(model, add=["style"])
    sdk.models.update(model, thumbnail=shelf["red fox.png"])
    (hit,) = sdk.search.model_search(query="soft ink", filter="tags = style AND type = flux.1-lora").hits
    assert (hit.id, hit.name, hit.short_description, hit.type) == (model, "Ink wash", "soft edges", "flux.1-lora")
    assert (hit.owner_id, hit.author_id, hit.tags, hit.concepts) == (key.project_id, key.id, ["style"], [])
    assert hit.thumbnail.asset_id == shelf["red fox.png"]
    assert [hit.id for hit in sdk.search.model_search(image=data_url(pattern(0, scale=0.4))).hits] == [model]
    assert sdk.search.model_search(filter="status = new", sort_by=["name:asc"]).estimated_total_hits == 2
    assert sdk.search.model_search(filter="name NOT EXISTS").hits[0].name == ""
    with pytest.raises(scenario_sdk.BadRequestError, match="there is no field 'width'"):
        sdk.search.model_search(filter="width = 1")
