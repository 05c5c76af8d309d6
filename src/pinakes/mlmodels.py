"""ML models (LoRAs, checkpoints) as the library knows them. Here and everywhere "model" alone means an ML model.

The trash works as for assets: hidden and uncounted at once, restored with tags and memberships for 30 days.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pinakes import assets, collections, errors, ids, ingredients, tags, text
from pinakes.access import Actor, needs
from pinakes.collections import CollectionIds
from pinakes.errors import PinakesError
from pinakes.model_types import (
    Concept,
    Description,
    Example,
    FoundModel,
    MinimalModel,
    MLModel,
    ModelSettings,
    ModelStatus,
    ModelType,
)
from pinakes.page import Key, Page
from pinakes.tags import TagChange, TagReport
from pinakes.text import Name, Prose

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

MOST_BULK = 200
MOST_EXAMPLES = 100

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ModelId = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": f"^{_ID.pattern}$"})]
MOST_MENTIONS = 100
"""Different words each that a description is looked up by, for assets and for models."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ASSET_ID = re.compile(rf"asset_[{ids.DIGITS}]{{{ids.WIDTH}}}")
_NOT_PROSE = re.compile(r"(?=.*[0-9._-]).{1,128}")


class NewModel(msgspec.Struct, frozen=True, rename="camel"):
    """What `create` takes. `id` keeps a foreign one, such as `flux.1-dev`; without it the model gets its own."""

    id: ModelId | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    type: ModelType = "custom"
    short_description: Prose | UnsetType = UNSET
    collection_ids: CollectionIds = []
    concepts: list[Concept] | UnsetType = UNSET


class ModelPatch(ModelSettings, frozen=True, rename="camel"):
    """What `update` changes: absent fields stay, a null thumbnail or epoch is unset."""

    name: Name | UnsetType = UNSET
    type: ModelType | UnsetType = UNSET
    short_description: Prose | UnsetType = UNSET
    thumbnail: str | UnsetType | None = UNSET


class ModelFilter(msgspec.Struct, frozen=True):
    """Which models a page holds and in which order. `tags` narrows; `types` and `collection_ids` widen."""

    collection_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    status: ModelStatus | None = None
    privacy: str = "private"
    after: str | None = None
    before: str | None = None
    sort_by: Literal["created_at", "updated_at"] = "created_at"
    is_ascending: bool = False
    is_deleted: bool = False


@needs("models.write")
def create(library: Library, actor: Actor, new: NewModel, is_repeat: bool = False) -> MLModel:
    """A model, with its memberships, all or nothing. BAD_REQUEST for an id that is taken, also by one in the trash.

    BAD_REQUEST for more than 49 collections, NOT_FOUND with `details.missing` for unknown ones.
    With `is_repeat` (see `collections.delete`) a model that this key made under the id is taken as the earlier try's.
    """
    id = ids.new("model") if new.id is UNSET else new.id
    if not _ID.fullmatch(id):
        raise errors.bad_request("id", "expected 1 to 128 letters, digits, dots, dashes or underscores")
    _check_names(new.name, new.short_description)
    joined = collections.check_members("collection", new.collection_ids, least=0)
    now = ids.now()
    row = FoundModel(
        number=0,
        id=id,
        name=_or_none(new.name),
        type=new.type,
        status="new",
        short_description=_or_none(new.short_description),
        description="",
        privacy="private",
        parent_id=None,
        author_id=actor.key_id,
        settings=ModelSettings(concepts=new.concepts),
        created_at=now,
        updated_at=now,
        collection_ids=sorted(joined),
    )
    with library.store.write(actor.owner) as tx:
        made = tx.models.find(actor.owner, id) if is_repeat else None
        if made is not None and made.author_id == actor.key_id:
            return show(library, actor, made)
        if new.id is not UNSET and id in tx.models.deleted_at(actor.owner, [id]):
            raise errors.bad_request("id", f"there is a model {id!r} already, perhaps in the trash")
        found = collections.of_new_member(tx, actor.owner, row.collection_ids)
        number = tx.models.insert(actor.owner, row)
        collections.add_new_member(tx, actor.owner, "model", number, found)
        ingredients.link_model(tx, actor.owner, number, row, now)
    return show(library, actor, row)


