"""What clients ask of a large library: every verb that reads or writes rows, on things picked at random.

Each is called again and again, by a benchmark that times it and by a test that looks at its plans.
"""

import random
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import msgspec

from bench.large_rows import START_MS, YEAR_MS
from bench.search_library import word
from pinakes import access, assets, collections, downloads, ids, mlmodels, projects, search, tags, uploads
from pinakes.access import Actor, NewApiKey
from pinakes.asset_types import Bytes, Generation, Ingredient
from pinakes.assets import AssetFilter, AssetPatch, NewAsset
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.download_types import ArchiveOptions, ArchiveQuery, NewArchive
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.projects import NewProject
from pinakes.search import Search
from pinakes.tags import TagChange
from pinakes.upload_types import NewUpload, StoredPart

Verb = Callable[[], object]
RARE, COMMON, COMMONEST = (10_000, 11_000), (20, 30), (0, 3)
"""Ranks of words that one in 20,000, one in 20 and more than half of all prompts have."""


class World(NamedTuple):
    """Somebody in the project that holds nearly all, and some of what is in it. `stored` is a picture's bytes."""

    library: Library
    actor: Actor
    dice: random.Random
    assets: list[str]
    collections: list[str]
    models: list[str]
    stored: Bytes

    @property
    def asset(self) -> str:
        return self.dice.choice(self.assets)

    @property
    def collection(self) -> str:
        return self.dice.choice(self.collections)

    @property
    def model(self) -> str:
        return self.dice.choice(self.models)

    def word(self, ranks: tuple[int, int]) -> str:
        return word(self.dice.randrange(*ranks))

    def time(self) -> str:
        return ids.iso(START_MS + self.dice.randrange(YEAR_MS))

    def new(self, number: int, of: list[str] | None = None) -> list[str]:
        """New assets."""
        made = NewAsset("new.png", "", collection_ids=of or [])
        return [assets.create(self.library, self.actor, made, self.stored).id for _ in range(number)]


def look_around(library: Library, actor: Actor, seed: int = 1, pages: int = 40) -> World:
    """Pick things of all ages."""
    dice = random.Random(seed)
    found: list[str] = []
    for _ in range(pages):
        before = ids.iso(START_MS + dice.randrange(YEAR_MS))
        found += [asset.id for asset in assets.get_page(library, actor, AssetFilter(before=before), 50).items]
    shelves = {id for asset in assets.get_bulk(library, actor, found[:200]) for id in asset.collection_ids}
    models: list[str] = []
    token: str | None = None
    for _ in range(pages):
        page = mlmodels.get_page(library, actor, ModelFilter(), 50, token)
        models, token = models + [model.id for model in page.items], page.token
        if token is None:
            break
    with library.store.read() as tx:
        (stored,) = [row.bytes for row in tx.assets.find_many(actor.owner, found[:1])]
    return World(library, actor, dice, found, sorted(shelves), models, stored)


def reads(world: World) -> dict[str, Verb]:
    """What changes nothing."""
    library, actor = world.library, world.actor
    return {**_lists(world), **_searches(world)} | {
        "collection": lambda: collections.get(library, actor, world.collection),
        "asset": lambda: assets.get(library, actor, world.asset),
        "assets by id": lambda: assets.get_bulk(library, actor, world.dice.sample(world.assets, 50)),
        "asset of a link": lambda: assets.locate(library, actor.project_id, world.asset),
        "model": lambda: mlmodels.get(library, actor, world.model),
        "models by id": lambda: mlmodels.get_bulk(library, actor, world.dice.sample(world.models, 50)),
        "examples": lambda: mlmodels.get_examples(library, actor, world.model),
        "description": lambda: mlmodels.get_description(library, actor, world.model),
        "download": lambda: downloads.of_asset(library, actor, world.asset),
        "archive": lambda: downloads.plan(library, actor, _archive(ArchiveQuery(asset_ids=world.assets[:100]))),
        "project": lambda: projects.get(library, actor, actor.project_id),
        "projects": lambda: projects.get_page(library, actor, 10),
        "team": lambda: projects.get_team(library, actor),
        "jobs to do": lambda: _is_due(library),
    }


