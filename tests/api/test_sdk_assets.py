"""The asset and tag calls, made by the official SDK."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
import scenario_sdk
from conftest import make_png

from api.clients import Key, Sdk, open_sdk
from api.test_sdk_collections import PNG, new_assets


def ids(assets: list[Any]) -> list[str]:
    return [asset.id for asset in assets]


@pytest.mark.calls("assets.upload", "assets.retrieve")
def test_upload_as_base64_and_as_a_data_url(sdk: Sdk, key: Key) -> None:
    collection = sdk.collections.create(name="Uploads").collection.id
    parent = sdk.assets.upload(name="parent.png", image=PNG).asset
    for image in (PNG, f"data:image/png;base64,{PNG}"):
        made = sdk.assets.upload(
            name=" sür/b.png", image=image, collection_ids=[collection], parent_id=parent.id, hide=True
        ).asset
        assert sdk.assets.retrieve(made.id).asset.to_dict() == made.to_dict()
        assert (made.metadata.name, made.kind, made.mime_type) == (" sür/b.png", "image", "image/png")
        assert (made.properties.size, made.properties.width, made.properties.height) == (len(make_png()), 2, 2)
        assert (made.owner_id, made.author_id, made.status) == (key.project_id, key.id, "success")
        assert (made.collection_ids, made.metadata.parent_id) == ([collection], parent.id)
        assert (made.privacy, made.source, made.metadata.type, made.tags) == ("private", "uploaded", "uploaded", [])
        assert made.to_dict()["isHidden"] is True
        assert made.thumbnail is not None
        assert made.thumbnail.asset_id == made.id
    assert sdk.collections.retrieve(collection).collection.asset_count == 2
    assert parent.collection_ids == []
    assert parent.metadata.parent_id is None


@pytest.mark.parametrize("more", [{"collection_ids": ["col_unknown"]}, {"parent_id": "asset_unknown"}])
def test_what_an_upload_refers_to_must_be_there(sdk: Sdk, more: dict[str, Any]) -> None:
    good = sdk.collections.create(name="Good").collection.id
    if "collection_ids" in more:
        more = {"collection_ids": [good, *more["collection_ids"]]}
    with pytest.raises(scenario_sdk.NotFoundError) as caught:
        sdk.assets.upload(name="a.png", image=PNG, **more)
    assert "unknown" in str(caught.value.body["details"]["missing"])  # type: ignore[index]
    assert sdk.assets.list().assets == []
    assert sdk.collections.retrieve(good).collection.asset_count == 0


@pytest.mark.parametrize(
    "image", ["", "***", "data:image/png,abc", "data:image/png;base64,", "data:image/gif;base64," + PNG]
)
def test_what_is_no_file_is_refused(sdk: Sdk, image: str) -> None:
    with pytest.raises(scenario_sdk.BadRequestError, match="image: "):
        sdk.assets.upload(name="a.png", image=image)
    assert sdk.assets.list().assets == []


@pytest.mark.calls("assets.update")
def test_update(sdk: Sdk) -> None:
    (id,) = new_assets(sdk, 1)
    changed = sdk.assets.update(id, name="New name", description="Why").asset
    assert (changed.metadata.name, changed.description) == ("New name", "Why")
    changed = sdk.assets.update(id, description="").asset
    assert (changed.metadata.name, changed.description) == ("New name", "")
    assert sdk.assets.retrieve(id).asset.to_dict() == changed.to_dict()
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.assets.update("asset_unknown", name="x")


@pytest.mark.calls("assets.update_tags", "models.update_tags", "tags.list")
def test_tags_are_shared_by_assets_and_models(sdk: Sdk) -> None:
    (asset,) = new_assets(sdk, 1)
    model = sdk.models.create(name="A model").model.id
    report = sdk.assets.update_tags(asset, add=["moss", "stone"])
    assert (report.added, report.deleted) == (["moss", "stone"], [])
    assert sdk.models.update_tags(model, add=["stone"]).added == ["stone"]
    assert sdk.assets.retrieve(asset).asset.tags == ["moss", "stone"]
    assert [(tag.tag_name, tag.item_count) for tag in sdk.tags.list().tags] == [("moss", 1), ("stone", 2)]

    for strict in ({"add": ["stone"]}, {"delete": ["water"]}, {"add": ["new"], "delete": ["water"]}):
        for call, id in ((sdk.assets.update_tags, asset), (sdk.models.update_tags, model)):
            with pytest.raises(scenario_sdk.BadRequestError):
                call(id, **strict)
    assert sdk.assets.retrieve(asset).asset.tags == ["moss", "stone"]
    report = sdk.assets.update_tags(asset, add=["moss", "new"], delete=["stone", "water"], strict=False)
    assert (report.added, report.deleted) == (["new"], ["stone"])
    assert [(tag.tag_name, tag.item_count) for tag in sdk.tags.list.walk(page_size=1)] == [
        ("moss", 1),
        ("new", 1),
        ("stone", 1),
    ]


@pytest.mark.calls("assets.get_bulk")
def test_get_bulk_keeps_the_order_and_leaves_out_the_unknown(sdk: Sdk) -> None:
    first, second, third = new_assets(sdk, 3)
    sdk.assets.delete_multiple(asset_ids=[second])
    found = sdk.assets.get_bulk(asset_ids=[third, "asset_unknown", second, first, third]).assets
    assert ids(found) == [third, first]
    assert found[1].to_dict() == sdk.assets.retrieve(first).asset.to_dict()
    with pytest.raises(scenario_sdk.BadRequestError, match="assetIds"):
        sdk.assets.get_bulk(asset_ids=["a"] * 201)


@pytest.mark.calls("assets.duplicate")
def test_duplicate_here_and_in_another_project(sdk: Sdk) -> None:
    collection = sdk.collections.create(name="Home").collection.id
    original = sdk.assets.upload(name="a.png", image=PNG, collection_ids=[collection]).asset
    sdk.assets.update_tags(original.id, add=["moss"])
    other = sdk.projects.create(name="Elsewhere").project.id
    here = sdk.assets.duplicate(original.id).asset
    there = sdk.assets.duplicate(original.id, target_project_id=other).asset
    for copy, owner in ((here, original.owner_id), (there, other)):
        assert copy.id != original.id
        assert (copy.owner_id, copy.tags, copy.collection_ids) == (owner, ["moss"], [])
        assert copy.properties.to_dict() == original.properties.to_dict()
    assert ids(sdk.assets.list(project_id=other).assets) == [there.id]
    assert sdk.assets.retrieve(there.id, project_id=other).asset.to_dict() == there.to_dict()
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.assets.retrieve(there.id)
    with pytest.raises(scenario_sdk.PermissionDeniedError):
        sdk.assets.duplicate(original.id, target_project_id="proj_unknown")


@pytest.mark.calls("assets.delete_multiple", "assets.restore_multiple")
def test_the_trash_gives_back_tags_and_collections(sdk: Sdk) -> None:
    kept, gone = new_assets(sdk, 2)
    collection = sdk.collections.create(name="Home").collection.id
    sdk.collections.assets.add(collection, asset_ids=[kept, gone])
    sdk.assets.update_tags(gone, add=["moss"])
    before = sdk.assets.retrieve(gone).asset

    sdk.assets.delete_multiple(asset_ids=[gone, "asset_unknown"])
    sdk.assets.delete_multiple(asset_ids=[gone])
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.assets.retrieve(gone)
    assert ids(sdk.assets.list().assets) == [kept]
    assert ids(sdk.assets.list(collection_id=collection).assets) == [kept]
    assert sdk.collections.retrieve(collection).collection.asset_count == 1
    assert sdk.tags.list().tags == []
    (trashed,) = sdk.assets.list(deleted=True).assets
    assert trashed.id == gone
    assert trashed.deleted_at > before.updated_at

    report = sdk.assets.restore_multiple(asset_ids=[gone, kept, "asset_unknown"])
    assert report.restored_asset_ids == [gone]
    assert {skipped.asset_id: skipped.reason for skipped in report.skipped_assets} == {
        kept: "not-deleted",
        "asset_unknown": "not-found",
    }
    after = sdk.assets.retrieve(gone).asset
    assert (after.tags, after.collection_ids, after.deleted_at) == (["moss"], [collection], None)
    assert sdk.collections.retrieve(collection).collection.asset_count == 2
    assert sdk.assets.list(deleted=True).assets == []


@pytest.fixture
def shelf(sdk: Sdk) -> dict[str, Any]:
    """Assets that differ in all that one can filter and sort by, in the order of their creation."""
    collection = sdk.collections.create(name="Shelf").collection.id
    root = sdk.assets.upload(name="root.png", image=PNG).asset
    child = sdk.assets.upload(name="child.png", image=PNG, parent_id=root.id, collection_ids=[collection]).asset
    grandchild = sdk.assets.upload(name="grandchild.png", image=PNG, parent_id=child.id).asset
    text = sdk.assets.upload(name="notes.txt", image=base64.b64encode(b"notes").decode()).asset
    while sdk.assets.retrieve(text.id).asset.status == "pending":  # looking into it moves its `updatedAt`
        time.sleep(0.02)
    for asset, tags in ((root, ["moss", "stone"]), (child, ["moss"])):
        sdk.assets.update_tags(asset.id, add=tags)
    made = {"root": root, "child": child, "grandchild": grandchild, "text": text}
    return {"collection": collection, "author": root.author_id, **{name: asset.id for name, asset in made.items()}}


@pytest.mark.calls("assets.list")
def test_every_filter_of_the_list(sdk: Sdk, shelf: dict[str, Any]) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["text", "grandchild", "child", "root"]),
        ({"collection_id": shelf["collection"]}, ["child"]),
        ({"type": "uploaded"}, ["grandchild", "child", "root"]),
        ({"type": "uploaded-text"}, ["text"]),
        ({"types": ["uploaded-text"]}, ["text"]),
        ({"types": ["uploaded-text", "uploaded"]}, ["text", "grandchild", "child", "root"]),
        ({"type": "txt2img"}, []),
        ({"tags": "moss"}, ["child", "root"]),
        ({"tags": "moss,stone"}, ["root"]),
        ({"tags": "unknown"}, []),
        ({"author_id": shelf["author"]}, ["text", "grandchild", "child", "root"]),
        ({"author_id": "key_unknown"}, []),
        ({"model_id": "flux.1-dev"}, []),
        ({"parent_asset_id": shelf["root"]}, ["child"]),
        ({"root_asset_id": shelf["root"]}, ["grandchild", "child"]),
        ({"privacy": "private"}, ["text", "grandchild", "child", "root"]),
        ({"privacy": "public"}, []),
        ({"original_assets": True}, ["text", "grandchild", "child", "root"]),
        ({"tags": "moss", "parent_asset_id": shelf["root"], "type": "uploaded"}, ["child"]),
        ({"sort_by": "createdAt"}, ["text", "grandchild", "child", "root"]),
        ({"sort_by": "createdAt", "sort_direction": "asc"}, ["root", "child", "grandchild", "text"]),
        ({"sort_by": "updatedAt"}, ["child", "root", "text", "grandchild"]),
        ({"sort_by": "updatedAt", "sort_direction": "asc"}, ["grandchild", "text", "root", "child"]),
    ]
    for query, expected in cases:
        for size in (100, 1):
            assert ids(sdk.assets.list.walk(page_size=size, **query)) == [shelf[name] for name in expected], query


def test_bounds_of_time_are_exclusive_and_belong_to_the_sort(sdk: Sdk) -> None:
    made = [sdk.assets.retrieve(id).asset for id in new_assets(sdk, 3)]
    first, middle, last = made
    assert first.created_at < middle.created_at < last.created_at
    for side, newer, older in (("created", last, first), ("updated", last, first)):
        sort: dict[str, Any] = {"sort_by": f"{side}At"}
        assert ids(sdk.assets.list(**sort, **{f"{side}_after": middle.created_at}).assets) == [newer.id]
        assert ids(sdk.assets.list(**sort, **{f"{side}_before": middle.created_at}).assets) == [older.id]
        both = {f"{side}_after": first.created_at, f"{side}_before": last.created_at}
        assert ids(sdk.assets.list(**sort, **both).assets) == [middle.id]
        assert len(sdk.assets.list(**sort, **{f"{side}_after": "0999-12-31T00:00:00Z"}).assets) == 3
        with pytest.raises(scenario_sdk.BadRequestError, match=f"{side}After"):
            sdk.assets.list(**{f"{side}_after": middle.created_at})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"type": "uploaded", "types": ["uploaded"]}, "types"),
        ({"type": "nonsense"}, "type"),
        ({"types": ["uploaded", "nonsense"]}, "types"),
        ({"page_size": 101}, "pageSize"),
        ({"sort_by": "name"}, "sortBy"),
        ({"sort_direction": "up"}, "sortDirection"),
        ({"sort_by": "createdAt", "created_after": "yesterday"}, "createdAfter"),
        ({"sort_by": "createdAt", "created_after": "0001-01-01T00:00:00+05:00"}, "createdAfter"),
        ({"sort_by": "createdAt", "updated_after": "2026-01-01T00:00:00Z"}, "updatedAfter"),
        ({"deleted": True, "tags": "moss"}, "tags"),
        ({"deleted": True, "sort_by": "createdAt"}, "sortBy"),
        ({"privacy": "secret"}, "privacy"),
    ],
)
def test_filters_that_cannot_be_right_are_refused_by_name(sdk: Sdk, query: dict[str, Any], field: str) -> None:
    with pytest.raises(scenario_sdk.BadRequestError) as caught:
        sdk.assets.list(**query)
    assert caught.value.body["details"]["field"] == field  # type: ignore[index]


def test_a_list_of_an_unknown_collection_is_not_found(sdk: Sdk) -> None:
    with pytest.raises(scenario_sdk.NotFoundError, match="collectionId"):
        sdk.assets.list(collection_id="col_unknown")


def test_roles_and_projects_through_the_sdk(sdk: Sdk, url: str, key: Key, new_key: Callable[..., Key]) -> None:
    """What a reader, an editor and a stranger may do to one asset."""
    (id,) = new_assets(sdk, 1)
    for role, may_write in (
        ("reader", False),
        ("editor", True),
        ("assets.read", False),
        ("assets.read;assets.write", True),
    ):
        with open_sdk("sync", url, new_key(role, key.project_id)) as other:
            assert other.assets.retrieve(id).asset.id == id
            if may_write:
                other.assets.update(id, name=role)
            else:
                with pytest.raises(scenario_sdk.PermissionDeniedError):
                    other.assets.update(id, name=role)
    with open_sdk("sync", url, new_key()) as stranger:
        with pytest.raises(scenario_sdk.NotFoundError):
            stranger.assets.retrieve(id)
        with pytest.raises(scenario_sdk.PermissionDeniedError):
            stranger.assets.retrieve(id, project_id=key.project_id)
    wrong = open_sdk("sync", url, key._replace(secret="wrong"))
    with wrong as nobody, pytest.raises(scenario_sdk.AuthenticationError):
        nobody.assets.retrieve(id)
