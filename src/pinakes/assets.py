"""Assets: images, video, audio, 3D, text and documents, each a row and bytes that are stored once by their hash.

Deleting moves an asset to the trash: it reads as gone, its memberships and tags stay and are neither shown nor
counted, and restoring within 30 days brings all of it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pinakes import collections, errors, ids, ingredients, tags, text
from pinakes.access import Actor, needs, scopes_of
from pinakes.asset_types import (
    NO_FACTS,
    UPLOADED_AS,
    Asset,
    AssetMetadata,
    AssetProperties,
    Bytes,
    FoundAsset,
    Located,
    RestoreReport,
    SkippedAsset,
    Thumbnail,
)
from pinakes.collections import CollectionIds
from pinakes.errors import PinakesError
from pinakes.links import asset_path
from pinakes.page import Key, Page
from pinakes.tags import TagChange, TagReport
from pinakes.text import Name, Prose

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

MOST_DELETED = 100
MOST_BULK = 200
THUMBNAIL_SIZE = 512
"""Pixels of the longer side of the linked thumbnail; `size=256` and `size=1024` on the link give the others."""

_CHECKED_MIME = {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/tiff"}


class NewAsset(msgspec.Struct, frozen=True, rename="camel"):
    """An upload. `image` is base64 or a data URL of any kind of file. `model_id` is the model that made it."""

    name: Name
    image: str
    parent_id: str | None = None
    hide: bool = False
    collection_ids: CollectionIds = []
    model_id: str | None = None


class AssetPatch(msgspec.Struct, frozen=True):
    """What `update` changes; absent fields stay."""

    name: Name | UnsetType = UNSET
    description: Prose | UnsetType = UNSET


class AssetFilter(msgspec.Struct, frozen=True):
    """Which assets a page holds and in which order. `tags` narrows: all of them; `types` widens: any of them."""

    collection_id: str | None = None
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    author_id: str | None = None
    model_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    privacy: str | None = None
    after: str | None = None
    before: str | None = None
    sort_by: Literal["created_at", "updated_at"] = "created_at"
    is_ascending: bool = False
    is_deleted: bool = False


@needs("assets.write")
def create(library: Library, actor: Actor, new: NewAsset, stored: Bytes) -> Asset:
    """The quick half of an upload: the asset and its memberships, all or nothing.

    NOT_FOUND with `details.missing` when a collection, the parent or the model is unknown, BAD_REQUEST for more than
    49 collections; then no asset is made.
    """
    joined = collections.check_members("collection", new.collection_ids, least=0)
    now = ids.now()
    with library.store.write(actor.owner, beside=True) as tx:
        library.blobs.require(stored.sha256)  # a sweep may have taken them just before; from here on it cannot
        new = msgspec.structs.replace(new, collection_ids=sorted(joined))
        row = insert(tx, actor.owner, actor.key_id, new, stored, now)
    return show(library, actor, row)


def insert(tx: Tx, owner: int, author_id: str, new: NewAsset, stored: Bytes, now: str) -> FoundAsset:
    """The rows of a new asset; of `new` its image is not looked at. NOT_FOUND as in `create`."""
    found = collections.of_new_member(tx, owner, new.collection_ids)
    parent = _parent(tx, owner, new.parent_id)
    if new.model_id is not None:
        collections.require_live(tx, owner, "model", [new.model_id], "modelId")
    row = FoundAsset(
        number=0,
        id=ids.new("asset"),
        name=new.name,
        description=None,
        kind=stored.kind,
        type=UPLOADED_AS[stored.kind],
        bytes=stored,
        is_hidden=new.hide,
        privacy="private",
        author_id=author_id,
        parent_id=new.parent_id,
        root_id=(parent.root_id or parent.id) if parent else None,
        model_id=new.model_id,
        copied_at=None,
        created_at=now,
        updated_at=now,
        status="success" if stored.is_probed else "pending",
        collection_ids=new.collection_ids,
    )
    number = tx.assets.insert(owner, row)
    collections.add_new_member(tx, owner, "asset", number, found)
    if not stored.is_probed:
        tx.jobs.add(owner, "probe", row.id, now)
    return ingredients.link_asset(tx, owner, number, row)


@needs("assets.read")
def get(library: Library, actor: Actor, id: str) -> Asset:
    """One asset; NOT_FOUND when unknown or in the trash."""
    with library.store.glance() as tx:
        row = tx.assets.find(actor.owner, id)
    if row is None:
        raise errors.not_found("asset", id)
    return show(library, actor, row)


def locate(library: Library, project_id: str, id: str) -> Located:
    """Where a live asset's bytes are, or NOT_FOUND. For whoever holds a signed link: the link is the permission."""
    with library.store.glance() as tx:
        found = tx.assets.locate(project_id, id)
    if found is None:
        raise errors.not_found("asset", id)
    return found


