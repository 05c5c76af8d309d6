"""The nine collection calls."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import collections
from pinakes.api.call import Call
from pinakes.api.http import Empty, is_known
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.collections import Added, Collection, CollectionPatch, NewCollection, Removed
from pinakes.errors import Code, PinakesError
from pinakes.text import Id

routes = Routes()

_NAME = {"name": "Forest tiles"}
_ASSETS = {"assetIds": ["asset_0352cEzJ2TFiF3EpfsKGyC"]}
_MODELS = {"modelIds": ["flux.1-dev"]}
_CHANGE_ERRORS: tuple[Code, ...] = ("NOT_FOUND", "PRECONDITION_FAILED", "PRECONDITION_REQUIRED")


class CollectionsQuery(ProjectQuery, frozen=True, rename="camel"):
    """A page of collections."""

    page_size: Annotated[int, Meta(ge=1, le=100)] = 10
    pagination_token: str | None = None


class OneCollection(msgspec.Struct, frozen=True):
    """`{collection}`"""

    collection: Collection


class CollectionPage(msgspec.Struct, frozen=True, rename="camel"):
    """`{collections, nextPaginationToken?}`"""

    collections: list[Collection]
    next_pagination_token: str | UnsetType = UNSET


class AssetIds(msgspec.Struct, frozen=True, rename="camel"):
    """1 to 49 assets."""

    asset_ids: Annotated[list[Id], Meta(min_length=1, max_length=collections.MOST_MEMBERS)]


class ModelIds(msgspec.Struct, frozen=True, rename="camel"):
    """1 to 49 models."""

    model_ids: Annotated[list[Id], Meta(min_length=1, max_length=collections.MOST_MEMBERS)]


class AddedAnswer(msgspec.Struct, frozen=True):
    """`{collection, report}`"""

    collection: Collection
    report: Added


class RemovedAnswer(msgspec.Struct, frozen=True):
    """`{collection, report}`"""

    collection: Collection
    report: Removed


@routes.add("GET", "/collections", collections.get_page, CollectionPage, query=CollectionsQuery)
async def get_page(call: Call[CollectionsQuery, None]) -> CollectionPage:
    """List collections, newest first."""
    page = await call.read(collections.get_page, call.query.page_size, call.query.pagination_token)
    return CollectionPage(page.items, page.token or UNSET)


@routes.add("POST", "/collections", collections.create, OneCollection, body=NewCollection, example=_NAME)
async def create(call: Call[Any, NewCollection]) -> OneCollection:
    """Create a collection."""
    return OneCollection(await call.write(collections.create, call.body))


@routes.add(
    "GET",
    "/collections/{collectionId}",
    collections.get,
    OneCollection,
    errors=("NOT_FOUND",),
    is_conditional=True,
)
async def get(call: Call[Any, None]) -> OneCollection:
    """Get a collection. Its `ETag` serves `If-None-Match` here and `If-Match` on a change."""
    collection = await call.read(collections.get, call.params[0])
    etag = collections.etag_of(collection).encode()
    call.reply_headers.append((b"etag", etag))
    if is_known(etag, call.headers):
        call.reply_status = 304
    return OneCollection(collection)


@routes.add(
    "PUT",
    "/collections/{collectionId}",
    collections.update,
    OneCollection,
    body=CollectionPatch,
    example=_NAME,
    errors=_CHANGE_ERRORS,
)
async def update(call: Call[Any, CollectionPatch]) -> OneCollection:
    """Change a collection's name or thumbnail; a null thumbnail is unset, what is absent stays."""
    collection = await call.write(collections.update, call.params[0], call.body, _condition(call), call.is_repeat)
    call.reply_headers.append((b"etag", collections.etag_of(collection).encode()))
    return OneCollection(collection)


@routes.add(
    "DELETE",
    "/collections/{collectionId}",
    collections.delete,
    Empty,
    errors=_CHANGE_ERRORS,
)
async def delete(call: Call[Any, None]) -> Empty:
    """Delete a collection. Its assets and models stay."""
    await call.write(collections.delete, call.params[0], _condition(call), call.is_repeat)
    return Empty()


@routes.add(
    "PUT",
    "/collections/{collectionId}/assets",
    collections.add,
    AddedAnswer,
    body=AssetIds,
    example=_ASSETS,
    errors=_CHANGE_ERRORS,
)
async def add_assets(call: Call[Any, AssetIds]) -> AddedAnswer:
    """Add assets to a collection, all or none. Adding a present one changes nothing."""
    how = (_condition(call), call.is_repeat)
    return AddedAnswer(*await call.write(collections.add, call.params[0], "asset", call.body.asset_ids, *how))


@routes.add(
    "DELETE",
    "/collections/{collectionId}/assets",
    collections.remove,
    RemovedAnswer,
    body=AssetIds,
    example=_ASSETS,
    errors=_CHANGE_ERRORS,
)
async def remove_assets(call: Call[Any, AssetIds]) -> RemovedAnswer:
    """Remove assets from a collection. Removing an absent one changes nothing."""
    how = (_condition(call), call.is_repeat)
    return RemovedAnswer(*await call.write(collections.remove, call.params[0], "asset", call.body.asset_ids, *how))


@routes.add(
    "PUT",
    "/collections/{collectionId}/models",
    collections.add,
    AddedAnswer,
    body=ModelIds,
    example=_MODELS,
    errors=_CHANGE_ERRORS,
)
async def add_models(call: Call[Any, ModelIds]) -> AddedAnswer:
    """Add models to a collection, all or none. Adding a present one changes nothing."""
    how = (_condition(call), call.is_repeat)
    return AddedAnswer(*await call.write(collections.add, call.params[0], "model", call.body.model_ids, *how))


@routes.add(
    "DELETE",
    "/collections/{collectionId}/models",
    collections.remove,
    RemovedAnswer,
    body=ModelIds,
    example=_MODELS,
    errors=_CHANGE_ERRORS,
)
async def remove_models(call: Call[Any, ModelIds]) -> RemovedAnswer:
    """Remove models from a collection. Removing an absent one changes nothing."""
    how = (_condition(call), call.is_repeat)
    return RemovedAnswer(*await call.write(collections.remove, call.params[0], "model", call.body.model_ids, *how))


def _condition(call: Call[Any, Any]) -> str | None:
    if call.if_match is None and call.library.config.require_if_match:
        raise PinakesError("PRECONDITION_REQUIRED", "Send If-Match with the ETag of the collection as you read it.")
    return call.if_match
