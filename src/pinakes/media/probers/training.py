"""What the texts in a model file's header say, as facts. Imported in a child process only.

Sources: the `ss_…` keys of kohya-ss/sd-scripts (train_network.py, train_util.py), which other trainers write too; the
`modelspec.…` keys of Stability AI's ModelSpec (https://github.com/Stability-AI/ModelSpec, version 1.0.1); the `ssmd_…`
keys that kohya-ss/sd-webui-additional-networks lets people write (scripts/metadata_editor.py); `general.…` of GGUF.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, cast, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes.media.probers import header_texts as texts
from pinakes.media.probers.header_texts import Metadata
from pinakes.model_types import LrScheduler, TrainingParameters
from pinakes.text import MAX_DESCRIPTION, MAX_NAME

MOST_TAGS = 100
MOST_TRIGGERS = 20
NEARLY_ALL = 0.95
"""Of the images of a folder: a tag of so many is taken as one that calls the subject up."""

_FOLDER = re.compile(r"\d+_(.+)")
_Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_TagCounts = dict[str, dict[str, _Count]]


class _Folder(msgspec.Struct, frozen=True):
    """A folder of training images."""

    img_count: _Count = 0


class _Info(msgspec.Struct, frozen=True):
    """ai-toolkit's `training_info`."""

    step: _Count | UnsetType = UNSET
    epoch: _Count | UnsetType = UNSET


class _Dataset(msgspec.Struct, frozen=True):
    """kohya's `ss_datasets`."""

    batch_size_per_device: _Count | UnsetType = UNSET
    resolution: list[_Count] | UnsetType = UNSET


def facts(metadata: Metadata) -> dict[str, Any]:
    """Fields of `ModelFacts`, all but those that tensors tell, without those that are not known."""
    info = texts.json(metadata, "training_info", _Info) or _Info()
    found = {
        "name": texts.text(
            metadata, MAX_NAME, "ssmd_display_name", "modelspec.title", "ss_output_name", "general.name", "name"
        ),
        "architecture": architecture(metadata),
        "base_model": texts.text(metadata, MAX_NAME, "ss_sd_model_name", "general.base_model.0.name"),
        "base_model_hash": texts.sha256(metadata, "ss_new_sd_model_hash"),
        "tensors_hash": texts.sha256(metadata, "sshs_model_hash", "modelspec.hash_sha256"),
        "network_alpha": texts.number(metadata, "ss_network_alpha", "adapter.lora.alpha"),
        "trained_steps": texts.whole(texts.number(metadata, "ss_steps"), info.step),
        "epoch": texts.text(metadata, 32, "ss_epoch") or (UNSET if info.epoch is UNSET else str(info.epoch)),
        "resolution": _resolution(metadata),
        "optimizer": texts.text(metadata, MAX_NAME, "ss_optimizer"),
        "training_images_number": _images(metadata),
        "trigger_words": _triggers(metadata),
        "training_tags": _training_tags(metadata),
        "author": texts.text(
            metadata, MAX_NAME, "modelspec.author", "ssmd_author", "general.author", "general.organization"
        ),
        "description": texts.text(
            metadata, MAX_DESCRIPTION, "modelspec.description", "ssmd_description", "general.description"
        ),
        "license": texts.text(metadata, MAX_DESCRIPTION, "modelspec.license", "general.license"),
        "usage_hint": texts.text(metadata, MAX_DESCRIPTION, "modelspec.usage_hint"),
        "tags": texts.split(metadata, MOST_TAGS, "modelspec.tags", "ssmd_tags", "general.tags"),
    }
    return {name: value for name, value in found.items() if value is not UNSET}


def architecture(metadata: Metadata) -> str | UnsetType:
    """The file's own word for what it is, without what it says of the file's role."""
    said = texts.text(metadata, MAX_NAME, "modelspec.architecture", "ss_base_model_version", "general.architecture")
    return said if said is UNSET else said.partition("/")[0]