@needs("assets.read")
def get_bulk(library: Library, actor: Actor, wanted: list[str]) -> list[Asset]:
    """Up to 200 assets in the order asked for; unknown ids are left out. Two statements."""
    collections.check_members("asset", wanted, MOST_BULK)
    with library.store.glance() as tx:
        found = {row.id: row for row in tx.assets.find_many(actor.owner, wanted)}
    return [show(library, actor, found[id]) for id in dict.fromkeys(wanted) if id in found]


@needs("assets.read")
def get_page(
    library: Library, actor: Actor, filter: AssetFilter, size: int = 50, token: str | None = None
) -> Page[Asset]:
    """Assets that pass the filter. NOT_FOUND for an unknown collection. Two statements, three with a collection."""
    scope = ("assets", actor.project_id, msgspec.structs.astuple(filter))
    after = library.tokens.read(token, scope)
    with library.store.glance() as tx:
        collection = _collection(tx, actor.owner, filter.collection_id)
        rows = tx.assets.page(actor.owner, filter, collection, library.trash_cutoff(), after, size + 1)
    cut = library.tokens.cut(rows, size, scope, lambda row: _sort_key(row, filter))
    return Page([show(library, actor, row) for row in cut.items], cut.token)


@needs("assets.write")
def update(library: Library, actor: Actor, id: str, patch: AssetPatch) -> Asset:
    """Change name or description. NOT_FOUND when unknown or in the trash."""
    if patch.name is not UNSET:
        text.check_name("name", patch.name)
    if patch.description is not UNSET:
        text.check_prose("description", patch.description)
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor.owner, id)
        row = msgspec.structs.replace(
            row,
            name=row.name if patch.name is UNSET else patch.name,
            description=row.description if patch.description is UNSET else patch.description,
            updated_at=ids.now(),
        )
        tx.assets.update(actor.owner, row)
    return show(library, actor, row)


@needs("assets.write")
def update_tags(library: Library, actor: Actor, id: str, change: TagChange) -> TagReport:
    """Add and delete tags in one transaction; `updated_at` moves when any changed."""
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor.owner, id)
        report = tags.change(tx, actor.owner, "asset", row.number, change)
        if report.added or report.deleted:
            tx.assets.update(actor.owner, msgspec.structs.replace(row, updated_at=ids.now()))
    return report


@needs("assets.write")
def copy(library: Library, actor: Actor, id: str, target_project_id: str | None = None) -> Asset:
    """A new asset on the same bytes, with name, description and tags, in this project or another.

    It joins no collections. FORBIDDEN for a project that the key may not write to.
    """
    now = ids.now()
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor.owner, id)
        target = actor if target_project_id is None else _writer_of(tx, actor, target_project_id)
        is_here = target.owner == actor.owner
        row = msgspec.structs.replace(
            row,
            id=ids.new("asset"),
            author_id=actor.key_id,
            parent_id=row.parent_id if is_here else None,
            root_id=row.root_id if is_here else None,
            model_id=row.model_id if is_here else None,
            copied_at=now,
            created_at=now,
            updated_at=now,
            collection_ids=[],
            links=[],
        )
        with library.store.write(target.owner, beside=True):
            number = tx.assets.insert(target.owner, row)
            if row.status == "pending":
                tx.jobs.add(target.owner, "probe", row.id, now)
            tx.tags.add(target.owner, "asset", number, row.tags, now)
            row = ingredients.link_asset(tx, target.owner, number, row)
    return show(library, target, row)


@needs("assets.write")
def delete(library: Library, actor: Actor, wanted: list[str]) -> None:
    """Move up to 100 assets to the trash. Ids that are unknown or there already change nothing: it may be repeated."""
    collections.check_members("asset", wanted, MOST_DELETED)
    now = ids.now()
    with library.store.write(actor.owner) as tx:
        trashed = tx.assets.trash(actor.owner, wanted, now)
        _recount(tx, actor.owner, trashed, -1, now)


@needs("assets.write")
def restore(library: Library, actor: Actor, wanted: list[str]) -> RestoreReport:
    """Bring up to 100 assets back with tags and memberships; each that stays away is listed with the reason."""
    unique = collections.check_members("asset", wanted, MOST_DELETED)
    now, cutoff = ids.now(), library.trash_cutoff()
    with library.store.write(actor.owner) as tx:
        deleted_at = tx.assets.deleted_at(actor.owner, unique)
        skipped = [
            SkippedAsset(id, _why_not(deleted_at, id)) for id in unique if not _is_restorable(deleted_at, id, cutoff)
        ]
        restored = [id for id in unique if _is_restorable(deleted_at, id, cutoff)]
        _recount(tx, actor.owner, tx.assets.untrash(actor.owner, restored, now), 1, now)
    return RestoreReport(restored, skipped)


