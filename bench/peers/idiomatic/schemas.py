"""What travels: Pydantic models, in camelCase on the wire."""

from datetime import datetime
from typing import Annotated

from idiomatic.links import link
from idiomatic.models import Asset, Collection, Project
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StrictStr
from pydantic.alias_generators import to_camel


def check_name(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be empty")
    return name


Name = Annotated[StrictStr, AfterValidator(check_name)]
Timestamp = Annotated[datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds") + "Z")]
Ids = Annotated[list[StrictStr], Field(min_length=1, max_length=49)]
BulkOfIds = Annotated[list[StrictStr], Field(min_length=1, max_length=200)]
TrashOfIds = Annotated[list[StrictStr], Field(min_length=1, max_length=100)]


class Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class NewCollection(Schema):
    name: Name


class AssetIds(Schema):
    asset_ids: Ids


class BulkIds(Schema):
    asset_ids: BulkOfIds


class TrashIds(Schema):
    asset_ids: TrashOfIds


class SearchBody(Schema):
    """Without filters and pictures, which are refused rather than left out."""

    model_config = ConfigDict(extra="forbid")

    query: StrictStr
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class Thumbnail(Schema):
    asset_id: str
    url: str

    @classmethod
    def of(cls, asset: Asset, base_url: str) -> "Thumbnail":
        return cls(asset_id=asset.id, url=link(base_url, asset, "thumbnail"))


class CollectionOut(Schema):
    id: str
    name: str
    owner_id: str
    created_at: Timestamp
    updated_at: Timestamp
    asset_count: int
    model_count: int
    item_count: int
    thumbnail: Thumbnail | None = None

    @classmethod
    def of(cls, collection: Collection, base_url: str) -> "CollectionOut":
        thumbnail = collection.thumbnail
        return cls(
            id=collection.id,
            name=collection.name,
            owner_id=collection.project_id,
            created_at=collection.created_at,
            updated_at=collection.updated_at,
            asset_count=collection.asset_count,
            model_count=collection.model_count,
            item_count=collection.asset_count + collection.model_count,
            thumbnail=Thumbnail.of(thumbnail, base_url) if thumbnail else None,
        )


class CollectionAnswer(Schema):
    collection: CollectionOut


class CollectionPage(Schema):
    collections: list[CollectionOut]
    next_pagination_token: str | None = None


class AddReport(Schema):
    added: list[str]
    unchanged: list[str]


class AddAnswer(Schema):
    collection: CollectionOut
    report: AddReport


class RemoveReport(Schema):
    removed: list[str]
    unchanged: list[str]


class RemoveAnswer(Schema):
    collection: CollectionOut
    report: RemoveReport


class Ingredient(Schema):
    role: str
    name: str
    weight: float | None = None


class Concept(Schema):
    model_id: str
    scale: float


class Metadata(Schema):
    kind: str
    type: str
    name: str
    size: int
    width: int | None
    height: int | None
    generator: str | None
    prompt: str | None
    seed: str | None
    ingredients: list[Ingredient] | None
    concepts: list[Concept] | None
    model_id: str | None
    copied_at: Timestamp | None


class Properties(Schema):
    size: int
    format: str | None
    width: int | None
    height: int | None


class AssetOut(Schema):
    id: str
    name: str
    owner_id: str
    author_id: str
    kind: str
    mime_type: str
    status: str = "success"
    source: str
    privacy: str = "private"
    tags: list[str]
    collection_ids: list[str]
    edit_capabilities: list[str] = []
    created_at: Timestamp
    updated_at: Timestamp
    url: str
    metadata: Metadata
    properties: Properties
    is_hidden: bool = False
    thumbnail: Thumbnail

    @classmethod
    def of(cls, asset: Asset, collection_ids: list[str], base_url: str) -> "AssetOut":
        return cls(
            id=asset.id,
            name=asset.name,
            owner_id=asset.project_id,
            author_id=asset.author_id,
            kind=asset.kind,
            mime_type=asset.mime_type,
            source=asset.type,
            tags=asset.tags,
            collection_ids=collection_ids,
            created_at=asset.created_at,
            updated_at=asset.updated_at,
            url=link(base_url, asset, "original"),
            metadata=Metadata.model_validate(asset),
            properties=Properties.model_validate(asset),
            thumbnail=Thumbnail.of(asset, base_url),
        )


class AssetAnswer(Schema):
    asset: AssetOut


class AssetList(Schema):
    assets: list[AssetOut]


class AssetPage(Schema):
    assets: list[AssetOut]
    next_pagination_token: str | None = None


class SkippedAsset(Schema):
    asset_id: str
    reason: str


class RestoreReport(Schema):
    restored_asset_ids: list[str]
    skipped_assets: list[SkippedAsset]


class HitOut(Schema):
    id: str
    author_id: str
    owner_id: str
    team_id: str
    collection_ids: list[str]
    created_at: Timestamp
    updated_at: Timestamp
    metadata: Metadata
    mime_type: str
    nsfw: list[str] = []
    privacy: str = "private"
    tags: list[str]
    url: str
    thumbnail: Thumbnail
    score: float = 1.0
    """A hit has all the words, wherever they are."""

    @classmethod
    def of(cls, asset: Asset, collection_ids: list[str], base_url: str, project: Project) -> "HitOut":
        return cls(
            id=asset.id,
            author_id=asset.author_id,
            owner_id=asset.project_id,
            team_id=project.team_id,
            collection_ids=collection_ids,
            created_at=asset.created_at,
            updated_at=asset.updated_at,
            metadata=Metadata.model_validate(asset),
            mime_type=asset.mime_type,
            tags=asset.tags,
            url=link(base_url, asset, "original"),
            thumbnail=Thumbnail.of(asset, base_url),
        )


class HitPage(Schema):
    hits: list[HitOut]
    limit: int
    offset: int
    estimated_total_hits: int
