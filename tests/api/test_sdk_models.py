"""The model calls, made by the official SDK."""

from typing import Any

import pytest
import scenario_sdk

from api.clients import Key, Sdk
from api.test_sdk_collections import new_assets


def ids(models: list[Any]) -> list[str]:
    return [model.id for model in models]


@pytest.mark.calls("models.create", "models.retrieve", "models.update")
def test_create_and_update(sdk: Sdk, key: Key) -> None:
    collection = sdk.collections.create(name="Styles").collection.id
    concepts = [{"model_id": "flux.1-dev", "scale": 0.5}]
    bare = sdk.models.create().model
    assert (bare.name, bare.type, bare.status, bare.collection_ids) == (None, "custom", "new", [])
    made = sdk.models.create(
        name="Ink", type="flux.1-lora", short_description="Bold lines", collection_ids=[collection], concepts=concepts
    ).model
    assert (made.name, made.type, made.short_description) == ("Ink", "flux.1-lora", "Bold lines")
    assert (made.owner_id, made.author_id, made.collection_ids) == (key.project_id, key.id, [collection])
    assert [(concept.api_model_id, concept.scale) for concept in made.concepts] == [("flux.1-dev", 0.5)]
    assert sdk.collections.retrieve(collection).collection.api_model_count == 1
    assert sdk.models.retrieve(made.id).model.to_dict() == made.to_dict()

    (cover,) = new_assets(sdk, 1)
    changed = sdk.models.update(
        made.id,
        name="Ink 2",
        short_description="Thin lines",
        type="flux.1",
        thumbnail=cover,
        epoch="3",
        negative_prompt_embedding="blur",
        prompt_embedding="ink",
        parameters={"learning_rate": 0.001, "max_train_steps": 100, "sample_prompts": ["a cat"]},
    ).model
    assert (changed.name, changed.short_description, changed.type) == ("Ink 2", "Thin lines", "flux.1")
    assert (changed.thumbnail.asset_id, changed.epoch, changed.prompt_embedding) == (cover, "3", "ink")
    assert (changed.parameters.learning_rate, changed.parameters.sample_prompts) == (0.001, ["a cat"])
    assert changed.concepts[0].scale == 0.5
    assert sdk.models.update(made.id, thumbnail=None).model.thumbnail is None
    assert sdk.models.update(made.id, epoch=None).model.epoch is None
    assert sdk.models.retrieve(made.id).model.name == "Ink 2"
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.models.update("model_unknown", name="x")
    with pytest.raises(scenario_sdk.NotFoundError, match="thumbnail"):
        sdk.models.update(made.id, thumbnail="asset_unknown")


def test_a_bad_collection_leaves_no_model(sdk: Sdk) -> None:
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.models.create(name="Orphan", collection_ids=["col_unknown"])
    assert sdk.models.list().models == []


def test_a_model_known_elsewhere_keeps_its_id(sdk: Sdk) -> None:
    made = sdk.models.create(name="Flux", extra_body={"id": "flux.1-dev"}).model
    assert made.id == "flux.1-dev"
    assert sdk.models.retrieve("flux.1-dev").model.name == "Flux"
    collection = sdk.collections.create(name="Foreign").collection.id
    assert sdk.collections.models.add(collection, model_ids=["flux.1-dev"]).collection.api_model_count == 1
    with pytest.raises(scenario_sdk.BadRequestError, match="id: "):
        sdk.models.create(extra_body={"id": "flux.1-dev"})


@pytest.mark.calls("models.list")
def test_every_filter_of_the_list(sdk: Sdk) -> None:
    collection = sdk.collections.create(name="Styles").collection.id
    first = sdk.models.create(name="First", type="flux.1-lora", collection_ids=[collection]).model
    second = sdk.models.create(name="Second").model
    third = sdk.models.copy(second.id, copy_as_trained=True).model
    gone = sdk.models.create(name="Gone").model
    sdk.models.delete(gone.id)
    sdk.models.update_tags(first.id, add=["ink", "bold"])
    sdk.models.update_tags(second.id, add=["ink"])
    a, b, c = first.id, second.id, third.id
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [c, b, a]),
        ({"collection_id": collection}, [a]),
        ({"collection_ids": collection, "privacy": "public"}, []),
        ({"type": "flux.1-lora"}, [a]),
        ({"types": ["flux.1-lora", "custom"]}, [c, b, a]),
        ({"tags": "ink"}, [b, a]),
        ({"tags": "ink,bold"}, [a]),
        ({"privacy": "private"}, [c, b, a]),
        ({"privacy": "public"}, []),
        ({"status": "trained"}, [c]),
        ({"status": "new"}, [b, a]),
        ({"status": "deleted"}, [gone.id]),
        ({"sort_by": "createdAt", "sort_direction": "asc"}, [a, b, c]),
        ({"sort_by": "updatedAt"}, [b, a, c]),
        ({"sort_by": "score"}, [c, b, a]),
        ({"sort_by": "createdAt", "created_after": first.created_at}, [c, b]),
        ({"sort_by": "createdAt", "created_before": second.created_at}, [a]),
        ({"sort_by": "updatedAt", "updated_after": third.updated_at}, [b, a]),
        ({"sort_by": "updatedAt", "updated_before": third.updated_at}, []),
    ]
    for query, expected in cases:
        for size in (500, 1):
            assert ids(sdk.models.list.walk(page_size=size, **query)) == expected, query
    refused: list[tuple[dict[str, Any], str]] = [
        ({"page_size": 501}, "pageSize"),
        ({"status": "lost"}, "status"),
        ({"collection_ids": collection}, "collectionIds"),
        ({"collection_id": collection, "privacy": "public"}, "collectionId"),
        ({"created_after": first.created_at}, "createdAfter"),
        ({"type": "custom", "types": ["custom"]}, "types"),
    ]
    for query, field in refused:
        with pytest.raises(scenario_sdk.BadRequestError) as caught:
            sdk.models.list(**query)
        assert caught.value.body["details"]["field"] == field  # type: ignore[index]