def _is_restorable(deleted_at: dict[str, str | None], id: str, cutoff: str) -> bool:
    return (deleted_at.get(id) or "") > cutoff


def _why_not(deleted_at: dict[str, str | None], id: str) -> Literal["not-found", "not-deleted", "expired"]:
    if id not in deleted_at:
        return "not-found"
    return "not-deleted" if deleted_at[id] is None else "expired"


def _recount(tx: Tx, owner: int, moved: list[int], sign: int, now: str) -> None:
    if moved:
        tx.collection_assets.recount(owner, moved, sign, now)
        tx.tags.recount(owner, "asset", moved, sign, now)


def _writer_of(tx: Tx, actor: Actor, project_id: str) -> Actor:
    """The actor in another project, where its key may write assets."""
    project = tx.projects.get(actor, project_id)
    if project is None or "assets.write" not in scopes_of(project.role):
        raise PinakesError("FORBIDDEN", f"This key may not write to project {project_id!r}.", projectId=project_id)
    return msgspec.structs.replace(actor, project_id=project.id, owner=project.number, scopes=scopes_of(project.role))


def _found(tx: Tx, owner: int, id: str) -> FoundAsset:
    row = tx.assets.find(owner, id)
    if row is None:
        raise errors.not_found("asset", id)
    return row


def _parent(tx: Tx, owner: int, id: str | None) -> FoundAsset | None:
    if id is None:
        return None
    row = tx.assets.find(owner, id)
    if row is None:
        raise collections.missing_error("asset", [id], "parentId")
    return row


def _collection(tx: Tx, owner: int, id: str | None) -> int | None:
    """The number of the collection that a filter names."""
    if id is None:
        return None
    row = tx.collections.find(owner, id)
    if row is None:
        raise collections.missing_error("collection", [id], "collectionId")
    return row.number


def _sort_key(row: FoundAsset, filter: AssetFilter) -> Key:
    if filter.is_deleted:
        return (row.deleted_at or "", row.id)
    if (filter.collection_id, filter.model_id) != (None, None) and filter.sort_by == "created_at":
        return (row.number,)
    return (row.created_at if filter.sort_by == "created_at" else row.updated_at, row.id)


def _preview(library: Library, actor: Actor, id: str) -> Thumbnail:
    return Thumbnail(id, library.links.make(actor.origin, asset_path(actor.project_id, id, "preview")))


def show(library: Library, actor: Actor, row: FoundAsset) -> Asset:
    """A stored asset as it is sent."""
    data, link = row.bytes, library.links.make
    width = UNSET if data.width is None else data.width
    height = UNSET if data.height is None else data.height
    return Asset(
        id=row.id,
        name=row.name,
        owner_id=actor.project_id,
        author_id=row.author_id,
        kind=row.kind,
        mime_type=data.mime_type,
        status=row.status,
        source=row.type,
        privacy=row.privacy,
        tags=row.tags,
        collection_ids=row.collection_ids,
        edit_capabilities=[],
        created_at=row.created_at,
        updated_at=row.updated_at,
        url=link(actor.origin, asset_path(actor.project_id, row.id, "original")),
        metadata=AssetMetadata(
            kind=row.kind,
            type=row.type,
            name=row.name,
            size=data.size,
            width=width,
            height=height,
            parent_id=row.parent_id or UNSET,
            root_parent_id=row.root_id or UNSET,
            model_id=row.model_id or ingredients.checkpoint_of(row.links) or UNSET,
            copied_at=row.copied_at or UNSET,
            concepts=ingredients.concepts_of(row.links) or UNSET,
            **({} if data.generation is None else msgspec.structs.asdict(data.generation)),
        ),
        properties=AssetProperties(
            size=data.size,
            format=data.format or UNSET,
            width=width,
            height=height,
            nb_frames=data.frames if data.frames > 1 else UNSET,
            **({} if data.facts is NO_FACTS else msgspec.structs.asdict(data.facts)),
        ),
        is_hidden=row.is_hidden,
        description=UNSET if row.description is None else row.description,
        thumbnail=collections.thumbnail_of(library, actor, row.id) if data.has_thumbnail else UNSET,
        preview=_preview(library, actor, row.id) if data.has_preview else UNSET,
        error_message=UNSET if row.error_message is None else row.error_message,
        deleted_at=row.deleted_at or UNSET,
    )