def parameters(metadata: Metadata, rank: int | None) -> TrainingParameters | UnsetType:
    """How it was trained, in the hosted service's words. `rank` by the tensors wins: they may have been resized."""
    scheduler = texts.text(metadata, 64, "ss_lr_scheduler")
    scheduler = UNSET if scheduler is UNSET else scheduler.replace("_", "-")
    sets = texts.json(metadata, "ss_datasets", list[_Dataset]) or []
    found = TrainingParameters(
        batch_size=next(
            (item.batch_size_per_device for item in sets), texts.number(metadata, "ss_batch_size_per_device")
        ),
        learning_rate=texts.number(metadata, "ss_learning_rate"),
        learning_rate_text_encoder=texts.number(metadata, "ss_text_encoder_lr"),
        learning_rate_unet=texts.number(metadata, "ss_unet_lr"),
        lr_scheduler=cast(LrScheduler, scheduler) if scheduler in get_args(LrScheduler) else UNSET,
        max_train_steps=texts.number(metadata, "ss_max_train_steps"),
        nb_epochs=texts.number(metadata, "ss_num_epochs"),
        rank=texts.number(metadata, "ss_network_dim") if rank is None else float(rank),
        seed=texts.number(metadata, "ss_seed"),
    )
    return UNSET if found == TrainingParameters() else found


def _resolution(metadata: Metadata) -> str | UnsetType:
    """`width x height`, as ModelSpec has it; kohya writes `(512, 512)`, `512,512` or one number."""
    sets = texts.json(metadata, "ss_datasets", list[_Dataset]) or []
    text = next((str(item.resolution) for item in sets if item.resolution), texts.text(metadata, 64, "ss_resolution"))
    sides = re.findall(r"\d{1,6}", "" if text is UNSET else text)[:2]
    if not sides:
        sides = re.findall(r"\d{1,6}", metadata.get("modelspec.resolution", "")[:64])[:2]
    return f"{sides[0]}x{sides[-1]}" if sides else UNSET


def _folders(metadata: Metadata) -> dict[str, _Folder]:
    return texts.json(metadata, "ss_dataset_dirs", dict[str, _Folder]) or {}


def _images(metadata: Metadata) -> int | UnsetType:
    """Without repeats, where it is known; `ss_num_train_images` has them."""
    images = sum(folder.img_count for folder in _folders(metadata).values())
    return images if images > 0 else texts.whole(texts.number(metadata, "ss_num_train_images"))


def _tags(metadata: Metadata) -> dict[str, dict[str, int]]:
    """How many captions of each folder have a tag. Pictures of what the model should not learn (`reg`) do not count."""
    others = texts.json(metadata, "ss_reg_dataset_dirs", dict[str, _Folder]) or {}
    found = texts.json(metadata, "ss_tag_frequency", _TagCounts) or {}
    return {folder: tags for folder, tags in found.items() if folder not in others}


def _training_tags(metadata: Metadata) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tags in _tags(metadata).values():
        for tag, count in tags.items():
            counts[tag.strip()] = counts.get(tag.strip(), 0) + count
    best = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return {tag: counts[tag] for tag in texts.words(best[: 2 * MOST_TAGS], MOST_TAGS) if tag in counts}


def _triggers(metadata: Metadata) -> list[str]:
    """What the file calls so, then what its folders of images are called, then tags of nearly all images in one."""
    said = texts.split(metadata, MOST_TRIGGERS, "modelspec.trigger_phrase", "ssmd_keywords", "ss_trigger_words")
    return texts.words([*said, *_folder_names(metadata), *_tags_of_nearly_all(metadata)], MOST_TRIGGERS)


def _folder_names(metadata: Metadata) -> Iterator[str]:
    """kohya's `10_sks dog`: ten times, what it shows."""
    for folder in dict.fromkeys([*_folders(metadata), *_tags(metadata)]):
        if match := _FOLDER.fullmatch(folder):
            yield match[1]


def _tags_of_nearly_all(metadata: Metadata) -> Iterator[str]:
    folders = _folders(metadata)
    for folder, tags in _tags(metadata).items():
        images = folders[folder].img_count if folder in folders else 0
        common = (tag for tag, count in tags.items() if images > 0 and count >= NEARLY_ALL * images)
        yield from sorted(common, key=lambda tag: (-tags[tag], tag))[:MOST_TRIGGERS]
