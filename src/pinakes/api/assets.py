"""Asset calls."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import asset_bytes, assets, errors, ids
from pinakes.api.call import Call
from pinakes.api.http import Empty
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.asset_types import ASSET_TYPES, Asset, RestoreReport
from pinakes.assets import AssetFilter, AssetPatch, NewAsset
from pinakes.tags import TagChange, TagReport
from pinakes.text import Id, Time

routes = Routes()

_ID = "asset_0352cEzJ2TFiF3EpfsKGyC"
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_TAGS = {"add": ["forest"], "delete": [], "strict": False}


AssetType = Annotated[str, Meta(extra_json_schema={"enum": sorted(ASSET_TYPES)})]
MOST_TAGS = 10
"""Tags to filter by."""


class AssetsQuery(ProjectQuery, frozen=True, rename="camel"):
    """Which assets a page holds."""

    page_size: Annotated[int, Meta(ge=1, le=100)] = 50
    pagination_token: str | None = None
    collection_id: str | None = None
    type: AssetType | None = None
    types: tuple[AssetType, ...] = ()
    tags: Annotated[tuple[str, ...], Meta(max_length=MOST_TAGS)] = ()
    author_id: str | None = None
    model_id: str | None = None
    inference_id: str | None = None
    parent_asset_id: str | None = None
    root_asset_id: str | None = None
    privacy: Literal["private", "public", "unlisted"] | None = None
    sort_by: Literal["createdAt", "updatedAt"] | None = None
    sort_direction: Literal["asc", "desc"] = "desc"
    created_after: Time | None = None
    created_before: Time | None = None
    updated_after: Time | None = None
    updated_before: Time | None = None
    deleted: bool = False
    original_assets: bool = False


class AssetQuery(ProjectQuery, frozen=True, rename="camel"):
    """`originalAssets` is accepted and changes nothing: assets are never transformed here."""

    original_assets: bool = False


class OneAsset(msgspec.Struct, frozen=True):
    """`{asset}`"""

    asset: Asset


class AssetPage(msgspec.Struct, frozen=True, rename="camel"):
    """`{assets, nextPaginationToken?}`"""

    assets: list[Asset]
    next_pagination_token: str | UnsetType = UNSET


class AssetList(msgspec.Struct, frozen=True):
    """`{assets}`"""

    assets: list[Asset]


class BulkAssetIds(msgspec.Struct, frozen=True, rename="camel"):
    """1 to 200 assets."""

    asset_ids: Annotated[list[Id], Meta(min_length=1, max_length=assets.MOST_BULK)]


class TrashAssetIds(msgspec.Struct, frozen=True, rename="camel"):
    """1 to 100 assets."""

    asset_ids: Annotated[list[Id], Meta(min_length=1, max_length=assets.MOST_DELETED)]


class CopyAsset(msgspec.Struct, frozen=True, rename="camel"):
    """Where the copy goes; the same project when absent."""

    target_project_id: str | UnsetType = UNSET


@routes.add("GET", "/assets", assets.get_page, AssetPage, query=AssetsQuery, errors=("NOT_FOUND",))
async def get_page(call: Call[AssetsQuery, None]) -> AssetPage:
    """List assets, newest first unless sorted otherwise. `tags` narrows to assets with all of them."""
    query = call.query
    filter = _filter(query)
    if query.inference_id is not None:
        return AssetPage([])  # nothing is generated here, so nothing comes from an inference
    args = (filter, query.page_size, query.pagination_token)
    if filter in _BOUNDED or filter == AssetFilter(collection_id=filter.collection_id):
        page = await call.read(assets.get_page, *args)
    else:
        page = await call.scan(assets.get_page, *args)
    return AssetPage(page.items, page.token or UNSET)


@routes.add(
    "POST",
    "/assets",
    assets.create,
    OneAsset,
    query=AssetQuery,
    body=NewAsset,
    example={"name": "dot.gif", "image": _PIXEL},
    errors=("NOT_FOUND",),
    is_upload=True,
)
async def create(call: Call[Any, NewAsset]) -> OneAsset:
    """Upload a file as base64 or a data URL, and put it into collections."""
    stored = await call.upload(asset_bytes.store, call.body)
    new = msgspec.structs.replace(call.body, image="")  # the bytes are stored: let go of them while the write waits
    asset = await call.write(assets.create, new, stored)
    if not stored.is_probed:
        call.library.work.set()
    return OneAsset(asset)


@routes.add("DELETE", "/assets", assets.delete, Empty, body=TrashAssetIds, example={"assetIds": [_ID]})
async def delete(call: Call[Any, TrashAssetIds]) -> Empty:
    """Move assets to the trash. Ids that are unknown or there already change nothing."""
    await call.write(assets.delete, call.body.asset_ids)
    return Empty()


@routes.add("POST", "/assets/restore", assets.restore, RestoreReport, body=TrashAssetIds, example={"assetIds": [_ID]})
async def restore(call: Call[Any, TrashAssetIds]) -> RestoreReport:
    """Bring assets back from the trash, with tags and collections."""
    return await call.write(assets.restore, call.body.asset_ids)


@routes.add(
    "POST",
    "/assets/get-bulk",
    assets.get_bulk,
    AssetList,
    query=AssetQuery,
    body=BulkAssetIds,
    example={"assetIds": [_ID]},
)
async def get_bulk(call: Call[Any, BulkAssetIds]) -> AssetList:
    """Get assets by their ids, in that order; unknown ids are left out."""
    return AssetList(await call.read(assets.get_bulk, call.body.asset_ids))


@routes.add("GET", "/assets/{assetId}", assets.get, OneAsset, query=AssetQuery, errors=("NOT_FOUND",))
async def get(call: Call[Any, None]) -> OneAsset:
    """Get an asset."""
    return OneAsset(await call.read(assets.get, call.params[0]))


@routes.add(
    "PUT",
    "/assets/{assetId}",
    assets.update,
    OneAsset,
    query=AssetQuery,
    body=AssetPatch,
    example={"name": "Mossy stone"},
    errors=("NOT_FOUND",),
)
async def update(call: Call[Any, AssetPatch]) -> OneAsset:
    """Change an asset's name or description."""
    return OneAsset(await call.write(assets.update, call.params[0], call.body))


