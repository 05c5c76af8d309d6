"""The nine collection calls, made by the official SDK."""

import base64

import pytest
import scenario_sdk
from conftest import make_png

from api.clients import Sdk

PNG = base64.b64encode(make_png()).decode()


def new_assets(sdk: Sdk, n: int) -> list[str]:
    """The ids of new assets, oldest first."""
    return [sdk.assets.upload(name=f"{i}.png", image=PNG).asset.id for i in range(n)]


@pytest.mark.calls("collections.create", "collections.retrieve", "collections.update", "collections.delete")
def test_life_of_a_collection(sdk: Sdk) -> None:
    made = sdk.collections.create(name="Forest ").collection
    assert (made.name, made.asset_count, made.api_model_count, made.item_count) == ("Forest ", 0, 0, 0)
    assert made.created_at == made.updated_at
    assert sdk.collections.retrieve(made.id).collection.to_dict() == made.to_dict()
    renamed = sdk.collections.update(made.id, name="森").collection
    assert (renamed.id, renamed.name, renamed.created_at) == (made.id, "森", made.created_at)
    assert renamed.updated_at > made.updated_at
    assert sdk.collections.update(made.id).collection.name == "森"
    sdk.collections.delete(made.id)
    for call in (sdk.collections.retrieve, sdk.collections.update, sdk.collections.delete):
        with pytest.raises(scenario_sdk.NotFoundError) as caught:
            call(made.id)
        assert caught.value.body["details"] == {"missing": [made.id]}  # type: ignore[index]


@pytest.mark.calls("collections.update", "collections.list", "collections.assets.remove")
def test_thumbnail_is_set_unset_and_never_dangles(sdk: Sdk) -> None:
    cover, other = new_assets(sdk, 2)
    id = sdk.collections.create(name="Covers").collection.id

    def shown() -> list[str | None]:
        one = sdk.collections.retrieve(id).collection
        (listed,) = sdk.collections.list().collections
        return [collection.thumbnail and collection.thumbnail.asset_id for collection in (one, listed)]

    set_to = sdk.collections.update(id, thumbnail=cover).collection.thumbnail
    assert f"/{cover}/thumbnail?" in set_to.url
    assert sdk.collections.update(id, name="Renamed").collection.thumbnail.asset_id == cover
    assert shown() == [cover, cover]
    assert sdk.collections.update(id, thumbnail=None).collection.thumbnail is None
    assert shown() == [None, None]

    sdk.collections.update(id, thumbnail=cover)
    sdk.assets.delete_multiple(asset_ids=[cover])
    assert shown() == [None, None]
    sdk.assets.restore_multiple(asset_ids=[cover])
    assert shown() == [cover, cover]

    sdk.collections.assets.add(id, asset_ids=[cover, other])
    sdk.collections.assets.remove(id, asset_ids=[other])
    assert shown() == [cover, cover]
    sdk.collections.assets.remove(id, asset_ids=[cover])
    assert shown() == [None, None]
    with pytest.raises(scenario_sdk.NotFoundError, match="thumbnail"):
        sdk.collections.update(id, thumbnail="asset_unknown")


@pytest.mark.calls("collections.assets.add", "collections.assets.remove", "assets.retrieve")
def test_assets_come_and_go_all_or_none(sdk: Sdk) -> None:
    first, second, third = new_assets(sdk, 3)
    collection = sdk.collections.create(name="Members").collection
    added = sdk.collections.assets.add(collection.id, asset_ids=[first, second, first])
    assert added.report == {"added": [first, second], "unchanged": []}
    assert (added.collection.asset_count, added.collection.item_count) == (2, 2)
    assert sdk.assets.retrieve(first).asset.collection_ids == [collection.id]

    again = sdk.collections.assets.add(collection.id, asset_ids=[first])
    assert (again.report, again.collection) == ({"added": [], "unchanged": [first]}, added.collection)
    with pytest.raises(scenario_sdk.NotFoundError) as caught:
        sdk.collections.assets.add(collection.id, asset_ids=[third, "asset_unknown"])
    assert caught.value.body["details"]["missing"] == ["asset_unknown"]  # type: ignore[index]
    assert sdk.collections.retrieve(collection.id).collection.to_dict() == added.collection.to_dict()

    removed = sdk.collections.assets.remove(collection.id, asset_ids=[first, third])
    assert removed.report == {"removed": [first], "unchanged": [third]}
    assert removed.collection.asset_count == 1
    assert removed.collection.updated_at > added.collection.updated_at
    assert sdk.assets.retrieve(first).asset.collection_ids == []


