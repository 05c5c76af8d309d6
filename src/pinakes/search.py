"""Search: assets and models by words, by filters and by how they look, as far as one project goes.

The trash is never found; what is hidden is, as in lists. `docs/search.md` says what a query and a filter may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import assets, collections, data_urls, errors, mlmodels, words
from pinakes.access import Actor, needs
from pinakes.asset_types import Asset, AssetMetadata, Thumbnail
from pinakes.errors import PinakesError
from pinakes.filters import Filter, Noun
from pinakes.model_types import Concept, MLModel
from pinakes.words import Query

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

T = TypeVar("T")

MOST_HITS = 100
MOST_OFFSET = 1_000_000
MOST_IMAGES = 10
"""Pictures that hits are to look like, and as many that they are not to look like."""
SORTS: dict[Noun, tuple[str, ...]] = {
    "asset": ("createdAt", "updatedAt", "name", "size", "width", "height"),
    "model": ("createdAt", "updatedAt", "name"),
}
"""Fields to sort by."""

_BITS = 64  # of a look
_PLACES = 4  # that words can stand in


class Images(msgspec.Struct, frozen=True):
    """Pictures, each the id of an asset or a data URL: hits look like one of `like`, and like none of `unlike`."""

    like: Annotated[list[str], Meta(max_length=MOST_IMAGES)] = []
    unlike: Annotated[list[str], Meta(max_length=MOST_IMAGES)] = []


class Search(msgspec.Struct, frozen=True):
    """What to search for. `sort_by` has fields with `:asc` or `:desc`; without it the best hits come first."""

    query: str | None = None
    filter: str | None = None
    image: str | None = None
    images: Images = Images()
    is_public: bool = False
    sort_by: tuple[str, ...] = ()
    offset: int = 0
    limit: int = 20


class Wanted(msgspec.Struct, frozen=True):
    """A search as the store takes it: looks for pictures, and fields to sort by with whether they descend."""

    query: Query = Query()
    filter: Filter | None = None
    like: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    is_public: bool = False
    sort: tuple[tuple[str, bool], ...] = ()
    offset: int = 0
    limit: int = 20


class Found(msgspec.Struct, frozen=True):
    """Ids in order. `ranks` are the bits in which looks differ, else the place that the words stand in, from 0.

    `total` is how many there are, an estimate when not all candidates were looked at.
    """

    ids: list[str]
    ranks: list[int]
    total: int


class AssetHit(msgspec.Struct, frozen=True, rename="camel"):
    """An asset as a search shows it. `score` is 1 for the best there can be; sorted hits have none."""

    id: str
    author_id: str
    owner_id: str
    team_id: str
    collection_ids: list[str]
    created_at: str
    updated_at: str
    metadata: AssetMetadata
    mime_type: str
    nsfw: list[str]
    privacy: str
    tags: list[str]
    url: str
    description: str | UnsetType = UNSET
    thumbnail: Thumbnail | UnsetType = UNSET
    score: float | UnsetType = UNSET


class ModelHit(msgspec.Struct, frozen=True, rename="camel"):
    """A model as a search shows it; a name or description that it lacks is empty."""

    id: str
    author_id: str
    owner_id: str
    team_id: str
    capabilities: list[str]
    collection_ids: list[str]
    concepts: list[Concept]
    created_at: str
    updated_at: str
    example_asset_ids: list[str]
    name: str
    privacy: str
    short_description: str
    source: str
    tags: list[str]
    training_images_number: int
    type: str
    parent_model_id: str | UnsetType = UNSET
    thumbnail: Thumbnail | UnsetType = UNSET
    score: float | UnsetType = UNSET


class Hits(msgspec.Struct, Generic[T], frozen=True):
    """A page of hits, and how many there are in all."""

    items: list[T]
    total: int


def see(library: Library, _actor: Actor, search: Search) -> dict[str, int]:
    """The slow half of a search by pictures: the looks of those that are data URLs. Needs no transaction.

    BAD_REQUEST naming the field for what is no picture, PAYLOAD_TOO_LARGE for what could not be uploaded either.
    """
    urls = {url: field for field, given in _pictures(search).items() for url in given if is_data_url(url)}
    return {url: _look_of(library, field, url) for url, field in urls.items()}


@needs("assets.read")
def find_assets(library: Library, actor: Actor, search: Search, seen: dict[str, int]) -> Hits[AssetHit]:
    """Assets, the best first unless sorted. `seen` is what `see` made of the data URLs. At most 9 statements.

    BAD_REQUEST naming the field for what cannot be searched for, NOT_FOUND for a picture that does not exist.
    """
    wanted = _wanted("asset", search)
    with library.store.read() as tx:
        found = tx.search.find("asset", actor.owner, _with_looks(tx, actor, wanted, search, seen))
        rows = {row.id: row for row in tx.assets.find_many(actor.owner, found.ids)}
        team_id = _team_of(tx, actor)
    hits = zip(found.ids, _scores(wanted, search, found), strict=True)
    return Hits([_asset_hit(assets.show(library, actor, rows[id]), team_id, score) for id, score in hits], found.total)


@needs("models.read")
def find_models(library: Library, actor: Actor, search: Search, seen: dict[str, int]) -> Hits[ModelHit]:
    """Models, as `find_assets` finds assets. A model looks like its thumbnail and each of its examples."""
    wanted = _wanted("model", search)
    with library.store.read() as tx:
        found = tx.search.find("model", actor.owner, _with_looks(tx, actor, wanted, search, seen))
        rows = {row.id: row for row in tx.models.find_many(actor.owner, found.ids)}
        team_id = _team_of(tx, actor)
    hits = zip(found.ids, _scores(wanted, search, found), strict=True)
    shown = [_model_hit(mlmodels.show(library, actor, rows[id]), team_id, score) for id, score in hits]
    return Hits(shown, found.total)


def is_data_url(image: str) -> bool:
    """Whether a picture is given by its bytes, and not by the id of an asset."""
    return image[:5].lower() == "data:"


def _pictures(search: Search) -> dict[str, list[str]]:
    """The pictures of a search by the field that names them."""
    images = search.images
    image = [] if search.image is None else [search.image]
    return {"image": image, "images.like": images.like, "images.unlike": images.unlike}


def _look_of(library: Library, field: str, url: str) -> int:
    data, _ = data_urls.decode(field, url)
    if len(data) > library.config.max_upload_bytes:
        limit = library.config.max_upload_bytes
        raise PinakesError("PAYLOAD_TOO_LARGE", f"{field}: {len(data)} bytes; the server accepts {limit}.", field=field)
    look = library.media.examine(data, "image").look
    if look is None:
        raise errors.bad_request(field, "this is no picture that others can be compared with")
    return look


def _wanted(noun: Noun, search: Search) -> Wanted:
    """All of a search but its pictures."""
    if search.query is None and search.filter is None and not any(_pictures(search).values()):
        raise errors.bad_request("query", "send at least one of query, filter, image and images")
    return Wanted(
        query=words.parse(search.query or ""),
        filter=_filter(search.filter, noun) if search.filter and search.filter.strip() else None,
        is_public=search.is_public,
        sort=tuple(_sort(noun, text) for text in search.sort_by),
        offset=search.offset,
        limit=search.limit,
    )


def _filter(text: str, noun: Noun) -> Filter:
    from pinakes.filter_text import parse  # the parser is not loaded by a server that nobody asks with a filter

    return parse(text, noun)


def _sort(noun: Noun, text: str) -> tuple[str, bool]:
    field, _, direction = text.partition(":")
    if field not in SORTS[noun] or direction not in ("asc", "desc"):
        known = ", ".join(SORTS[noun])
        raise errors.bad_request("sortBy", f"expected one of {known} with :asc or :desc, got {text!r}")
    return field, direction == "desc"


def _with_looks(tx: Tx, actor: Actor, wanted: Wanted, search: Search, seen: dict[str, int]) -> Wanted:
    pictures = _pictures(search)
    if not any(pictures.values()):
        return wanted
    ids = [image for given in pictures.values() for image in given if not is_data_url(image)]
    looks = {row.id: row.bytes.look for row in tx.assets.find_many(actor.owner, ids)} | seen
    for field, given in pictures.items():
        missing = [image for image in given if image not in looks]
        if missing:
            raise collections.missing_error("asset", missing, field)
        for image in given:
            if looks[image] is None:
                raise errors.bad_request(field, f"asset {image!r} is no picture that others can be compared with")
    like, unlike = (
        tuple(look for image in given if (look := looks[image]) is not None)
        for given in ([*pictures["image"], *pictures["images.like"]], pictures["images.unlike"])
    )
    return msgspec.structs.replace(wanted, like=like, unlike=unlike)


def _team_of(tx: Tx, actor: Actor) -> str:
    team = tx.projects.team_of(actor.project_id)
    return "" if team is None else team[0]


def _scores(wanted: Wanted, search: Search, found: Found) -> list[float | UnsetType]:
    """1 for the same look and for words that all stand in the name, less for what is further off."""
    if wanted.sort:
        return [UNSET for _ in found.ids]
    if search.image is not None or search.images.like:
        return [1 - bits / _BITS for bits in found.ranks]
    return [1 - place / _PLACES if wanted.query.wanted else UNSET for place in found.ranks]


def _asset_hit(asset: Asset, team_id: str, score: float | UnsetType) -> AssetHit:
    same = {name: getattr(asset, name) for name in AssetHit.__struct_fields__ if name in Asset.__struct_fields__}
    return AssetHit(team_id=team_id, nsfw=[], score=score, **same)


def _model_hit(model: MLModel, team_id: str, score: float | UnsetType) -> ModelHit:
    same = {name: getattr(model, name) for name in ModelHit.__struct_fields__ if name in MLModel.__struct_fields__}
    for name, nothing in (("name", ""), ("short_description", ""), ("concepts", [])):
        same[name] = nothing if same[name] is UNSET else same[name]
    return ModelHit(team_id=team_id, score=score, **same)