@routes.add(
    "PUT",
    "/assets/{assetId}/tags",
    assets.update_tags,
    TagReport,
    body=TagChange,
    example=_TAGS,
    errors=("NOT_FOUND",),
)
async def update_tags(call: Call[Any, TagChange]) -> TagReport:
    """Add and delete an asset's tags. Strict by default: what is there already, or is not there, is an error."""
    return await call.write(assets.update_tags, call.params[0], forgiving(call))


@routes.add(
    "POST",
    "/assets/{assetId}/copy",
    assets.copy,
    OneAsset,
    query=AssetQuery,
    body=CopyAsset,
    needs_body=False,
    errors=("NOT_FOUND",),
)
async def copy(call: Call[Any, CopyAsset]) -> OneAsset:
    """Copy an asset, here or to another project that the key may write to."""
    target = call.body.target_project_id
    return OneAsset(await call.write(assets.copy, call.params[0], None if target is UNSET else target))


def forgiving(call: Call[Any, TagChange]) -> TagChange:
    """The change of tags; not strict when it may have been made already by a try whose answer was lost."""
    return msgspec.structs.replace(call.body, strict=False) if call.is_repeat else call.body


def sorting(
    sort_by: str | None,
    created: tuple[str | None, str | None],
    updated: tuple[str | None, str | None],
) -> tuple[Literal["created_at", "updated_at"], str | None, str | None]:
    """The column to sort by and the bounds on it. BAD_REQUEST for a bound on another column than the one sorted by."""
    for name, bounds in (("created", created), ("updated", updated)):
        for side, bound in zip(("After", "Before"), bounds, strict=True):
            if bound is not None and sort_by != f"{name}At":
                raise errors.bad_request(f"{name}{side}", f"needs sortBy={name}At")
    if sort_by == "updatedAt":
        return "updated_at", _time("updatedAfter", updated[0]), _time("updatedBefore", updated[1])
    return "created_at", _time("createdAfter", created[0]), _time("createdBefore", created[1])


def types_of(type: str | None, types: tuple[str, ...], known: frozenset[str]) -> tuple[str, ...]:
    """The types of a filter. BAD_REQUEST for both parameters, or an unknown type."""
    if type is not None and types:
        raise errors.bad_request("types", "send either type or types, not both")
    wanted = types if type is None else (type,)
    for value in wanted:
        if value not in known:
            raise errors.bad_request("types" if types else "type", f"there is no type {value!r}")
    return tuple(dict.fromkeys(wanted))


_BOUNDED = (AssetFilter(), AssetFilter(sort_by="updated_at"))
_WITH_DELETED = frozenset(
    {"project_id", "page_size", "pagination_token", "deleted", "original_assets", "sort_direction"}
)


def _filter(query: AssetsQuery) -> AssetFilter:
    if query.deleted:
        defaults = AssetsQuery()
        for name, spelled in zip(AssetsQuery.__struct_fields__, AssetsQuery.__struct_encode_fields__, strict=True):
            if name not in _WITH_DELETED and getattr(query, name) != getattr(defaults, name):
                raise errors.bad_request(spelled, "cannot be combined with deleted=true")
    sort_by, after, before = sorting(
        query.sort_by, (query.created_after, query.created_before), (query.updated_after, query.updated_before)
    )
    return AssetFilter(
        collection_id=query.collection_id,
        types=types_of(query.type, query.types, ASSET_TYPES),
        tags=tuple(dict.fromkeys(query.tags)),
        author_id=query.author_id,
        model_id=query.model_id,
        parent_id=query.parent_asset_id,
        root_id=query.root_asset_id,
        privacy=query.privacy,
        after=after,
        before=before,
        sort_by=sort_by,
        is_ascending=query.sort_direction == "asc",
        is_deleted=query.deleted,
    )


def _time(field: str, text: str | None) -> str | None:
    """An ISO 8601 time in the one form that is stored. Without an offset it is UTC."""
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or dt.UTC)
        return ids.iso(int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise errors.bad_request(field, f"expected a time such as 2026-01-31T12:00:00Z, got {text!r}") from None
