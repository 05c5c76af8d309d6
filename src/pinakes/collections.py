"""Collections: named groups of assets and models.

Counts live on the collection and change in the transaction that changes its members, so reading never counts. Members
that are in the trash are hidden and uncounted; they come back when restored.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from pinakes import errors, ids, text
from pinakes.access import Actor, needs
from pinakes.asset_types import Thumbnail
from pinakes.errors import PinakesError
from pinakes.links import asset_path, expiry_of
from pinakes.page import Page
from pinakes.text import Name

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx
    from pinakes.store.members import MemberSql

MemberNoun = Literal["asset", "model"]

MOST_MEMBERS = 49
"""Ids in one add or remove, as the hosted service has it; and collections that something new joins."""
CollectionIds = Annotated[list[str], msgspec.Meta(max_length=MOST_MEMBERS)]
_LINK = re.compile(r'~\d+"$')


class Collection(msgspec.Struct, frozen=True, rename="camel"):
    """A named group. `item_count` is `asset_count + model_count`; `owner_id` is the project."""

    id: str
    name: str
    owner_id: str
    created_at: str
    updated_at: str
    asset_count: int
    model_count: int
    item_count: int
    thumbnail: Thumbnail | msgspec.UnsetType = msgspec.UNSET


class NewCollection(msgspec.Struct, frozen=True):
    """What `create` takes."""

    name: Name


class CollectionPatch(msgspec.Struct, frozen=True):
    """What `update` changes: absent fields stay, a null thumbnail is unset."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    thumbnail: str | msgspec.UnsetType | None = msgspec.UNSET


class Added(msgspec.Struct, frozen=True):
    """Which ids an add changed, and which were members before."""

    added: list[str]
    unchanged: list[str]


class Removed(msgspec.Struct, frozen=True):
    """Which ids a remove changed, and which were no members."""

    removed: list[str]
    unchanged: list[str]


class FoundCollection(msgspec.Struct, frozen=True):
    """A collection as stored; `number` is 0 until it is, `thumbnail_asset_id` None while that asset is in the trash."""

    number: int
    id: str
    name: str
    asset_count: int
    model_count: int
    thumbnail_asset_id: str | None
    created_at: str
    updated_at: str


@needs("collections.write")
def create(library: Library, actor: Actor, new: NewCollection) -> Collection:
    """An empty collection. Names need not be unique. BAD_REQUEST for an empty name."""
    text.check_name("name", new.name)
    now = ids.now()
    row = FoundCollection(0, ids.new("col"), new.name, 0, 0, None, now, now)
    with library.store.write(actor.owner, beside=True) as tx:
        tx.collections.insert(actor.owner, row)
    return show(library, actor, row)


@needs("collections.read")
def get(library: Library, actor: Actor, id: str) -> Collection:
    """One collection, or NOT_FOUND."""
    with library.store.glance() as tx:
        row = tx.collections.find(actor.owner, id)
    if row is None:
        raise errors.not_found("collection", id)
    return show(library, actor, row)


@needs("collections.read")
def get_page(library: Library, actor: Actor, size: int = 10, token: str | None = None) -> Page[Collection]:
    """Collections of the project, newest first. One statement."""
    scope = ("collections", actor.project_id)
    after = library.tokens.read(token, scope)
    with library.store.glance() as tx:
        rows = tx.collections.page(actor.owner, after, size + 1)
    cut = library.tokens.cut(rows, size, scope, lambda row: (row.id,))
    return Page([show(library, actor, row) for row in cut.items], cut.token)


@needs("collections.write")
def update(
    library: Library,
    actor: Actor,
    id: str,
    patch: CollectionPatch,
    etag: str | None = None,
    is_repeat: bool = False,
) -> Collection:
    """Change what the patch names; `updated_at` moves. The thumbnail may be any live picture of the project.

    NOT_FOUND for an unknown collection or thumbnail asset. PRECONDITION_FAILED when none of `etag`, which here and
    below is the value of an If-Match header, is the collection's; but not for an `is_repeat` (see `delete`) of what
    has been done.
    """
    if patch.name is not msgspec.UNSET:
        text.check_name("name", patch.name)
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor, id)
        name = row.name if patch.name is msgspec.UNSET else patch.name
        thumbnail = row.thumbnail_asset_id if patch.thumbnail is msgspec.UNSET else patch.thumbnail
        is_done = (name, thumbnail) == (row.name, row.thumbnail_asset_id)
        _check_condition(row, etag, is_repeat and is_done)
        if patch.thumbnail is not msgspec.UNSET and thumbnail is not None:
            require_picture(tx, actor.owner, thumbnail)
        row = msgspec.structs.replace(
            row, name=name, thumbnail_asset_id=thumbnail, updated_at=_later_than(row.updated_at)
        )
        tx.collections.update(actor.owner, row, patch.thumbnail is not msgspec.UNSET)
    return show(library, actor, row)


