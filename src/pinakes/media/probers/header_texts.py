"""Texts of a model file's header, taken as what they promise to be. Imported in a child process only.

A text that is not is as good as none: it was written for people, and the model works without it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pinakes.text import MAX_DESCRIPTION, MAX_TAG

Metadata = Mapping[str, str]
T = TypeVar("T")

_SILENT = {"", "none", "null", "n/a", "[]", "{}"}
_PLACEHOLDER = re.compile(r"(LoRA|Checkpoint|TextualInversion|Hunyuan-Video)@[\d.]+")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


def text(metadata: Metadata, most: int, *keys: str) -> str | UnsetType:
    """The first of these texts that says something, cut to so many characters."""
    for key in keys:
        value = _clean(metadata.get(key, "")[:most]).strip()
        if value.lower() not in _SILENT and not _PLACEHOLDER.fullmatch(value):
            return value
    return UNSET


def _clean(value: str) -> str:
    """Without U+0000, and without halves of characters, which JSON can say and nothing else can hold."""
    return value.encode(errors="replace").decode().replace("\0", "")


def number(metadata: Metadata, *keys: str) -> float | UnsetType:
    """The first of these that is a number. kohya writes lists when there are several text encoders: its first then."""
    for key in keys:
        try:
            value = float(metadata.get(key, "")[:64].strip("[]() ").partition(",")[0])
        except ValueError:
            continue
        if abs(value) < 1e15:  # neither infinite nor no number
            return value
    return UNSET


def whole(*values: float | UnsetType) -> int | UnsetType:
    """The first of these that is known, without its fraction."""
    return next((int(value) for value in values if value is not UNSET), UNSET)


def sha256(metadata: Metadata, *keys: str) -> str | UnsetType:
    """The first of these that is a sha256, in lower-case hex."""
    matches = (_HEX.fullmatch(metadata.get(key, "").strip()[:80]) for key in keys)
    return next((match[1].lower() for match in matches if match), UNSET)


def json(metadata: Metadata, key: str, type: type[T]) -> T | None:
    """JSON in a text; None when there is none or it is of another shape."""
    try:
        return msgspec.json.decode(metadata.get(key, ""), type=type)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def split(metadata: Metadata, most: int, *keys: str) -> list[str]:
    """Words with commas between them, from all of these keys."""
    values = (metadata.get(key, "")[:MAX_DESCRIPTION] for key in keys)
    return words((word for value in values for word in value.split(",")), most)


def words(raw: Iterable[str], most: int) -> list[str]:
    """The first so many, each once, without those that say nothing or are too long for a tag."""
    clean = (" ".join(_clean(word).split()) for word in raw)
    return list(dict.fromkeys(word for word in clean if word.lower() not in _SILENT and len(word) <= MAX_TAG))[:most]
