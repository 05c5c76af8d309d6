"""Models as they are stored and sent, in the hosted service's words. Source: the types of `scenario-sdk` 2.4.0."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pinakes.asset_types import Asset, Thumbnail
from pinakes.model_hashes import ModelHashes

ModelType = Literal[
    "custom",
    "elevenlabs-voice",
    "flux.1",
    "flux.1-composition",
    "flux.1-kontext-dev",
    "flux.1-kontext-lora",
    "flux.1-krea-dev",
    "flux.1-krea-lora",
    "flux.1-lora",
    "flux.1-pro",
    "flux.1.1-pro-ultra",
    "flux.2-dev-edit-lora",
    "flux.2-dev-lora",
    "flux.2-klein-4b-edit-lora",
    "flux.2-klein-4b-lora",
    "flux.2-klein-9b-edit-lora",
    "flux.2-klein-9b-lora",
    "flux.2-klein-base-4b-edit-lora",
    "flux.2-klein-base-4b-lora",
    "flux.2-klein-base-9b-edit-lora",
    "flux.2-klein-base-9b-lora",
    "flux1.1-pro",
    "gpt-image-1",
    "qwen-image-2512-lora",
    "qwen-image-edit-2509-lora",
    "qwen-image-edit-2511-lora",
    "qwen-image-edit-lora",
    "qwen-image-lora",
    "zimage-de-turbo-lora",
    "zimage-lora",
    "zimage-turbo-lora",
]
ModelStatus = Literal["copying", "failed", "new", "trained", "training", "training-canceled"]
LrScheduler = Literal["constant", "constant-with-warmup", "cosine", "cosine-with-restarts", "linear", "polynomial"]


class TrainingParameters(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How a model was trained, kept as the client said it."""

    age: str | UnsetType = UNSET
    batch_size: float | UnsetType = UNSET
    class_prompt: str | UnsetType = UNSET
    clone_type: str | UnsetType = UNSET
    concept_prompt: str | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    learning_rate: float | UnsetType = UNSET
    learning_rate_text_encoder: float | UnsetType = UNSET
    learning_rate_unet: float | UnsetType = UNSET
    lr_scheduler: LrScheduler | UnsetType = UNSET
    max_train_steps: float | UnsetType = UNSET
    nb_epochs: float | UnsetType = UNSET
    nb_repeats: float | UnsetType = UNSET
    num_text_train_steps: float | UnsetType = UNSET
    num_u_net_train_steps: float | UnsetType = UNSET
    optimize_for: Literal["likeness"] | UnsetType = UNSET
    prior_loss_weight: float | UnsetType = UNSET
    random_crop: bool | UnsetType = UNSET
    random_crop_ratio: float | UnsetType = UNSET
    random_crop_scale: float | UnsetType = UNSET
    rank: float | UnsetType = UNSET
    remove_background_noise: bool | UnsetType = UNSET
    sample_prompts: list[str] | UnsetType = UNSET
    sample_source_images: list[str] | UnsetType = UNSET
    scale_lr: bool | UnsetType = UNSET
    seed: float | UnsetType = UNSET
    text_encoder_training_ratio: float | UnsetType = UNSET
    validation_frequency: float | UnsetType = UNSET
    validation_prompt: str | UnsetType = UNSET
    voice_description: str | UnsetType = UNSET