@pytest.mark.calls("collections.models.add", "collections.models.remove", "models.retrieve")
def test_models_come_and_go(sdk: Sdk) -> None:
    models = [sdk.models.create(name=f"Model {i}").model.id for i in range(2)]
    collection = sdk.collections.create(name="Members").collection
    added = sdk.collections.models.add(collection.id, model_ids=models)
    assert (added.collection.api_model_count, added.collection.item_count, added.collection.asset_count) == (2, 2, 0)
    assert added.report == {"added": models, "unchanged": []}
    assert sdk.models.retrieve(models[0]).model.collection_ids == [collection.id]
    removed = sdk.collections.models.remove(collection.id, model_ids=[*models, "flux.1-dev"])
    assert removed.report == {"removed": models, "unchanged": ["flux.1-dev"]}
    assert removed.collection.api_model_count == 0
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.collections.models.add(collection.id, model_ids=["flux.1-dev"])


@pytest.mark.calls("collections.list")
def test_a_walk_meets_every_collection_once_newest_first(sdk: Sdk) -> None:
    made = [sdk.collections.create(name=f"{i}").collection.id for i in range(7)]
    for size in (1, 3, 7, 100):
        assert [c.id for c in sdk.collections.list.walk(page_size=size)] == made[::-1]
    first = sdk.collections.list(page_size=3)
    newer = sdk.collections.create(name="while walking").collection.id
    sdk.collections.delete(made[4])  # the last one seen
    sdk.collections.delete(made[3])
    rest = sdk.collections.list.walk(page_size=2, pagination_token=first.next_pagination_token)
    assert [c.id for c in rest] == [made[2], made[1], made[0]]
    assert sdk.collections.list.walk()[0].id == newer
    assert sdk.collections.list(page_size=6).next_pagination_token is None


def test_the_default_page_holds_ten(sdk: Sdk) -> None:
    for i in range(11):
        sdk.collections.create(name=f"{i}")
    page = sdk.collections.list()
    assert (len(page.collections), bool(page.next_pagination_token)) == (10, True)
    assert len(sdk.collections.list.walk()) == 11


@pytest.mark.parametrize(
    ("call", "arguments", "field"),
    [
        ("create", {"name": " \t"}, "name"),
        ("create", {"name": "x" * 1025}, "name"),
        ("list", {"page_size": 0}, "pageSize"),
        ("list", {"page_size": 101}, "pageSize"),
        ("list", {"pagination_token": "nonsense"}, "paginationToken"),
        ("assets.add", {"collection_id": "col_x", "asset_ids": []}, "assetIds"),
        ("assets.remove", {"collection_id": "col_x", "asset_ids": ["a"] * 50}, "assetIds"),
        ("models.add", {"collection_id": "col_x", "model_ids": ["m"] * 50}, "modelIds"),
        ("models.remove", {"collection_id": "col_x", "model_ids": []}, "modelIds"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(sdk: Sdk, call: str, arguments: dict[str, object], field: str) -> None:
    target = sdk.collections
    for name in call.split("."):
        target = getattr(target, name)
    with pytest.raises(scenario_sdk.BadRequestError) as caught:
        target(**arguments)
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["reason"].startswith(field)
    assert (body["message"], body["details"]["field"], body["code"]) == (body["reason"], field, "BAD_REQUEST")


def test_a_token_of_another_list_is_refused(sdk: Sdk) -> None:
    for i in range(2):
        sdk.collections.create(name=f"{i}")
        sdk.models.create(name=f"{i}")
    token = sdk.models.list(page_size=1).next_pagination_token
    with pytest.raises(scenario_sdk.BadRequestError, match="another list"):
        sdk.collections.list(pagination_token=token)
