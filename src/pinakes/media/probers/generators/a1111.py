"""AUTOMATIC1111's web UI and all that write as it does: Forge, SD.Next, Civitai, ComfyUI's and Fooocus' copies of it.

The prompt, a line that starts with `Negative prompt:`, and a last line `Steps: 20, Sampler: Euler a, …`; values with
commas or colons are quoted as JSON (`modules/infotext_utils.py` there).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from pinakes.asset_types import Generation, Ingredient, Role
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

_MAX_SETTINGS = 500
_MAX_LINE = 256 << 10
_LINES_TO_SEARCH = 50  # extensions write theirs (`Template: …`) below the settings
_SETTINGS = re.compile(r"(?:^|,)\s*Steps:\s*\d", re.IGNORECASE)
_KEY = re.compile(r"\s*([A-Za-z][\w \-/]{0,60}):[ \t]*")
_KNOWN = {"steps", "sampler", "cfg scale", "seed", "size", "model", "model hash", "guidance scale"}
_ENOUGH = 3
_NEGATIVE = "Negative prompt:"
_LORA = re.compile(r"<(?:lora|lyco|lycoris):([^:<>]{1,255})(?::([^:<>]{1,30}))?[^<>]{0,60}>", re.IGNORECASE)
_NAME_AND_HASH = re.compile(r"(.{1,255}?)\s*[\[(]([0-9A-Fa-f]{6,64})[\])]")
_VAE = re.compile(r"vae|(?:^|[^a-z])ae$", re.IGNORECASE)
_KINDS: dict[str, Role] = {"lora": "lora", "lyco": "lora", "embed": "embedding", "vae": "vae", "model": "checkpoint"}
_CIVITAI_KINDS: dict[str, Role] = {
    "checkpoint": "checkpoint",
    "model": "checkpoint",
    "lora": "lora",
    "lycoris": "lora",
    "locon": "lora",
    "dora": "lora",
    "textualinversion": "embedding",
    "embed": "embedding",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscaler": "upscaler",
}


def read(texts: Mapping[str, str]) -> Generation | None:
    return of_infotext(texts.get("parameters", ""))


def of_infotext(text: str) -> Generation | None:
    lines = text.replace("\r\n", "\n").rsplit("\n", _LINES_TO_SEARCH)
    at = next((at for at in reversed(range(len(lines))) if _SETTINGS.search(lines[at][:_MAX_LINE])), None)
    if at is None:
        return None
    said = settings(lines[at][:_MAX_LINE])
    if len(said.keys() & _KNOWN) < _ENOUGH:
        return None
    prompt, _, negative = ("\n" + "\n".join(lines[:at])).partition("\n" + _NEGATIVE)
    width, height = _size(said)
    return Generation(
        generator=_generator(said),
        # Fooocus has what was typed here, and above what its styles made of it.
        prompt=values.first(values.text(said.get("raw prompt")), values.text(prompt)),
        negative_prompt=values.first(values.text(said.get("raw negative prompt")), values.text(negative)),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.first(values.real(said.get("distilled cfg scale")), values.real(said.get("cfg scale"))),
        scheduler=_scheduler(said),
        strength=values.first(values.real(said.get("denoising strength")), values.real(said.get("strength"))),
        clip_skip=values.whole(said.get("clip skip")),
        target_width=width,
        target_height=height,
        ingredients=values.gathered(_ingredients(said, f"{prompt}\n{negative}"[: 2 * values.MAX_TEXT])),
    )


def settings(line: str) -> Json:
    """`Key: value, …` by lower-case key; a value is text, or JSON where it is written so. The first of a key counts."""
    found: Json = {}
    at = 0
    for _ in range(_MAX_SETTINGS):
        if match := _KEY.match(line, at):
            value, at = _value(line, match.end())
            found.setdefault(match[1].strip().lower(), value)
        comma = line.find(",", at)
        if comma < 0:
            break
        at = comma + 1
    return found


def _value(line: str, at: int) -> tuple[Any, int]:
    if line[at : at + 1] in ('"', "{", "["):
        try:
            return json.JSONDecoder(parse_constant=lambda _: None).raw_decode(line, at)
        except (ValueError, RecursionError):
            pass  # it merely starts like JSON
    until = line.find(",", at)
    value = line[at:] if until < 0 else line[at:until]
    return value.strip(), at + len(value)


def _generator(said: Json) -> str:
    version = f"{said.get('app', '')} {said.get('version', '')}".strip().lower()
    for start, name in (("sd.next", "SD.Next"), ("comfy", "ComfyUI"), ("fooocus", "Fooocus")):
        if version.startswith(start):
            return name
    if re.match(r"f\d|neo|forge", version):
        return "Forge"
    return "Civitai" if not version and "civitai resources" in said else "AUTOMATIC1111"


def _scheduler(said: Json) -> str | UnsetType:
    schedule = said.get("schedule type") or said.get("scheduler")
    sampler = said.get("sampler")
    is_told = values.label(schedule).lower() in ("", "automatic", values.label(sampler).lower().split(" ")[-1])
    return values.word(sampler, "" if is_told else schedule)


def _size(said: Json) -> tuple[int | UnsetType, int | UnsetType]:
    """What was asked for in the end: the second pass, when there was one."""
    width, height = values.size(said.get("size"))
    larger = values.size(said.get("hires resize"))
    if larger[0] and larger[1]:
        return larger
    factor = values.real(said.get("hires upscale"))
    if width and height and factor and 1 <= factor <= 16:
        return int(width * factor), int(height * factor)
    return width, height


def _ingredients(said: Json, prompts: str) -> Iterator[Ingredient]:
    hashes = [_from_hashes(kind, hash) for kind, hash in list(values.obj(said.get("hashes")).items())[:1000]]
    unnamed = {one.role: one.hash for one in hashes if one and not one.name}
    yield _first_hash(ingredient("checkpoint", said.get("model"), said.get("model hash")), unnamed)
    yield _first_hash(ingredient("vae", said.get("vae"), said.get("vae hash")), unnamed)
    yield from _pairs("lora", said.get("lora hashes"), said.get("lora weights"))
    yield from _pairs("embedding", said.get("ti hashes"))
    yield from (one for one in hashes if one and one.name)
    yield from (ingredient("lora", name, "", weight or 1) for name, weight in _LORA.findall(prompts))
    yield from _from_other_settings(said)
    yield from map(_from_civitai, values.items(said.get("civitai resources")))


def _first_hash(one: Ingredient, hashes: dict[Role, str]) -> Ingredient:
    return replace(one, hash=one.hash or hashes.get(one.role, ""))


def _from_hashes(kind: str, hash: object) -> Ingredient | None:
    """`"lora:name": "hash"`; the checkpoint and the VAE are without a name there."""
    kind, _, name = kind.partition(":")
    role = _KINDS.get(kind.strip().lower())
    return ingredient(role, name, hash) if role else None


def _pairs(role: Role, hashes: object, weights: object = "") -> Iterator[Ingredient]:
    """`name: hash, name: hash`, and weights in the same way."""
    weighs = dict(_split(weights))
    for name, hash in _split(hashes):
        yield ingredient(role, name, hash, weighs.get(name, UNSET))


def _split(pairs: object) -> list[tuple[str, str]]:
    listed = pairs.split(",", values.MAX_INGREDIENTS)[: values.MAX_INGREDIENTS] if isinstance(pairs, str) else []
    return [(name.strip(), value.strip()) for name, colon, value in (pair.rpartition(":") for pair in listed) if colon]


def _from_other_settings(said: Json) -> Iterator[Ingredient]:
    for key, value in said.items():
        if key in ("refiner", "hires checkpoint") and value != "Use same checkpoint":
            yield ingredient("checkpoint", *_name_and_hash(value))
        elif key == "hires upscaler" and not values.label(value).lower().startswith("latent"):
            yield ingredient("upscaler", value)
        elif re.fullmatch(r"module \d+", key) and _VAE.search(values.model_name(value)):
            yield ingredient("vae", value)
        elif re.fullmatch(r"controlnet \d+", key) and isinstance(value, str):
            unit = settings(value[:_MAX_LINE])
            yield ingredient("controlnet", *_name_and_hash(unit.get("model")), unit.get("weight"))


def _name_and_hash(value: object) -> tuple[str, str]:
    """`name [hash]`."""
    name = values.label(value)
    match = _NAME_AND_HASH.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


def _from_civitai(resource: object) -> Ingredient:
    """The names are those of the site, not of files. An ingredient without name is not counted."""
    said = values.obj(resource)
    role = _CIVITAI_KINDS.get(values.label(said.get("type")).lower())
    name = said.get("modelName") if role else ""
    return ingredient(role or "checkpoint", name, said.get("hash") if role else "", said.get("weight"))