@needs("collections.write")
def delete(library: Library, actor: Actor, id: str, etag: str | None = None, is_repeat: bool = False) -> None:
    """Mark a collection as deleted; its members stay in the library and only lose this collection.

    NOT_FOUND for one that is unknown or deleted already. `is_repeat` says that the caller lost the answer of an
    earlier try, which a collection in the trash then confirms.
    """
    with library.store.write(actor.owner, beside=True) as tx:
        if is_repeat and tx.collections.is_deleted(actor.owner, id):
            return
        _check_condition(_found(tx, actor, id), etag)
        tx.collections.delete(actor.owner, id, ids.now())


@needs("collections.write")
def add(
    library: Library,
    actor: Actor,
    id: str,
    noun: MemberNoun,
    members: list[str],
    etag: str | None = None,
    is_repeat: bool = False,
) -> tuple[Collection, Added]:
    """Make assets or models members, all of them or none. Adding a present member changes nothing.

    NOT_FOUND with `details.missing` when the collection or any id is unknown, deleted, or another project's.
    BAD_REQUEST for no ids, more than 49, or, unless `is_repeat`, a present member under
    `duplicate_members = "reject"`. PRECONDITION_FAILED as for `update`.
    """
    wanted = check_members(noun, members)
    with library.store.write(actor.owner, beside=True) as tx:
        row, table = _found(tx, actor, id), _members(tx, noun)
        states = table.states(actor.owner, row.number, wanted)
        missing = [member for member in wanted if member not in states or not states[member].is_live]
        if missing:
            raise missing_error(noun, missing)
        report = Added([m for m in wanted if not states[m].is_in], [m for m in wanted if states[m].is_in])
        _check_condition(row, etag, is_repeat and not report.added)
        if report.unchanged and library.config.duplicate_members == "reject" and not is_repeat:
            raise errors.bad_request(f"{noun}Ids", "already in the collection", present=report.unchanged)
        if report.added:
            table.insert(actor.owner, row.number, [states[member].number for member in report.added])
            row = _counted(tx, actor, row, noun, len(report.added))
    return show(library, actor, row), report


@needs("collections.write")
def remove(
    library: Library,
    actor: Actor,
    id: str,
    noun: MemberNoun,
    members: list[str],
    etag: str | None = None,
    is_repeat: bool = False,
) -> tuple[Collection, Removed]:
    """End memberships, all in one transaction. Removing what is no member changes nothing.

    What is in the trash reads as no member; but its membership ends too, so that restoring does not undo the removal.
    A removed asset that was the collection's thumbnail is unset as that. BAD_REQUEST for no ids, more than 49, or,
    unless `is_repeat`, no member under `duplicate_members = "reject"`. PRECONDITION_FAILED as for `update`.
    """
    wanted = check_members(noun, members)
    with library.store.write(actor.owner, beside=True) as tx:
        row, table = _found(tx, actor, id), _members(tx, noun)
        states = table.states(actor.owner, row.number, wanted)
        ending = {id: state for id, state in states.items() if state.is_in}
        seen = {id for id, state in ending.items() if state.is_live}
        report = Removed([m for m in wanted if m in seen], [m for m in wanted if m not in seen])
        _check_condition(row, etag, is_repeat and not ending)
        if report.unchanged and library.config.duplicate_members == "reject" and not is_repeat:
            raise errors.bad_request(f"{noun}Ids", "not in the collection", absent=report.unchanged)
        if ending:
            table.delete(actor.owner, row.number, [state.number for state in ending.values()])
            loses_cover = noun == "asset" and any(state.is_cover for state in ending.values())
            row = _counted(tx, actor, row, noun, -len(seen), loses_cover)
    return show(library, actor, row), report


def of_new_member(tx: Tx, owner: int, collection_ids: list[str]) -> list[int]:
    """The numbers of collections that an asset or model is to be made in; NOT_FOUND when any of them is unknown."""
    found = tx.collections.find_many(owner, collection_ids) if collection_ids else {}
    missing = [id for id in collection_ids if id not in found]
    if missing:
        raise missing_error("collection", missing)
    return list(found.values())


def add_new_member(tx: Tx, owner: int, noun: MemberNoun, member: int, found: list[int]) -> None:
    """Put an asset or model made in this transaction into collections (`of_new_member`)."""
    table = _members(tx, noun)
    for collection in found:
        table.insert(owner, collection, [member])
    if found:
        table.recount(owner, [member], 1, ids.now())