@needs("models.read")
def get(library: Library, actor: Actor, id: str) -> MLModel:
    """One model; NOT_FOUND when unknown or in the trash."""
    with library.store.glance() as tx:
        row = _found(tx, actor, id)
    return show(library, actor, row)


@needs("models.read")
def get_bulk(library: Library, actor: Actor, wanted: list[str]) -> list[MLModel]:
    """Up to 200 models in the order asked for; unknown ids are left out. Two statements."""
    collections.check_members("model", wanted, MOST_BULK)
    with library.store.glance() as tx:
        found = {row.id: row for row in tx.models.find_many(actor.owner, wanted)}
    return [show(library, actor, found[id]) for id in dict.fromkeys(wanted) if id in found]


@needs("models.read")
def get_page(
    library: Library, actor: Actor, filter: ModelFilter, size: int = 100, token: str | None = None
) -> Page[MLModel]:
    """Models that pass the filter. NOT_FOUND for an unknown collection. Two statements, three with one."""
    scope = ("models", actor.project_id, msgspec.structs.astuple(filter))
    after = library.tokens.read(token, scope)
    with library.store.glance() as tx:
        if filter.collection_ids:
            known = tx.collections.find_many(actor.owner, list(filter.collection_ids))
            missing = [id for id in filter.collection_ids if id not in known]
            if missing:
                raise collections.missing_error("collection", missing)
        rows = tx.models.page(actor.owner, filter, library.trash_cutoff(), after, size + 1)
    cut = library.tokens.cut(rows, size, scope, lambda row: _sort_key(row, filter))
    return Page([show(library, actor, row) for row in cut.items], cut.token)


@needs("models.write")
def update(library: Library, actor: Actor, id: str, patch: ModelPatch) -> MLModel:
    """Change what the patch names. The type may change only while the status is `new` (as in the hosted service)."""
    _check_names(patch.name, patch.short_description)
    with library.store.write(actor.owner) as tx:
        row = _found(tx, actor, id)
        if patch.type not in (UNSET, row.type) and row.status != "new":
            raise errors.bad_request("type", f"the type of a model that is {row.status} cannot change")
        cover = row.thumbnail_asset_id if patch.thumbnail is UNSET else patch.thumbnail
        if patch.thumbnail is not UNSET and cover is not None:
            collections.require_picture(tx, actor.owner, cover)
        row = msgspec.structs.replace(
            row,
            name=row.name if patch.name is UNSET else patch.name,
            type=row.type if patch.type is UNSET else patch.type,
            short_description=row.short_description if patch.short_description is UNSET else patch.short_description,
            settings=_merged(row.settings, patch),
            thumbnail_asset_id=cover,
            updated_at=ids.now(),
        )
        tx.models.update(actor.owner, row, is_cover_set=patch.thumbnail is not UNSET)
        if patch.name is not UNSET:
            ingredients.link_model(tx, actor.owner, row.number, row, row.updated_at)
    return show(library, actor, row)


@needs("models.write")
def update_tags(library: Library, actor: Actor, id: str, change: TagChange) -> TagReport:
    """Add and delete tags in one transaction; `updated_at` moves when any changed."""
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor, id)
        report = tags.change(tx, actor.owner, "model", row.number, change)
        if report.added or report.deleted:
            _touch(tx, actor, row)
    return report


