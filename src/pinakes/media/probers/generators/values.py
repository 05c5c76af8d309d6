"""Values out of texts that anyone may have written, made fit to be stored: what does not fit is left out."""

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from pinakes.asset_types import Ingredient, Role

Json = dict[str, Any]

MAX_TEXT = 64 << 10
MAX_NAME = 255
MAX_INGREDIENTS = 200
_MAX_CANDIDATES = 2_000
_MAX_NUMBER = 2**53  # what JavaScript can count to

_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?\s*", re.ASCII)
_SEED = re.compile(r"\s*\+?(\d{1,40})\s*", re.ASCII)
_SIZE = re.compile(r"[\s(\[]*(\d{1,6})\s*[x×,*]\s*(\d{1,6})\b", re.ASCII)
_HASH = re.compile(r"\s*(?:0x|[a-z0-9_]{1,20}:)?([0-9a-f]{6,128})\s*")
_EXTENSION = re.compile(r"\.(?:safetensors|sft|ckpt|pth?|bin|gguf|onnx)$", re.IGNORECASE)
_NOT_A_NAME = {"", "none", "default", "default (model)", "automatic", "baked vae", "undefined", "null"}


def loads(text: object) -> Json:
    """A JSON object, `{}` for all else. NaN and Infinity, which Python's and ComfyUI's JSON have, become None."""
    if not isinstance(text, str) or not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return {}
    try:
        value = json.loads(text.lstrip("\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return {}
    return obj(value)


def dumps(value: Json) -> str:
    """Its text; "" where it is nested too deeply to be anything."""
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def obj(value: object) -> Json:
    """It, if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """It, if it is an array, else an empty one; no longer than what could be of use."""
    return value[: MAX_INGREDIENTS * 2] if isinstance(value, list) else []


def text(value: object) -> str | UnsetType:
    """A prompt: valid Unicode without U+0000, at most 64 KiB as UTF-8, and UNSET when nothing is left."""
    if not isinstance(value, str):
        return UNSET
    valid = value[:MAX_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")
    return valid.strip().encode()[:MAX_TEXT].decode(errors="ignore") or UNSET


def label(value: object) -> str:
    """A short text on one line."""
    found = text(value[: MAX_NAME * 4]) if isinstance(value, str) else UNSET
    return " ".join(found.split())[:MAX_NAME] if found else ""


def word(*values: object) -> str | UnsetType:
    """Short texts put together, as of a sampler and its schedule."""
    return label(" ".join(filter(None, map(label, values)))) or UNSET


def real(value: object) -> float | UnsetType:
    if isinstance(value, str) and _NUMBER.fullmatch(value[:100]):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_NUMBER:
        return UNSET
    return float(value)


def whole(value: object) -> int | UnsetType:
    """A count: not negative."""
    number = real(value)
    return int(number) if number is not UNSET and 0 <= number < 2**31 else UNSET


def seed(value: object) -> str | UnsetType:
    """As a string, because seeds have up to 64 bits. What is below zero stands for a random one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**64:
        return str(int(value))
    match = _SEED.fullmatch(value[:100]) if isinstance(value, str) else None
    return match[1].lstrip("0") or "0" if match else UNSET


def size(value: object) -> tuple[int | UnsetType, int | UnsetType]:
    """`512x768`, `(512, 768)`, `512 x 768 (2:3)`."""
    match = _SIZE.match(value[:100]) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else (UNSET, UNSET)


def first(*values: Any) -> Any:
    """The first that is something."""
    return next((value for value in values if value not in (UNSET, None, "")), UNSET)


def model_name(value: object) -> str:
    """Without folders of either kind of slash and without a model file's extension; "" for what stands for no model."""
    name = _EXTENSION.sub("", re.split(r"[/\\]", value)[-1].strip()) if isinstance(value, str) else ""
    return "" if name.lower() in _NOT_A_NAME else label(name)


def model_hash(value: object) -> str:
    """Lower-case hex, without what some put before it (`sha256:`, `0x`)."""
    match = _HASH.fullmatch(value[:200].lower()) if isinstance(value, str) else None
    return match[1] if match else ""


def ingredient(role: Role, name: object, hash: object = "", weight: object = UNSET) -> Ingredient:
    return Ingredient(role, model_name(name), model_hash(hash), real(weight))


def gathered(ingredients: Iterable[Ingredient]) -> list[Ingredient]:
    """Each model once, in the order they came, with all that was said about it."""
    found: dict[tuple[str, str], Ingredient] = {}
    for one in islice(ingredients, _MAX_CANDIDATES):
        key = (one.role, (one.name or one.hash).lower())
        if not key[1] or len(found) >= MAX_INGREDIENTS:
            continue
        known = found.setdefault(key, one)
        weight = known.weight if known.weight is not UNSET else one.weight
        found[key] = replace(known, hash=known.hash or one.hash, weight=weight)
    return list(found.values())
