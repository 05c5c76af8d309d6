"""Uploads as they are stored and sent, in the hosted service's words. Source: the types of `scenario-sdk` 2.4.0."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes.collections import CollectionIds
from pinakes.text import WHOLE, Name

UploadKind = Literal["3d", "asset", "audio", "avatar", "image", "model", "text", "video"]
UploadStatus = Literal["pending", "validating", "validated", "imported", "failed"]
MOST_PARTS = 10_000
MOST_URL = 8192

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[float, Meta(ge=1, extra_json_schema=WHOLE)]


class AssetOptions(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What becomes of a file that turns into an asset."""

    collection_ids: CollectionIds | UnsetType = UNSET
    hide: bool | UnsetType = UNSET
    parent_id: str | UnsetType = UNSET


class NewUpload(msgspec.Struct, frozen=True, rename="camel"):
    """A file in parts (`fileName`, `fileSize` in bytes, `kind`, `parts`) or one to fetch (`url`, `kind`).

    `sha256`, which the hosted service does not know, is compared with what arrived.
    """

    kind: UploadKind | UnsetType = UNSET
    file_name: Name | UnsetType = UNSET
    file_size: Count | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    parts: Annotated[float, Meta(ge=1, le=MOST_PARTS, extra_json_schema=WHOLE)] | UnsetType = UNSET
    url: Annotated[str, Meta(max_length=MOST_URL)] | UnsetType = UNSET
    sha256: Sha256 | UnsetType = UNSET
    asset_options: AssetOptions | UnsetType = UNSET
    civitai_model_url: str | UnsetType = UNSET
    hugging_face_model_name: str | UnsetType = UNSET


class UploadPart(msgspec.Struct, frozen=True, rename="camel"):
    """Where to PUT a part, until `expires`. `size` and `sha256` are of what is there already.

    Of a part that a store got without us it tells the `etag` instead, which many stores make from the MD5.
    """

    number: int
    url: str
    expires: str
    size: int | UnsetType = UNSET
    sha256: str | UnsetType = UNSET
    etag: str | UnsetType = UNSET


class Upload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An upload as it is sent: with `parts` while it is pending, with `entity_id` once it is an asset or a model."""

    id: str
    owner_id: str
    author_id: str
    kind: UploadKind
    source: Literal["multipart", "url"]
    status: UploadStatus
    file_name: str
    original_file_name: str
    created_at: str
    updated_at: str
    content_type: str | UnsetType = UNSET
    file_size: int | UnsetType = UNSET
    parts_count: int | UnsetType = UNSET
    parts: list[UploadPart] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    asset_options: AssetOptions | UnsetType = UNSET
    entity_id: str | UnsetType = UNSET
    error_message: str | UnsetType = UNSET


class FoundUpload(msgspec.Struct, frozen=True):
    """An upload as stored; `number` is 0 until it is."""

    number: int
    id: str
    author_id: str
    kind: UploadKind
    source: Literal["multipart", "url"]
    status: UploadStatus
    file_name: str
    content_type: str | None
    file_size: int | None
    parts_count: int | None
    sha256: str | None
    url: str | None
    options: AssetOptions
    created_at: str
    updated_at: str
    entity_id: str | None = None
    error_message: str | None = None


class StoredPart(msgspec.Struct, frozen=True):
    """A part that is there; `size` in bytes. Of one that a store got without us the hash is empty, but not `etag`."""

    number: int
    size: int
    sha256: str
    etag: str = ""