FileRole = Literal["checkpoint", "controlnet", "embedding", "llm", "lora", "text-encoder", "unknown", "upscaler", "vae"]
"""What a model file is for. A `lora` is any network on top of a model: LyCORIS and DoRA too."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the header of a model file says, and what the names and shapes of its tensors tell.

    `architecture` is the file's own word for it, `family` ours for what its tensors fit, and `type` the hosted
    service's, `custom` when unsure. `base_model` and `base_model_hash` are what it was trained on, `tensors_hash` is
    what its trainer said of its tensors, in hex. `network` is how a LoRA is built (lora, dora, loha, lokr, oft).
    `parameters` hold `rank` and what else the hosted service has a name for; `trained_steps`, `epoch`, `resolution` and
    `optimizer` are about the training too. `trigger_words` come with the surest first, `training_tags` with how many
    captions had them, most first. `dtype` is what most of the numbers are stored as, `quantization` GGUF's word for the
    whole file.
    """

    format: str
    role: FileRole = "unknown"
    type: ModelType = "custom"
    name: str | UnsetType = UNSET
    architecture: str | UnsetType = UNSET
    family: str | UnsetType = UNSET
    base_model: str | UnsetType = UNSET
    base_model_hash: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    network_alpha: float | UnsetType = UNSET
    parameters: TrainingParameters | UnsetType = UNSET
    trained_steps: int | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    optimizer: str | UnsetType = UNSET
    training_images_number: int | UnsetType = UNSET
    trigger_words: list[str] = []
    training_tags: dict[str, int] = {}
    author: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    license: str | UnsetType = UNSET
    usage_hint: str | UnsetType = UNSET
    tags: list[str] = []
    tensors_hash: str | UnsetType = UNSET
    tensor_count: int = 0
    parameter_count: int = 0
    dtype: str | UnsetType = UNSET
    quantization: str | UnsetType = UNSET


class ModelFile(ModelHashes, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A model's file: its name as it was sent, its size in bytes, and the hashes that others know it by."""

    file_name: str
    size: int
    format: str = ""


class Concept(msgspec.Struct, frozen=True, rename="camel"):
    """A LoRA in a composition, and its weight."""

    model_id: str
    scale: float
    model_epoch: str | UnsetType = UNSET


class ModelSettings(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client may say about a model beyond its names; kept and sent back as it is. A null is never kept."""

    concepts: list[Concept] | UnsetType = UNSET
    epoch: str | UnsetType | None = UNSET
    negative_prompt_embedding: str | UnsetType = UNSET
    parameters: TrainingParameters | UnsetType = UNSET
    prompt_embedding: str | UnsetType = UNSET


class MinimalModel(msgspec.Struct, frozen=True):
    """The base details of a model."""

    id: str
    type: ModelType
    privacy: str
    name: str | UnsetType = UNSET


class MLModel(MinimalModel, frozen=True, kw_only=True, rename="camel"):
    """A model as it is sent. `file` and `facts`, which the hosted service does not know, are of one with a file."""

    owner_id: str
    author_id: str
    status: ModelStatus
    custom: bool
    source: Literal["civitai", "huggingface", "other", "scenario"]
    capabilities: list[str]
    tags: list[str]
    collection_ids: list[str]
    example_asset_ids: list[str]
    training_images_number: int
    created_at: str
    updated_at: str
    short_description: str | UnsetType = UNSET
    thumbnail: Thumbnail | UnsetType = UNSET
    parent_model_id: str | UnsetType = UNSET
    concepts: list[Concept] | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    negative_prompt_embedding: str | UnsetType = UNSET
    parameters: TrainingParameters | UnsetType = UNSET
    prompt_embedding: str | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET
    file: ModelFile | UnsetType = UNSET
    facts: ModelFacts | UnsetType = UNSET


class Description(msgspec.Struct, frozen=True):
    """Markdown, and the library's assets and models that it mentions by id."""

    value: str
    assets: list[Asset]
    models: list[MLModel]


class Example(msgspec.Struct, frozen=True, rename="camel"):
    """An asset that shows what a model can do."""

    asset: Asset
    model_id: str


class FoundModel(msgspec.Struct, frozen=True):
    """A model as stored; `number` is 0 until it is, `thumbnail_asset_id` None while that asset is in the trash."""

    number: int
    id: str
    name: str | None
    type: ModelType
    status: ModelStatus
    short_description: str | None
    description: str
    privacy: str
    parent_id: str | None
    author_id: str
    settings: ModelSettings
    created_at: str
    updated_at: str
    deleted_at: str | None = None
    thumbnail_asset_id: str | None = None
    tags: list[str] = []
    collection_ids: list[str] = []
    example_asset_ids: list[str] = []
    file: ModelFile | None = None
    facts: ModelFacts | None = None
