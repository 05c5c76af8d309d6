"""Assets as they are stored and sent, in the hosted service's words. Source: the types of `scenario-sdk` 2.4.0."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Kind = Literal["3d", "audio", "document", "image", "image-hdr", "json", "text", "video"]
THUMBNAIL_SIZES = (256, 512, 1024)
"""Pixels of the longer side of the thumbnails that every picture has."""

_WORDS = """
    3d-texture 3d-texture-albedo 3d-texture-metallic 3d-texture-mtl 3d-texture-normal 3d-texture-roughness 3d23d
    3d23d-texture audio2audio audio2txt audio2video background-removal canvas canvas-drawing canvas-export
    detection generative-fill image-prompt-editing img23d img2img img2splat img2txt img2video inference-controlnet
    inference-controlnet-img2img inference-controlnet-inpaint inference-controlnet-inpaint-ip-adapter
    inference-controlnet-ip-adapter inference-controlnet-reference inference-controlnet-texture inference-img2img
    inference-img2img-ip-adapter inference-img2img-texture inference-inpaint inference-inpaint-ip-adapter
    inference-reference inference-reference-texture inference-txt2img inference-txt2img-ip-adapter
    inference-txt2img-texture patch pixelization reframe restyle segment segmentation-image segmentation-mask
    skybox-3d skybox-base-360 skybox-hdri texture texture-albedo texture-ao texture-edge texture-height
    texture-metallic texture-normal texture-smoothness txt23d txt2audio txt2img txt2txt txt2video unknown uploaded
    uploaded-3d uploaded-audio uploaded-avatar uploaded-text uploaded-video upscale upscale-skybox upscale-texture
    upscale-video vectorization video23d video2audio video2img video2txt video2video voice-clone
"""

ASSET_TYPES = frozenset(_WORDS.split())
"""How an asset came to be."""

UPLOADED_AS: dict[Kind, str] = {
    "3d": "uploaded-3d",
    "audio": "uploaded-audio",
    "document": "uploaded",
    "image": "uploaded",
    "image-hdr": "uploaded",
    "json": "uploaded",
    "text": "uploaded-text",
    "video": "uploaded-video",
}
"""The type, and the source, of an uploaded file by its kind."""


class Thumbnail(msgspec.Struct, frozen=True, rename="camel"):
    """The asset that stands for something, and a link to its picture."""

    asset_id: str
    url: str


class AssetMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of how the asset was made."""

    kind: Kind
    type: str
    name: str
    size: int
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    parent_id: str | UnsetType = UNSET
    root_parent_id: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    copied_at: str | UnsetType = UNSET


class AssetProperties(msgspec.Struct, frozen=True, rename="camel"):
    """What the bytes are: `size` in bytes, sides in pixels as displayed, `nb_frames` above 1 for an animation."""

    size: int
    format: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    nb_frames: int | UnsetType = UNSET


class Asset(msgspec.Struct, frozen=True, rename="camel"):
    """An asset as it is sent. `url` and the thumbnails are signed links that expire."""

    id: str
    name: str
    owner_id: str
    author_id: str
    kind: Kind
    mime_type: str
    status: Literal["error", "pending", "success"]
    source: str
    privacy: str
    tags: list[str]
    collection_ids: list[str]
    edit_capabilities: list[str]
    created_at: str
    updated_at: str
    url: str
    metadata: AssetMetadata
    properties: AssetProperties
    is_hidden: bool
    description: str | UnsetType = UNSET
    thumbnail: Thumbnail | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET


class Bytes(msgspec.Struct, frozen=True):
    """What was learnt of an upload's bytes, which are stored by now."""

    sha256: str
    size: int
    kind: Kind
    mime_type: str
    format: str | None
    width: int | None
    height: int | None
    frames: int


class Located(msgspec.Struct, frozen=True):
    """An asset's bytes, as a link to them needs it."""

    sha256: str
    size: int
    mime_type: str
    name: str


class SkippedAsset(msgspec.Struct, frozen=True, rename="camel"):
    """Why an asset was not restored."""

    asset_id: str
    reason: Literal["not-found", "not-deleted", "expired"]


class RestoreReport(msgspec.Struct, frozen=True, rename="camel"):
    """Which assets are back, and which are not."""

    restored_asset_ids: list[str]
    skipped_assets: list[SkippedAsset]


class FoundAsset(msgspec.Struct, frozen=True):
    """An asset as stored; `number` is 0 until it is."""

    number: int
    id: str
    name: str
    description: str | None
    kind: Kind
    type: str
    bytes: Bytes
    is_hidden: bool
    privacy: str
    author_id: str
    parent_id: str | None
    root_id: str | None
    model_id: str | None
    copied_at: str | None
    created_at: str
    updated_at: str
    deleted_at: str | None = None
    tags: list[str] = []
    collection_ids: list[str] = []
