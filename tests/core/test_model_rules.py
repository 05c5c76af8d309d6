"""Models: foreign ids, the type that sets once trained, descriptions that mention, examples in order, and the trash."""

import pytest
from conftest import Clock, make_assets, new_actor
from msgspec import UNSET

from pinakes import assets, collections, mlmodels
from pinakes.access import Actor
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.model_types import Concept, TrainingParameters
from pinakes.tags import TagChange


def live(library: Library, actor: Actor) -> list[str]:
    return [model.id for model in mlmodels.get_page(library, actor, ModelFilter()).items]


@pytest.mark.usefixtures("clock")
def test_create_needs_nothing(library: Library, admin: Actor) -> None:
    made = mlmodels.create(library, admin, NewModel())
    assert made == mlmodels.get(library, admin, made.id)
    assert (made.type, made.status, made.privacy, made.custom) == ("custom", "new", "private", True)
    assert (made.name, made.short_description, made.thumbnail, made.concepts) == (UNSET, UNSET, UNSET, UNSET)
    assert made.id.startswith("model_")


def test_create_takes_everything(library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    concepts = [Concept("flux.1-dev", 0.5)]
    made = mlmodels.create(library, admin, NewModel("my.lora-1", " N ", "flux.1-lora", "S", [shelf, shelf], concepts))
    assert made == mlmodels.get(library, admin, "my.lora-1")
    assert (made.name, made.type, made.short_description) == (" N ", "flux.1-lora", "S")
    assert (made.collection_ids, made.concepts) == ([shelf], concepts)


@pytest.mark.parametrize("id", ["flux.1-dev", "A", "a" * 128, "0_-.x", "model_imposter"])
def test_foreign_ids_are_kept(library: Library, admin: Actor, other: Actor, id: str) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    for actor in (admin, other):
        assert mlmodels.create(library, actor, NewModel(id=id)).id == id
    collections.add(library, admin, shelf, "model", [id])
    assert mlmodels.get(library, admin, id).collection_ids == [shelf]
    assert mlmodels.get(library, other, id).collection_ids == []


@pytest.mark.parametrize("id", ["", ".hidden", "a b", "a/b", "é", "a" * 129, "a\n", "a\0"])
def test_ids_that_no_path_can_hold_are_refused(library: Library, admin: Actor, id: str) -> None:
    with pytest.raises(PinakesError, match=r"^id: expected"):
        mlmodels.create(library, admin, NewModel(id=id))


def test_a_taken_id_is_refused_also_in_the_trash(library: Library, admin: Actor) -> None:
    mlmodels.create(library, admin, NewModel(id="m"))
    for _ in range(2):
        with pytest.raises(PinakesError, match="already") as caught:
            mlmodels.create(library, admin, NewModel(id="m"))
        assert caught.value.code == "BAD_REQUEST"
        mlmodels.delete(library, admin, "m", is_repeat=True)


def test_names_are_checked(library: Library, admin: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel(name="n")).id
    for verb in (
        lambda: mlmodels.create(library, admin, NewModel(name=" ")),
        lambda: mlmodels.create(library, admin, NewModel(short_description="\0")),
        lambda: mlmodels.update(library, admin, id, ModelPatch(name="")),
        lambda: mlmodels.update(library, admin, id, ModelPatch(short_description="x" * 100_001)),
        lambda: mlmodels.update_description(library, admin, id, "\0"),
    ):
        with pytest.raises(PinakesError) as caught:
            verb()
        assert caught.value.code == "BAD_REQUEST"
    assert mlmodels.get(library, admin, id).name == "n"


def test_update_merges_settings(clock: Clock, library: Library, admin: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel(concepts=[Concept("a", 1)])).id
    parameters = TrainingParameters(batch_size=2)
    mlmodels.update(library, admin, id, ModelPatch(epoch="3", parameters=parameters, type="flux.1-lora"))
    clock.move(ms=1)
    after = mlmodels.update(library, admin, id, ModelPatch(name="N", epoch="4"))
    assert after == mlmodels.get(library, admin, id)
    assert (after.name, after.epoch, after.parameters, after.concepts) == ("N", "4", parameters, [Concept("a", 1)])
    assert (after.type, after.updated_at > after.created_at) == ("flux.1-lora", True)
    assert mlmodels.update(library, admin, id, ModelPatch(epoch=None)).epoch is UNSET
    after = mlmodels.get(library, admin, id)
    assert (after.name, after.epoch, after.parameters) == ("N", UNSET, parameters)


def test_the_type_sets_when_the_model_is_no_longer_new(library: Library, admin: Actor) -> None:
    new = mlmodels.create(library, admin, NewModel()).id
    trained = mlmodels.copy(library, admin, new, is_trained=True)
    assert (trained.status, trained.parent_model_id) == ("trained", new)
    assert mlmodels.update(library, admin, trained.id, ModelPatch(type="custom", name="N")).name == "N"
    with pytest.raises(PinakesError, match=r"^type: the type of a model that is trained cannot change"):
        mlmodels.update(library, admin, trained.id, ModelPatch(type="flux.1"))


def test_a_copy_has_everything_but_collections(library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    id = mlmodels.create(library, admin, NewModel(name="N", collection_ids=[shelf])).id
    cover, example = make_assets(library, admin, 2)
    mlmodels.update(library, admin, id, ModelPatch(thumbnail=cover, epoch="1"))
    mlmodels.update_tags(library, admin, id, TagChange(add=["t"]))
    mlmodels.update_description(library, admin, id, "words")
    mlmodels.update_examples(library, admin, id, [example])
    copy = mlmodels.copy(library, admin, id)
    assert copy == mlmodels.get(library, admin, copy.id)
    assert (copy.name, copy.epoch, copy.tags, copy.collection_ids) == ("N", "1", ["t"], [])
    assert (copy.thumbnail is not UNSET, copy.example_asset_ids) == (True, [example])
    assert mlmodels.get_description(library, admin, copy.id).value == "words"
    assert mlmodels.copy(library, admin, id, has_examples=False).example_asset_ids == []


def test_examples_keep_their_order_and_show_only_what_lives(library: Library, admin: Actor, other: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    a, b, c = make_assets(library, admin, 3)
    (foreign,) = make_assets(library, other, 1)
    shown = mlmodels.update_examples(library, admin, id, [c, a, c, b])
    assert [example.asset.id for example in shown] == [c, a, b]
    assert shown == mlmodels.get_examples(library, admin, id)
    for wrong in (foreign, "never_was"):
        with pytest.raises(PinakesError, match=r"^assetIds: no such") as caught:
            mlmodels.update_examples(library, admin, id, [a, wrong])
        assert caught.value.details == {"missing": [wrong]}
    with pytest.raises(PinakesError, match="at most 100"):
        mlmodels.update_examples(library, admin, id, [a] * 101)
    assets.delete(library, admin, [a])
    assert [example.asset.id for example in mlmodels.get_examples(library, admin, id)] == [c, b]
    assert mlmodels.get(library, admin, id).example_asset_ids == [c, b]
    assets.restore(library, admin, [a])
    assert mlmodels.get(library, admin, id).example_asset_ids == [c, a, b]
    assert mlmodels.update_examples(library, admin, id, []) == []


def test_a_description_knows_what_it_mentions(library: Library, admin: Actor, other: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    mlmodels.create(library, admin, NewModel(id="flux.1-dev"))
    (asset, trashed), (foreign,) = make_assets(library, admin, 2), make_assets(library, other, 1)
    assets.delete(library, admin, [trashed])
    assert mlmodels.get_description(library, admin, id).value == ""
    text = f"Based on flux.1-dev. See ![x]({asset}), **{asset}**, {trashed} and {foreign}."
    mlmodels.update_description(library, admin, id, text)
    shown = mlmodels.get_description(library, admin, id)
    assert shown == mlmodels.describe(library, admin, text)
    assert shown.value == text
    assert [item.id for item in shown.assets] == [asset]
    assert [item.id for item in shown.models] == ["flux.1-dev"]


def test_a_mention_is_one_of_the_first_100_words_that_look_like_ids(library: Library, admin: Actor) -> None:
    for id in ("prose", "a1", "a.b", "a-b", "a_b", "x" * 127 + "1"):
        mlmodels.create(library, admin, NewModel(id=id))
    (early, late) = make_assets(library, admin, 2)
    words = "Some prose, a sentence. " * 1000
    text = f"{words} a1. a.b a-b... (a_b) {'x' * 127}1 {'x' * 128}1 {early}x {early}. {words}"
    shown = mlmodels.describe(library, admin, text)
    assert sorted(item.id for item in shown.models) == sorted(["a1", "a.b", "a-b", "a_b", "x" * 127 + "1"])
    assert [item.id for item in shown.assets] == [early]
    for n, expected in ((99, ([late], ["a1"])), (100, ([], []))):
        others = [f"asset_{i:022} w-{i}" for i in range(n)]
        shown = mlmodels.describe(library, admin, " ".join([*others, late, "a1", *others]))
        assert ([item.id for item in shown.assets], [item.id for item in shown.models]) == expected


def test_looking_up_mentions_keeps_no_write_waiting(library: Library, admin: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    costs = []
    for text in ("", f"flux.1-dev {id} asset_{'0' * 22}"):
        before = library.store.statements()
        mlmodels.update_description(library, admin, id, text)
        costs.append(library.store.statements() - before)
    assert costs == [costs[0]] * 2


def test_the_trash_and_back(clock: Clock, library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    id = mlmodels.create(library, admin, NewModel(collection_ids=[shelf])).id
    mlmodels.update_tags(library, admin, id, TagChange(add=["t"]))
    with pytest.raises(PinakesError, match="is not deleted"):
        mlmodels.restore(library, admin, id)
    assert mlmodels.restore(library, admin, id, is_repeat=True) == mlmodels.get(library, admin, id)
    mlmodels.delete(library, admin, id)
    assert (live(library, admin), collections.get(library, admin, shelf).model_count) == ([], 0)
    (trashed,) = mlmodels.get_page(library, admin, ModelFilter(is_deleted=True)).items
    assert (trashed.id, trashed.deleted_at) == (id, "2023-11-14T22:13:20.000Z")
    with pytest.raises(PinakesError, match="There is no model"):
        mlmodels.delete(library, admin, id)
    mlmodels.delete(library, admin, id, is_repeat=True)
    clock.move(days=30, ms=-1)
    back = mlmodels.restore(library, admin, id)
    assert back == mlmodels.get(library, admin, id)
    assert (back.tags, back.collection_ids, back.deleted_at) == (["t"], [shelf], UNSET)
    assert collections.get(library, admin, shelf).model_count == 1


def test_after_30_days_a_model_is_gone(clock: Clock, library: Library, admin: Actor, other: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    mlmodels.delete(library, admin, id)
    clock.move(days=30)
    assert mlmodels.get_page(library, admin, ModelFilter(is_deleted=True)).items == []
    for actor, code in ((admin, "GONE"), (other, "NOT_FOUND")):
        with pytest.raises(PinakesError) as caught:
            mlmodels.restore(library, actor, id)
        assert caught.value.code == code


def test_get_bulk(library: Library, admin: Actor) -> None:
    first, second = (mlmodels.create(library, admin, NewModel(name=name)).id for name in "ab")
    found = mlmodels.get_bulk(library, admin, [second, "never_was", first, second])
    assert [(model.id, model.name) for model in found] == [(second, "b"), (first, "a")]
    small = mlmodels.minimal(found[0])
    assert (small.id, small.type, small.privacy, small.name) == (second, "custom", "private", "b")
    with pytest.raises(PinakesError, match="expected 1 to 200 ids"):
        mlmodels.get_bulk(library, admin, [])


def test_unknown_models(library: Library, admin: Actor, other: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    for unknown in (id, "never_was"):
        for verb in (
            lambda id: mlmodels.get(library, other, id),
            lambda id: mlmodels.update(library, other, id, ModelPatch(name="x")),
            lambda id: mlmodels.update_tags(library, other, id, TagChange(add=["t"])),
            lambda id: mlmodels.copy(library, other, id),
            lambda id: mlmodels.delete(library, other, id),
            lambda id: mlmodels.delete(library, other, id, is_repeat=True),
            lambda id: mlmodels.restore(library, other, id),
            lambda id: mlmodels.get_description(library, other, id),
            lambda id: mlmodels.update_description(library, other, id, ""),
            lambda id: mlmodels.get_examples(library, other, id),
            lambda id: mlmodels.update_examples(library, other, id, []),
        ):
            with pytest.raises(PinakesError) as caught:
                verb(unknown)
            assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [unknown]})
    assert live(library, admin) == [id]


def test_readers_may_not_write(library: Library, admin: Actor) -> None:
    reader = new_actor(library, "reader", admin.project_id)
    with pytest.raises(PinakesError) as caught:
        mlmodels.create(library, reader, NewModel())
    assert (caught.value.code, caught.value.details) == ("FORBIDDEN", {"scope": "models.write"})
