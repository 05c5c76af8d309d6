"""What happens all the time, over a shelf on which lists have something to leave out."""

from collections.abc import Callable

from conftest import make_assets, new_actor
from linking import made_with, one

from pinakes import assets, collections, mlmodels, projects, tags
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, NewModel
from pinakes.tags import TagChange

Verb = Callable[[int], object]


def fill(library: Library, admin: Actor) -> str:
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
        "assets": (2, lambda n: assets.get_page(library, admin, AssetFilter(), n)),
        "tagged assets": (2, lambda n: assets.get_page(library, admin, AssetFilter(tags=("a",)), n)),
        "assets of a collection": (3, lambda n: assets.get_page(library, admin, in_shelf, n)),
        "assets of a model": (2, lambda n: assets.get_page(library, admin, AssetFilter(model_id="fox"), n)),
        "models": (2, lambda n: mlmodels.get_page(library, admin, ModelFilter(), n)),
        "models of a collection": (3, lambda n: mlmodels.get_page(library, admin, models_in, n)),
        "tags": (1, lambda n: tags.get_page(library, admin, n)),
        "projects": (2, lambda n: projects.get_page(library, admin, n)),
        "assets by id": (2, lambda n: assets.get_bulk(library, admin, members[:n])),
        "models by id": (2, lambda n: mlmodels.get_bulk(library, admin, models[:n])),
        "examples": (4, lambda n: mlmodels.get_examples(library, admin, models[n - 1])),
        "description": (4, lambda n: mlmodels.get_description(library, admin, models[n - 1])),
        "team": (3, lambda _: projects.get_team(library, admin)),
    }


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
