"""What travels: Pydantic models, in camelCase on the wire."""

from datetime import datetime
from typing import Annotated

from idiomatic.models import Collection
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StrictStr
from pydantic.alias_generators import to_camel


def check_name(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be empty")
    return name


Name = Annotated[StrictStr, AfterValidator(check_name)]
Timestamp = Annotated[datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds") + "Z")]
Ids = Annotated[list[StrictStr], Field(min_length=1, max_length=49)]


class Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class NewCollection(Schema):
    name: Name


class AssetIds(Schema):
    asset_ids: Ids


class Thumbnail(Schema):
    asset_id: str
    url: str


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
    def of(cls, collection: Collection) -> "CollectionOut":
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
            thumbnail=Thumbnail(asset_id=thumbnail.id, url=f"/files/{thumbnail.id}") if thumbnail else None,
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
