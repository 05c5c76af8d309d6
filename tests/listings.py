"""All that a library shows through its verbs, to compare two that should show the same."""

import functools
from collections.abc import Callable
from typing import Any

from pinakes import assets, collections, mlmodels, projects, search, tags, uploads
from pinakes.access import SCOPES, Actor, get_all_keys
from pinakes.assets import AssetFilter
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter
from pinakes.page import Page
from pinakes.search import Search

WORDS = ("png", "mossy", "stone", "red", "glow fox", '"mossy stone"', "sto")


def everything(library: Library) -> dict[str, Any]:
    """Every list of every project."""
    found: dict[str, Any] = {"keys": get_all_keys(library, [project.id for project in projects.get_all(library)])}
    for project in projects.get_all(library):
        actor = Actor(project.id, project.number, "key_reader", SCOPES)
        found[project.id] = (project, _lists(library, actor), _looked_up(library, actor))
    return found


def walk(get_page: Callable[..., Page[Any]], *args: Any) -> list[Any]:
    """All rows of a list."""
    found, token = [], None
    while True:
        page = get_page(*args, 100, token)
        found += page.items
        token = page.token
        if token is None:
            return found


def _lists(library: Library, actor: Actor) -> dict[str, list[Any]]:
    pages = functools.partial(walk, assets.get_page, library, actor)
    models = functools.partial(walk, mlmodels.get_page, library, actor)
    shelves = walk(collections.get_page, library, actor)
    return {
        "assets": pages(AssetFilter()),
        "by update": pages(AssetFilter(sort_by="updated_at", is_ascending=True)),
        "trash": pages(AssetFilter(is_deleted=True)),
        "models": models(ModelFilter()),
        "deleted models": models(ModelFilter(is_deleted=True)),
        "collections": shelves,
        "tags": walk(tags.get_page, library, actor),
        **{shelf.id: pages(AssetFilter(collection_id=shelf.id)) for shelf in shelves},
        **{f"{shelf.id} models": models(ModelFilter(collection_ids=(shelf.id,))) for shelf in shelves},
    }


def _looked_up(library: Library, actor: Actor) -> list[Any]:
    """What searches find, how models are described and shown, and what is on its way."""
    found: list[Any] = []
    for verb in (search.find_assets, search.find_models):
        asked = [*(Search(query=word, limit=100) for word in WORDS), Search(filter="tags = 'red'", limit=100)]
        found += [verb(library, actor, wanted, {}).items for wanted in asked]
    for model in walk(mlmodels.get_page, library, actor, ModelFilter()):
        found.append(mlmodels.get_description(library, actor, model.id))
        found.append(mlmodels.get_examples(library, actor, model.id))
        found.append(walk(assets.get_page, library, actor, AssetFilter(model_id=model.id)))
    with library.store.read() as tx:
        waiting = sorted({id for id, _ in tx.uploads.kept_parts()})
    return found + [shown for id in waiting if (shown := _upload(library, actor, id))]


def _upload(library: Library, actor: Actor, id: str) -> Any:
    try:
        return uploads.get(library, actor, id)
    except PinakesError:
        return None  # another project's