def _lists(world: World) -> dict[str, Verb]:
    library, actor = world.library, world.actor
    more_collections = collections.get_page(library, actor, 50).token
    more_assets = assets.get_page(library, actor, AssetFilter(), 50).token
    more_tags = tags.get_page(library, actor, 50).token
    large = AssetFilter(collection_id=largest_collection(world))
    more_members = assets.get_page(library, actor, large, 50).token

    def page(token: str | None = None, **filter: Any) -> object:
        return assets.get_page(library, actor, AssetFilter(**filter), 50, token)

    def models(**filter: Any) -> object:
        return mlmodels.get_page(library, actor, ModelFilter(**filter), 50)

    return {
        "collections": lambda: collections.get_page(library, actor, 50),
        "more collections": lambda: collections.get_page(library, actor, 50, more_collections),
        "assets": page,
        "more assets": lambda: page(more_assets),
        "assets upwards": lambda: page(is_ascending=True),
        "assets by update": lambda: page(sort_by="updated_at"),
        "assets before": lambda: page(before=world.time()),
        "assets after, upwards": lambda: page(after=world.time(), is_ascending=True),
        "assets between": lambda: page(after="2025-03", before="2025-04"),
        "assets of a type": lambda: page(types=("uploaded",)),
        "assets of a rare type": lambda: page(types=("uploaded-3d",)),
        "trash": lambda: page(is_deleted=True),
        "members": lambda: page(collection_id=world.collection),
        "members of the largest": lambda: assets.get_page(library, actor, large, 50),
        "more members": lambda: assets.get_page(library, actor, large, 50, more_members),
        "members by update": lambda: page(collection_id=world.collection, sort_by="updated_at"),
        "members with a tag": lambda: page(collection_id=world.collection, tags=("tag 1",)),
        "members made with": lambda: page(collection_id=world.collection, model_id=world.model),
        "made with": lambda: page(model_id=world.model),
        "made with, tagged": lambda: page(model_id=world.model, tags=("tag 3",)),
        "rare tag": lambda: page(tags=(f"tag {world.dice.randrange(1000, 2000)}",)),
        "two tags": lambda: page(tags=("tag 40", "tag 50")),
        "children": lambda: page(parent_id=world.asset),
        "descendants": lambda: page(root_id=world.asset),
        "models": models,
        "models by update": lambda: models(sort_by="updated_at"),
        "models with a tag": lambda: models(tags=("tag 1",)),
        "models of collections": lambda: models(collection_ids=(world.collection, world.collection)),
        "deleted models": lambda: models(is_deleted=True),
        "tags": lambda: tags.get_page(library, actor, 50),
        "more tags": lambda: tags.get_page(library, actor, 50, more_tags),
    }


def largest_collection(world: World) -> str:
    """Of those that were seen."""
    counts = {id: collections.get(world.library, world.actor, id).asset_count for id in world.collections[:500]}
    return max(counts, key=lambda id: counts[id])