@needs("models.write")
def copy(library: Library, actor: Actor, id: str, is_trained: bool = False, has_examples: bool = True) -> MLModel:
    """A new model with everything of another but its collections; `is_trained` gives it the status `trained`."""
    now = ids.now()
    with library.store.write(actor.owner) as tx:
        row = _found(tx, actor, id)
        row = msgspec.structs.replace(
            row,
            id=ids.new("model"),
            parent_id=id,
            author_id=actor.key_id,
            status="trained" if is_trained else row.status,
            created_at=now,
            updated_at=now,
            collection_ids=[],
            example_asset_ids=row.example_asset_ids if has_examples else [],
        )
        number = tx.models.insert(actor.owner, row)
        tx.models.set_examples(actor.owner, number, row.example_asset_ids)
        tx.tags.add(actor.owner, "model", number, row.tags, now)
        ingredients.link_model(tx, actor.owner, number, row, now)
    return show(library, actor, row)


@needs("models.write")
def delete(library: Library, actor: Actor, id: str, is_repeat: bool = False) -> None:
    """Move a model to the trash. NOT_FOUND when unknown or there, unless `is_repeat` (see `collections.delete`)."""
    now = ids.now()
    with library.store.write(actor.owner) as tx:
        deleted_at = tx.models.deleted_at(actor.owner, [id])
        if is_repeat and deleted_at.get(id):
            return
        row = _found(tx, actor, id)
        tx.models.trash(actor.owner, id, now)
        _recount(tx, actor, row.number, -1, now)


@needs("models.write")
def restore(library: Library, actor: Actor, id: str, is_repeat: bool = False) -> MLModel:
    """Bring a model back with tags and memberships. GONE after 30 days, BAD_REQUEST when not deleted.

    With `is_repeat` (see `collections.delete`) one that is not deleted is taken as restored by the earlier try.
    """
    now = ids.now()
    with library.store.write(actor.owner) as tx:
        found = tx.models.deleted_at(actor.owner, [id])
        if id not in found:
            raise errors.not_found("model", id)
        deleted_at = found[id]
        if deleted_at is None and is_repeat:
            return show(library, actor, _found(tx, actor, id))
        if deleted_at is None:
            raise errors.bad_request("modelId", f"model {id!r} is not deleted")
        if deleted_at <= library.trash_cutoff():
            days = library.config.trash_days
            raise PinakesError("GONE", f"Model {id!r} was deleted for good: more than {days} days have passed.")
        tx.models.untrash(actor.owner, id, now)
        row = _found(tx, actor, id)
        _recount(tx, actor, row.number, 1, now)
    return show(library, actor, row)


@needs("models.read")
def get_description(library: Library, actor: Actor, id: str) -> Description:
    """The markdown of a model, empty until it is written, with what it mentions. At most six statements."""
    with library.store.glance() as tx:
        value = _found(tx, actor, id).description
    return describe(library, actor, value)


@needs("models.write")
def update_description(library: Library, actor: Actor, id: str, value: str) -> None:
    """Replace the markdown. `describe` tells what it mentions: that is slow, and must not keep other writes waiting."""
    text.check_prose("description", value)
    with library.store.write(actor.owner, beside=True) as tx:
        _touch(tx, actor, msgspec.structs.replace(_found(tx, actor, id), description=value))


def describe(library: Library, actor: Actor, value: str) -> Description:
    """A text, for whoever may see it, with the first of the project's assets and models that it mentions by id.

    A mention is a word, without a dot at its end, in the form of an asset's id; or one that has a digit, dot, dash or
    underscore in it, and may be a model's. Other words are prose, also when a model has one of them as its id.
    """
    words = dict.fromkeys(word.rstrip(".") for word in _WORD.findall(value))
    asset_ids = [word for word in words if _ASSET_ID.fullmatch(word)]
    model_ids = [word for word in words if _NOT_PROSE.fullmatch(word) and not _ASSET_ID.fullmatch(word)]
    with library.store.read() as tx:
        found_assets = tx.assets.find_many(actor.owner, asset_ids[:MOST_MENTIONS])
        found_models = tx.models.find_many(actor.owner, model_ids[:MOST_MENTIONS])
    return Description(
        value,
        [assets.show(library, actor, row) for row in found_assets],
        [show(library, actor, row) for row in found_models],
    )


