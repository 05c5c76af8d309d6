"""Assets as they are stored and sent, in the hosted service's words. Source: the types of `scenario-sdk` 2.4.0."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Kind = Literal["3d", "audio", "document", "image", "image-hdr", "json", "text", "video"]
AssetStatus = Literal["error", "pending", "success"]
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


Role = Literal["checkpoint", "lora", "embedding", "vae", "controlnet", "upscaler"]
"""What a model did in the making of an asset."""


class Ingredient(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A model that a file says it was made with, as the file puts it: `hash` in lower-case hex, of whatever length."""

    role: Role
    name: str = ""
    hash: str = ""
    weight: float | UnsetType = UNSET


class Generation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a file says it was made. `generator` is the program that wrote it, `scheduler` its sampler."""

    generator: str
    prompt: str | UnsetType = UNSET
    negative_prompt: str | UnsetType = UNSET
    seed: str | UnsetType = UNSET
    num_inference_steps: int | UnsetType = UNSET
    guidance: float | UnsetType = UNSET
    scheduler: str | UnsetType = UNSET
    strength: float | UnsetType = UNSET
    clip_skip: int | UnsetType = UNSET
    target_width: int | UnsetType = UNSET
    target_height: int | UnsetType = UNSET
    ingredients: list[Ingredient] = []


class UsedModel(msgspec.Struct, frozen=True, rename="camel"):
    """A model of the library that an asset was made with, and how strongly."""

    model_id: str
    scale: float


class Link(msgspec.Struct, frozen=True, array_like=True):
    """A model of the library that an asset says it was made with, in the trash or not.

    `role`, `position` and `sure` as in `pinakes.ingredients.Use`; `number` is the model's.
    """

    model_id: str
    number: int
    role: str
    weight: float | None
    position: int
    sure: int
    is_live: bool


class AssetMetadata(Generation, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How the asset was made. `model_id` is its checkpoint, `concepts` are the LoRAs that the library has."""

    kind: Kind
    type: str
    name: str
    size: int
    generator: str | UnsetType = UNSET  # type: ignore[assignment]  # most assets do not say
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    parent_id: str | UnsetType = UNSET
    root_parent_id: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    concepts: list[UsedModel] | UnsetType = UNSET
    copied_at: str | UnsetType = UNSET


class Facts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What looking into the bytes found.

    `duration` is seconds, `bitrate` bits a second, `frame_rate` frames a second, `sample_rate` Hz. `dimensions` are the
    sides of a mesh's bounding box (x, y, z) in its own unit. `preview` is the start of a text, whole with
    `has_full_preview`; `char_count` counts code points.
    """

    duration: float | UnsetType = UNSET
    codec_name: str | UnsetType = UNSET
    audio_codec_name: str | UnsetType = UNSET
    bitrate: int | UnsetType = UNSET
    frame_rate: float | UnsetType = UNSET
    sample_rate: int | UnsetType = UNSET
    channels: int | UnsetType = UNSET
    face_count: int | UnsetType = UNSET
    vertex_count: int | UnsetType = UNSET
    material_count: int | UnsetType = UNSET
    dimensions: list[float] | UnsetType = UNSET
    has_normals: bool | UnsetType = UNSET
    has_uvs: bool | UnsetType = msgspec.field(default=UNSET, name="hasUVs")
    has_skeleton: bool | UnsetType = UNSET
    has_animations: bool | UnsetType = UNSET
    bone_count: int | UnsetType = UNSET
    animation_frame_count: int | UnsetType = UNSET
    page_count: int | UnsetType = UNSET
    char_count: int | UnsetType = UNSET
    word_count: int | UnsetType = UNSET
    preview: str | UnsetType = UNSET
    has_full_preview: bool | UnsetType = UNSET


NO_FACTS = Facts()


class AssetProperties(Facts, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the bytes are: `size` in bytes, sides in pixels as displayed, `nb_frames` above 1 for what moves."""

    size: int
    format: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    nb_frames: int | UnsetType = UNSET


class Asset(msgspec.Struct, frozen=True, rename="camel"):
    """An asset as it is sent. `url`, the thumbnail and the preview (what moves, short) are signed links that expire.

    `status` is `pending` until somebody has looked into the bytes, and `error`, with `error_message`, when they turned
    out to be damaged.
    """

    id: str
    name: str
    owner_id: str
    author_id: str
    kind: Kind
    mime_type: str
    status: AssetStatus
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
    preview: Thumbnail | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET


class Bytes(msgspec.Struct, frozen=True):
    """What was learnt of an upload's bytes, which are stored by now.

    `is_probed` False: nobody has looked into them yet, and their asset is pending until somebody has.
    """

    sha256: str
    size: int
    kind: Kind
    mime_type: str
    format: str | None
    width: int | None
    height: int | None
    frames: int
    has_thumbnail: bool = False
    has_preview: bool = False
    facts: Facts = NO_FACTS
    generation: Generation | None = None
    look: int | None = None
    is_probed: bool = True


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
    status: AssetStatus = "success"
    error_message: str | None = None
    deleted_at: str | None = None
    tags: list[str] = []
    collection_ids: list[str] = []
    links: list[Link] = []