def _searches(world: World) -> dict[str, Verb]:
    def find(**wanted: Any) -> object:
        return search.find_assets(world.library, world.actor, Search(**wanted), {})

    def find_models(**wanted: Any) -> object:
        return search.find_models(world.library, world.actor, Search(**wanted), {})

    return {
        "search: rare word": lambda: find(query=f"{world.word(RARE)} "),
        "search: word in 5 %": lambda: find(query=f"{world.word(COMMON)} "),
        "search: word in 60 %": lambda: find(query=f"{world.word(COMMONEST)} "),
        "search: page 50 of a word in 60 %": lambda: find(query=f"{world.word(COMMONEST)} ", offset=1000),
        "search: no such word": lambda: find(query="absent "),
        "search: two common words": lambda: find(query=f"{world.word(COMMON)} {world.word((30, 40))} "),
        "search: prefix of 2 letters": lambda: find(query=world.word(COMMON)[:2]),
        "search: prefix of 5 letters": lambda: find(query=world.word(COMMON)[:5]),
        "search: common word, not another": lambda: find(query=f"{world.word(COMMON)} -{world.word(COMMONEST)}"),
        "search: all but a word in 60 %": lambda: find(query=f"-{world.word(COMMONEST)}"),
        "search: phrase of common words": lambda: find(query=f'"{world.word(COMMONEST)} {world.word(COMMON)}"'),
        "search: filter, few pass": lambda: find(filter=f'kind = 3d AND tags = "tag {world.dice.randrange(100)}"'),
        "search: filter, most pass": lambda: find(filter="kind = image AND width >= 1024"),
        "search: filter, none pass": lambda: find(filter="kind = image AND width = 17"),
        "search: filter, one collection": lambda: find(filter=f"collectionIds = {world.collection}"),
        "search: filter, model and date": lambda: find(filter=f"modelId = {world.model} AND createdAt > 2025-06-01"),
        "search: common word, most pass": lambda: find(query=world.word(COMMON), filter="width >= 1024"),
        "search: common word, few pass": lambda: find(query=world.word(COMMON), filter="width = 4096"),
        "search: rare word, most pass": lambda: find(query=world.word(RARE), filter="kind = image"),
        "search: sorted by size": lambda: find(filter="kind = image", sort_by=("size:desc",)),
        "search: sorted by name": lambda: find(filter="kind = image", sort_by=("name:asc",)),
        "search: sorted by width": lambda: find(filter="kind = image", sort_by=("width:asc", "name:desc")),
        "search: common word by date": lambda: find(query=world.word(COMMON), sort_by=("createdAt:asc",)),
        "search: commonest word by update": lambda: find(query=world.word(COMMONEST), sort_by=("updatedAt:desc",)),
        "search: look-alikes": lambda: find(image=world.asset),
        "search: look-alikes, filtered": lambda: find(image=world.asset, query=word(0), filter="width >= 1024"),
        "search: models": lambda: find_models(query="model"),
        "search: models that look like": lambda: find_models(image=world.asset),
        "search: models with a tag": lambda: find_models(filter='tags = "tag 1"', sort_by=("name:asc",)),
    }


def writes(world: World) -> dict[str, Verb]:
    """What changes something, and little of it each time."""
    return {**_collection_writes(world), **_asset_writes(world), **_model_writes(world), **_other_writes(world)}


def _collection_writes(world: World) -> dict[str, Verb]:
    library, actor = world.library, world.actor

    def add_and_remove() -> None:
        shelf, some = collections.create(library, actor, NewCollection("New")).id, world.dice.sample(world.assets, 49)
        collections.add(library, actor, shelf, "asset", some)
        collections.remove(library, actor, shelf, "asset", some)

    return {
        "create collection": lambda: collections.create(library, actor, NewCollection("New")),
        "rename collection": lambda: collections.update(
            library, actor, world.collection, CollectionPatch(name="Other")
        ),
        "cover of collection": lambda: collections.update(
            library, actor, world.collection, CollectionPatch(thumbnail=world.asset)
        ),
        "delete collection": lambda: collections.delete(
            library, actor, collections.create(library, actor, NewCollection("New")).id
        ),
        "add 49": lambda: collections.add(
            library, actor, world.collection, "asset", world.dice.sample(world.assets, 49)
        ),
        "add 49, remove 49": add_and_remove,
        "add models": lambda: collections.add(
            library, actor, world.collection, "model", world.dice.sample(world.models, 9)
        ),
    }


