"""Search calls."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import errors, filters, search, text, words
from pinakes.api.call import Call
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.filters import Noun
from pinakes.search import AssetHit, Images, ModelHit, Search
from pinakes.text import WHOLE

routes = Routes()

_QUERY = Annotated[str, Meta(extra_json_schema={"maxLength": words.MOST_CHARACTERS})]
_FILTER = Annotated[str, Meta(extra_json_schema={"maxLength": filters.MOST_CHARACTERS})]
_OFFSET = Meta(ge=0, le=search.MOST_OFFSET, extra_json_schema=WHOLE)
_HITS = Meta(ge=1, le=search.MOST_HITS, extra_json_schema=WHOLE)
_USUAL_HITS = 20


def _sorts(noun: Noun) -> Any:
    return Annotated[str, Meta(extra_json_schema={"pattern": f"^({'|'.join(search.SORTS[noun])}):(asc|desc)$"})]


class SearchQuery(ProjectQuery, frozen=True, rename="camel"):
    """`offset` takes the place of the body's: the SDK asks so for the next page. `originalAssets` changes nothing."""

    original_assets: bool = False
    offset: Annotated[int, _OFFSET] | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What both searches take. The ratios are accepted and change nothing: nothing here is semantic."""

    query: _QUERY | UnsetType = UNSET
    filter: _FILTER | UnsetType = UNSET
    image: str | UnsetType = UNSET
    images: Images = Images()
    public: bool = False
    limit: Annotated[float, _HITS] | UnsetType = UNSET
    offset: Annotated[float, _OFFSET] | UnsetType = UNSET
    page: Annotated[float, Meta(ge=1, le=search.MOST_OFFSET, extra_json_schema=WHOLE)] | UnsetType = UNSET
    hits_per_page: Annotated[float, _HITS] | UnsetType = UNSET
    image_semantic_ratio: float = 0
    query_semantic_ratio: float = 0


class SearchAssets(_Body, frozen=True, kw_only=True, rename="camel"):
    """At least one of query, filter, image and images."""

    sort_by: list[_sorts("asset")] = []  # type: ignore[valid-type]


class SearchModels(_Body, frozen=True, kw_only=True, rename="camel"):
    """At least one of query, filter, image and images."""

    sort_by: list[_sorts("model")] = []  # type: ignore[valid-type]


class AssetHits(msgspec.Struct, frozen=True, rename="camel"):
    """`{hits, limit, offset, estimatedTotalHits}`"""

    hits: list[AssetHit]
    limit: int
    offset: int
    estimated_total_hits: int


class ModelHits(msgspec.Struct, frozen=True, rename="camel"):
    """`{hits, limit, offset, estimatedTotalHits}`"""

    hits: list[ModelHit]
    limit: int
    offset: int
    estimated_total_hits: int


@routes.add(
    "POST",
    "/search/assets",
    search.find_assets,
    AssetHits,
    query=SearchQuery,
    body=SearchAssets,
    example={"query": "mossy stone", "filter": "kind = image AND width >= 1024", "limit": 20},
    errors=("NOT_FOUND",),
    is_upload=True,
)
async def find_assets(call: Call[SearchQuery, SearchAssets]) -> AssetHits:
    """Search assets by words, by a filter and by how they look."""
    wanted = _search(call)
    found = await call.scan(search.find_assets, wanted, await _seen(call, wanted))
    return AssetHits(found.items, wanted.limit, wanted.offset, found.total)


@routes.add(
    "POST",
    "/search/models",
    search.find_models,
    ModelHits,
    query=SearchQuery,
    body=SearchModels,
    example={"query": "ink", "filter": 'tags = "style"', "limit": 20},
    errors=("NOT_FOUND",),
    is_upload=True,
)
async def find_models(call: Call[SearchQuery, SearchModels]) -> ModelHits:
    """Search models by words, by a filter and by what their pictures look like."""
    wanted = _search(call)
    found = await call.scan(search.find_models, wanted, await _seen(call, wanted))
    return ModelHits(found.items, wanted.limit, wanted.offset, found.total)


async def _seen(call: Call[SearchQuery, Any], wanted: Search) -> dict[str, int]:
    """The looks of the pictures that came with the request, if any did."""
    given = [wanted.image or "", *wanted.images.like, *wanted.images.unlike]
    return await call.upload(search.see, wanted) if any(map(search.is_data_url, given)) else {}


def _search(call: Call[SearchQuery, Any]) -> Search:
    body: _Body = call.body
    offset, limit = _page(body)
    return Search(
        query=_or_none(body.query),
        filter=_or_none(body.filter),
        image=_or_none(body.image),
        images=body.images,
        is_public=body.public,
        sort_by=tuple(call.body.sort_by),
        offset=offset if call.query.offset is None else call.query.offset,
        limit=limit,
    )


def _page(body: _Body) -> tuple[int, int]:
    """Offset and limit. BAD_REQUEST for both ways to ask for a page at once, and for one that is too far."""
    if body.page is UNSET and body.hits_per_page is UNSET:
        return _whole("offset", body.offset, 0), _whole("limit", body.limit, _USUAL_HITS)
    if body.limit is not UNSET or body.offset is not UNSET:
        raise errors.bad_request("page", "send either page and hitsPerPage, or limit and offset")
    limit = _whole("hitsPerPage", body.hits_per_page, _USUAL_HITS)
    offset = (_whole("page", body.page, 1) - 1) * limit
    if offset > search.MOST_OFFSET:
        raise errors.bad_request("page", f"a search shows at most {search.MOST_OFFSET} hits")
    return offset, limit


def _whole(field: str, value: float | UnsetType, default: int) -> int:
    return default if value is UNSET else text.whole(field, value)


def _or_none(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value
