"""Filters and sorts of assets and models against a plain reading of what they say, over a mixed lot."""

import random
from typing import Any

import msgspec
import pytest
from conftest import Clock, new_actor, store_png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from pinakes import assets, collections, ids, mlmodels
from pinakes.access import Actor
from pinakes.asset_types import Asset
from pinakes.assets import AssetFilter, NewAsset
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.model_types import MLModel, ModelType
from pinakes.tags import TagChange

N = 24
STEP_MS = 10
START_MS = 2_000_000_000_000
MOMENTS = st.none() | st.integers(0, N * 3).map(lambda n: ids.iso(START_MS + n * STEP_MS))
SIZES = st.integers(1, 9)
TAGS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True).map(tuple)
COMMON = {
    "tags": TAGS,
    "after": MOMENTS,
    "before": MOMENTS,
    "sort_by": st.sampled_from(["created_at", "updated_at"]),
    "is_ascending": st.booleans(),
    "is_deleted": st.booleans(),
}
SETTINGS = settings(
    max_examples=250,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Lot:
    """Assets and models with a bit of everything, and what they were before a third went to the trash."""

    def __init__(self, library: Library, actors: list[Actor], clock: Clock) -> None:
        self.library, self.actor, self.clock = library, actors[0], clock
        dice = random.Random(7)
        clock.ms = START_MS
        self.shelves = [collections.create(library, actors[0], NewCollection(name)).id for name in "xyz"]
        self.models: dict[str, MLModel] = {}
        self.assets: dict[str, Asset] = {}
        stored = store_png(library)
        for n in range(N):
            clock.move(ms=STEP_MS * dice.randint(0, 2))
            actor = actors[n % 2]
            chosen = dice.sample(self.shelves, dice.randint(0, 2))
            kind = dice.choice(["image", "text"])
            model_type: ModelType = "custom" if kind == "text" else "flux.1"
            model = mlmodels.create(library, actor, NewModel(type=model_type, collection_ids=chosen))
            parent = dice.choice([None, *self.assets])
            new = NewAsset("a", "", parent, False, chosen, dice.choice([None, model.id, *self.models]))
            asset = assets.create(library, actor, new, msgspec.structs.replace(stored, kind=kind))
            tags = TagChange(add=dice.sample("abc", dice.randint(0, 3)))
            assets.update_tags(library, actor, asset.id, tags)
            mlmodels.update_tags(library, actor, model.id, tags)
            if n % 5 == 0:
                model = mlmodels.copy(library, actor, model.id, is_trained=True)
            self.models[model.id], self.assets[asset.id] = model, asset
        for id in dice.sample(list(self.assets), N // 2):
            clock.move(ms=STEP_MS * dice.randint(0, 2))
            mlmodels.update(library, actors[0], dice.choice(list(self.models)), ModelPatch(name="n"))
            assets.update(library, actors[0], id, assets.AssetPatch(description="d"))
        self.assets = {asset.id: asset for asset in assets.get_bulk(library, actors[0], list(self.assets))}
        everything = mlmodels.get_page(library, actors[0], ModelFilter(), 500).items
        self.models = {model.id: model for model in everything}
        for id in dice.sample(list(self.assets), N // 3):
            clock.move(ms=STEP_MS * dice.randint(0, 1))
            assets.delete(library, actors[0], [id])
            self.assets[id] = _deleted(self.assets[id], clock)
        for id in dice.sample(list(self.models), N // 3):
            clock.move(ms=STEP_MS * dice.randint(0, 1))
            mlmodels.delete(library, actors[0], id)
            self.models[id] = _deleted(self.models[id], clock)


def _deleted(item: Any, clock: Clock) -> Any:
    """As it was, but for the times of its deletion."""
    now = ids.iso(clock.ms)
    return msgspec.structs.replace(item, deleted_at=now, updated_at=now)


@pytest.fixture
def lot(clock: Clock, library: Library) -> Lot:
    admin = new_actor(library)
    return Lot(library, [admin, new_actor(library, "admin", admin.project_id)], clock)


def expected(items: list[Any], filter: AssetFilter | ModelFilter) -> list[str]:
    """What the common part of a filter leaves, in its order."""
    found = [item for item in items if (item.deleted_at is not UNSET) == filter.is_deleted]
    found = [item for item in found if set(filter.tags) <= set(item.tags)]
    found = [item for item in found if filter.after is None or getattr(item, filter.sort_by) > filter.after]
    found = [item for item in found if filter.before is None or getattr(item, filter.sort_by) < filter.before]
    column = "deleted_at" if filter.is_deleted else filter.sort_by
    found.sort(key=lambda item: (getattr(item, column), item.id), reverse=not filter.is_ascending)
    return [item.id for item in found]


def walk(get_page: Any, filter: Any, size: int) -> list[Any]:
    found: list[Any] = []
    page = get_page(filter, size, None)
    while page.token:
        assert len(page.items) == size
        found += page.items
        page = get_page(filter, size, page.token)
    return [*found, *page.items]


def test_assets(lot: Lot) -> None:
    values: dict[str, list[Any]] = {
        "author_id": [item.author_id for item in lot.assets.values()],
        "model_id": [item.metadata.model_id for item in lot.assets.values()],
        "parent_id": [item.metadata.parent_id for item in lot.assets.values()],
        "root_id": [item.metadata.root_parent_id for item in lot.assets.values()],
        "privacy": ["private", "public"],
    }
    chosen = {name: st.sampled_from(sorted({str(v) for v in found if v})) for name, found in values.items()}
    types = st.lists(st.sampled_from(["uploaded", "uploaded-text", "txt2img"]), max_size=2).map(tuple)
    filters = st.builds(
        AssetFilter, collection_id=st.none() | st.sampled_from(lot.shelves), types=types, **COMMON, **rarely(chosen)
    )

    @SETTINGS
    @given(filters, SIZES)
    def agrees(filter: AssetFilter, size: int) -> None:
        wanted = [
            item
            for item in lot.assets.values()
            if filter.collection_id in (None, *item.collection_ids)
            and (not filter.types or item.metadata.type in filter.types)
            and filter.author_id in (None, item.author_id)
            and filter.model_id in (None, item.metadata.model_id)
            and filter.parent_id in (None, item.metadata.parent_id)
            and filter.root_id in (None, item.metadata.root_parent_id)
            and filter.privacy in (None, item.privacy)
        ]
        found = walk(lambda *args: assets.get_page(lot.library, lot.actor, *args), filter, size)
        assert [item.id for item in found] == expected(wanted, filter)

    agrees()


def test_models(lot: Lot) -> None:
    filters = st.builds(
        ModelFilter,
        collection_ids=st.lists(st.sampled_from(lot.shelves), max_size=2).map(tuple),
        types=st.lists(st.sampled_from(["custom", "flux.1", "flux.1-lora"]), max_size=2).map(tuple),
        status=st.none() | st.sampled_from(["new", "trained", "failed"]),
        privacy=st.sampled_from(["private", "private", "private", "public"]),
        **COMMON,
    )

    @SETTINGS
    @given(filters, SIZES)
    def agrees(filter: ModelFilter, size: int) -> None:
        wanted = [
            item
            for item in lot.models.values()
            if (not filter.collection_ids or set(filter.collection_ids) & set(item.collection_ids))
            and (not filter.types or item.type in filter.types)
            and filter.status in (None, item.status)
            and filter.privacy == item.privacy
        ]
        found = walk(lambda *args: mlmodels.get_page(lot.library, lot.actor, *args), filter, size)
        assert [item.id for item in found] == expected(wanted, filter)

    agrees()


def rarely(strategies: dict[str, Any]) -> dict[str, Any]:
    """Mostly none, lest nothing passes all filters at once."""
    return {name: st.none() | st.none() | st.none() | strategy for name, strategy in strategies.items()}


def test_an_unknown_collection_is_not_found(library: Library, admin: Actor, other: Actor) -> None:
    own, foreign, gone = (collections.create(library, a, NewCollection("x")).id for a in (admin, other, admin))
    collections.delete(library, admin, gone)
    for wrong in (foreign, gone, "col_never", ""):
        with pytest.raises(PinakesError) as caught:
            assets.get_page(library, admin, AssetFilter(collection_id=wrong))
        assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [wrong]})
        with pytest.raises(PinakesError) as caught:
            mlmodels.get_page(library, admin, ModelFilter(collection_ids=(own, wrong)))
        assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [wrong]})