def _asset_writes(world: World) -> dict[str, Verb]:
    library, actor = world.library, world.actor
    numbers = count()

    def trash_and_restore() -> None:
        some = world.dice.sample(world.assets, 20)
        assets.delete(library, actor, some)
        assets.restore(library, actor, some)

    def tag() -> None:
        (id,) = world.new(1)
        assets.update_tags(library, actor, id, TagChange(add=[f"new {next(numbers)}", "tag 1"]))
        assets.update_tags(library, actor, id, TagChange(delete=["tag 1"]))

    def made_with() -> object:
        said = [Ingredient("checkpoint", "Model 0"), Ingredient("lora", f"Model {world.dice.randrange(900)}")]
        generation = Generation(generator="ComfyUI", prompt=world.word(COMMON), ingredients=said)
        stored = msgspec.structs.replace(world.stored, generation=generation)
        return assets.create(library, actor, NewAsset("new.png", "", model_id=world.model), stored)

    return {
        "create asset": lambda: world.new(1),
        "create asset in 3 collections": lambda: world.new(1, world.dice.sample(world.collections, 3)),
        "create asset made with": made_with,
        "rename asset": lambda: assets.update(library, actor, world.asset, AssetPatch(name=world.word(COMMON))),
        "copy asset": lambda: assets.copy(library, actor, world.asset),
        "tag, untag": tag,
        "trash 20, restore 20": trash_and_restore,
    }


def _model_writes(world: World) -> dict[str, Verb]:
    library, actor = world.library, world.actor

    def trash_and_restore() -> None:
        id = world.model
        mlmodels.delete(library, actor, id)
        mlmodels.restore(library, actor, id)

    return {
        "create model": lambda: mlmodels.create(
            library, actor, NewModel(name="New", collection_ids=[world.collection])
        ),
        "rename model": lambda: mlmodels.update(library, actor, world.model, ModelPatch(name=world.word(COMMON))),
        "copy model": lambda: mlmodels.copy(library, actor, world.model),
        "tag model": lambda: mlmodels.update_tags(library, actor, world.model, TagChange(add=["new"], strict=False)),
        "describe model": lambda: mlmodels.update_description(library, actor, world.model, "Said."),
        "show examples": lambda: mlmodels.update_examples(
            library, actor, world.model, world.dice.sample(world.assets, 10)
        ),
        "trash model, restore": trash_and_restore,
    }


def _other_writes(world: World) -> dict[str, Verb]:
    library, actor = world.library, world.actor
    archive = _archive(ArchiveQuery(asset_ids=world.assets[:3]))

    def upload() -> None:
        row = uploads.create(library, actor, NewUpload(kind="text", file_name="a.txt", file_size=3.0, parts=1.0))
        writer = library.parts.begin(row.id, 1)
        writer.write(b"abc")
        uploads.add_part(library, actor.project_id, row.id, writer.finish())
        uploads.drop_part(library, actor.project_id, row.id, StoredPart(2, 1, "0" * 64))
        uploads.get(library, actor, row.id)
        uploads.complete(library, actor, row.id)
        with library.store.write(beside=True) as tx:
            job = tx.jobs.claim()
            assert job is not None
            tx.jobs.renew(job)
        uploads.settle(library, job)

    def download() -> None:
        job = downloads.create(library, actor, downloads.plan(library, actor, archive))
        downloads.get(library, actor, job.job_id)
        downloads.locate_archive(library, actor.project_id, job.job_id)

    def key() -> None:
        made = access.create_key(library, actor, actor.project_id, NewApiKey("New", "reader"))
        access.authenticate(library, made.id, access.hash_secret(made.secret), None)
        access.revoke_key(library, actor, actor.project_id, made.id)

    return {
        "upload a file": upload,
        "ask for an archive": download,
        "make a key, use it, revoke it": key,
        "create project": lambda: projects.create(library, actor, NewProject("New")),
    }


def _archive(query: ArchiveQuery) -> NewArchive:
    return NewArchive(ArchiveOptions("<id>"), query)


def _is_due(library: Library) -> bool:
    with library.store.read() as tx:
        return tx.jobs.is_due() or tx.jobs.is_due(is_fetch=True)