@pytest.mark.calls("models.get_bulk")
def test_get_bulk_whole_and_minimal(sdk: Sdk) -> None:
    first, second = (sdk.models.create(name=name).model for name in ("First", "Second"))
    found = sdk.models.get_bulk(model_ids=[second.id, "flux.1-dev", first.id]).models
    assert ids(found) == [second.id, first.id]
    assert found[1].to_dict() == first.to_dict()
    (minimal,) = sdk.models.get_bulk(model_ids=[first.id], minimal=True).models
    assert minimal.to_dict() == {"id": first.id, "name": "First", "privacy": "private", "type": "custom"}


@pytest.mark.calls("models.copy", "models.examples.list", "models.examples.update")
def test_examples_have_an_order_and_go_along_with_a_copy(sdk: Sdk) -> None:
    first, second, third = new_assets(sdk, 3)
    model = sdk.models.create(name="Ink").model.id
    assert sdk.models.examples.list(model).examples == []
    updated = sdk.models.examples.update(model, asset_ids=[third, first]).examples
    assert [(example.asset.id, example.api_model_id) for example in updated] == [(third, model), (first, model)]
    assert sdk.models.retrieve(model).model.example_asset_ids == [third, first]
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.models.examples.update(model, asset_ids=[second, "asset_unknown"])
    assert [example.asset.id for example in sdk.models.examples.list(model).examples] == [third, first]

    sdk.models.update_tags(model, add=["ink"])
    copy = sdk.models.copy(model).model
    assert (copy.name, copy.tags, copy.example_asset_ids, copy.status) == ("Ink", ["ink"], [third, first], "new")
    assert copy.to_dict()["parentModelId"] == model
    bare = sdk.models.copy(model, copy_examples=False, copy_as_trained=True).model
    assert (bare.example_asset_ids, bare.status) == ([], "trained")
    sdk.assets.delete_multiple(asset_ids=[third])
    assert sdk.models.retrieve(model).model.example_asset_ids == [first]
    assert sdk.models.examples.update(model, asset_ids=[]).examples == []


@pytest.mark.calls("models.description.retrieve", "models.description.update")
def test_a_description_tells_what_it_mentions(sdk: Sdk) -> None:
    (asset,) = new_assets(sdk, 1)
    model, other = (sdk.models.create(name=name).model.id for name in ("Ink", "Other"))
    assert sdk.models.description.retrieve(model).description.value == ""
    text = f"# Ink\nSee {asset}, {other}."
    for shown in (
        sdk.models.description.update(model, description=text).description,
        sdk.models.description.retrieve(model).description,
    ):
        assert (shown.value, ids(shown.assets), ids(shown.models)) == (text, [asset], [other])


@pytest.mark.calls("models.delete", "models.restore", "models.update_tags")
def test_the_trash_gives_back_tags_and_collections(sdk: Sdk) -> None:
    collection = sdk.collections.create(name="Styles").collection.id
    model = sdk.models.create(name="Ink", collection_ids=[collection]).model.id
    sdk.models.update_tags(model, add=["ink"])
    with pytest.raises(scenario_sdk.BadRequestError, match="not deleted"):
        sdk.models.restore(model)
    sdk.models.delete(model)
    for call in (sdk.models.retrieve, sdk.models.delete):
        with pytest.raises(scenario_sdk.NotFoundError):
            call(model)
    assert sdk.collections.retrieve(collection).collection.api_model_count == 0
    assert sdk.tags.list().tags == []
    restored = sdk.models.restore(model).model
    assert (restored.tags, restored.collection_ids) == (["ink"], [collection])
    assert sdk.collections.retrieve(collection).collection.api_model_count == 1
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.models.restore("model_unknown")