def require_live(tx: Tx, owner: int, noun: MemberNoun, wanted: list[str], field: str) -> None:
    """NOT_FOUND naming the field when any id is unknown, deleted, or another project's."""
    live = _members(tx, noun).live(owner, wanted)
    missing = [id for id in wanted if id not in live]
    if missing:
        raise missing_error(noun, missing, field)


def require_picture(tx: Tx, owner: int, asset_id: str) -> None:
    """NOT_FOUND unless the asset can stand as a thumbnail at all, BAD_REQUEST when it has no picture to show."""
    asset = tx.assets.find(owner, asset_id)
    if asset is None:
        raise missing_error("asset", [asset_id], "thumbnail")
    if not asset.bytes.has_thumbnail:
        raise errors.bad_request("thumbnail", f"{asset_id!r} is {asset.bytes.mime_type} and has no picture to show")


def missing_error(noun: str, missing: list[str], field: str | None = None) -> PinakesError:
    """Ids that do not exist for this project; which of the possible reasons holds is never told."""
    field = field or f"{noun}Ids"
    return PinakesError(
        "NOT_FOUND", f"{field}: no such {noun} in this project: {', '.join(missing[:5])}", missing=missing
    )


def check_members(noun: str, members: list[str], most: int = MOST_MEMBERS, least: int = 1) -> list[str]:
    """The ids, each once, in order. BAD_REQUEST for too few or too many."""
    if not least <= len(members) <= most:
        raise errors.bad_request(f"{noun}Ids", f"expected {least} to {most} ids, got {len(members)}")
    return list(dict.fromkeys(members))


def etag_of(collection: Collection) -> str:
    """Changes whenever the collection does, and when the link to its thumbnail is made anew, before the old one ends.

    `updated_at` moves with writes to it, the rest with writes to members.
    """
    counts, thumbnail = (collection.asset_count, collection.model_count), collection.thumbnail
    if thumbnail is msgspec.UNSET:
        return _etag(collection.updated_at, *counts, None)
    return _etag(collection.updated_at, *counts, thumbnail.asset_id, f"~{expiry_of(thumbnail.url)}")


def show(library: Library, actor: Actor, row: FoundCollection) -> Collection:
    """A stored collection as it is sent."""
    cover = row.thumbnail_asset_id
    return Collection(
        row.id,
        row.name,
        actor.project_id,
        row.created_at,
        row.updated_at,
        row.asset_count,
        row.model_count,
        row.asset_count + row.model_count,
        msgspec.UNSET if cover is None else thumbnail_of(library, actor, cover),
    )


def thumbnail_of(library: Library, actor: Actor, asset_id: str) -> Thumbnail:
    """An asset as a thumbnail, with a fresh link."""
    return Thumbnail(asset_id, library.links.make(actor.origin, asset_path(actor.project_id, asset_id, "thumbnail")))


def _found(tx: Tx, actor: Actor, id: str) -> FoundCollection:
    row = tx.collections.find(actor.owner, id)
    if row is None:
        raise errors.not_found("collection", id)
    return row


def _check_condition(row: FoundCollection, etag: str | None, is_done: bool = False) -> None:
    """A link that was made anew is no change of the collection. `is_done`: the condition held for an earlier try."""
    if etag is None or is_done:
        return
    current = _etag(row.updated_at, row.asset_count, row.model_count, row.thumbnail_asset_id)
    if not {"*", current} & {_LINK.sub('"', part.strip()) for part in etag.split(",")}:
        raise PinakesError("PRECONDITION_FAILED", "The collection has changed since it was read; read it again.")


def _etag(updated_at: str, asset_count: int, model_count: int, cover: str | None, link: str = "") -> str:
    return f'"{updated_at}-{asset_count}-{model_count}-{cover or ""}{link}"'


def _members(tx: Tx, noun: MemberNoun) -> MemberSql:
    return tx.collection_assets if noun == "asset" else tx.collection_models


def _counted(
    tx: Tx, actor: Actor, row: FoundCollection, noun: MemberNoun, change: int, loses_cover: bool = False
) -> FoundCollection:
    """The collection with `change` more members that one sees, stored. Without one it reads as not changed."""
    row = msgspec.structs.replace(
        row,
        asset_count=row.asset_count + (change if noun == "asset" else 0),
        model_count=row.model_count + (change if noun == "model" else 0),
        thumbnail_asset_id=None if loses_cover else row.thumbnail_asset_id,
        updated_at=_later_than(row.updated_at) if change else row.updated_at,
    )
    tx.collections.update(actor.owner, row, is_cover_set=loses_cover)
    return row


def _later_than(updated_at: str) -> str:
    """Now, or a millisecond after the last change: no two states of a collection share their `updated_at`."""
    now = ids.now()
    if now > updated_at:
        return now
    return ids.iso(round(datetime.fromisoformat(updated_at).timestamp() * 1000) + 1)