@needs("models.read")
def get_examples(library: Library, actor: Actor, id: str) -> list[Example]:
    """A model's live examples in their order. At most four statements."""
    with library.store.read() as tx:
        return _examples(library, actor, tx, id, _found(tx, actor, id).example_asset_ids)


@needs("models.write")
def update_examples(library: Library, actor: Actor, id: str, asset_ids: list[str]) -> list[Example]:
    """Replace a model's examples, in this order; none is fine. NOT_FOUND with `details.missing` for unknown assets."""
    if len(asset_ids) > MOST_EXAMPLES:
        raise errors.bad_request("assetIds", f"expected at most {MOST_EXAMPLES} ids, got {len(asset_ids)}")
    wanted = list(dict.fromkeys(asset_ids))
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor, id)
        collections.require_live(tx, actor.owner, "asset", wanted, "assetIds")
        tx.models.set_examples(actor.owner, row.number, wanted)
        _touch(tx, actor, row)
        return _examples(library, actor, tx, id, wanted)


def minimal(model: MLModel) -> MinimalModel:
    """Only the base details."""
    return MinimalModel(model.id, model.type, model.privacy, model.name)


def show(library: Library, actor: Actor, row: FoundModel) -> MLModel:
    """A stored model as it is sent."""
    cover = row.thumbnail_asset_id
    return MLModel(
        id=row.id,
        owner_id=actor.project_id,
        author_id=row.author_id,
        type=row.type,
        status=row.status,
        privacy=row.privacy,
        custom=True,
        source="other",
        capabilities=[],
        tags=row.tags,
        collection_ids=row.collection_ids,
        example_asset_ids=row.example_asset_ids,
        training_images_number=(row.facts and row.facts.training_images_number) or 0,
        created_at=row.created_at,
        updated_at=row.updated_at,
        name=UNSET if row.name is None else row.name,
        short_description=UNSET if row.short_description is None else row.short_description,
        thumbnail=UNSET if cover is None else collections.thumbnail_of(library, actor, cover),
        parent_model_id=row.parent_id or UNSET,
        deleted_at=row.deleted_at or UNSET,
        file=row.file or UNSET,
        facts=row.facts or UNSET,
        **msgspec.structs.asdict(row.settings),
    )


def _examples(library: Library, actor: Actor, tx: Tx, id: str, asset_ids: list[str]) -> list[Example]:
    found = {row.id: row for row in tx.assets.find_many(actor.owner, asset_ids)}
    return [Example(assets.show(library, actor, found[asset_id]), id) for asset_id in asset_ids]


def _found(tx: Tx, actor: Actor, id: str) -> FoundModel:
    row = tx.models.find(actor.owner, id)
    if row is None:
        raise errors.not_found("model", id)
    return row


def _touch(tx: Tx, actor: Actor, row: FoundModel) -> None:
    tx.models.update(actor.owner, msgspec.structs.replace(row, updated_at=ids.now()), is_cover_set=False)


def _recount(tx: Tx, actor: Actor, number: int, sign: int, now: str) -> None:
    tx.collection_models.recount(actor.owner, [number], sign, now)
    tx.tags.recount(actor.owner, "model", [number], sign, now)


def _merged(settings: ModelSettings, patch: ModelPatch) -> ModelSettings:
    changes = {name: getattr(patch, name) for name in ModelSettings.__struct_fields__}
    changes = {name: value for name, value in changes.items() if value is not UNSET}
    return msgspec.structs.replace(
        settings, **{name: UNSET if value is None else value for name, value in changes.items()}
    )


def _sort_key(row: FoundModel, filter: ModelFilter) -> Key:
    if filter.is_deleted:
        return (row.deleted_at or "", row.id)
    return (row.created_at if filter.sort_by == "created_at" else row.updated_at, row.id)


def _check_names(name: str | UnsetType, short_description: str | UnsetType) -> None:
    if name is not UNSET:
        text.check_name("name", name)
    if short_description is not UNSET:
        text.check_prose("shortDescription", short_description)


def _or_none(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value
