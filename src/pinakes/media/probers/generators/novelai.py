"""NovelAI: JSON in the text `Comment`, the model and its hash in `Source`; since version 4 characters apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from pinakes.asset_types import Generation, Ingredient
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

NAME = "NovelAI"
_SOURCE = re.compile(r"(.{1,200}?)\s+([0-9A-F]{8,64})")


def read(texts: Mapping[str, str]) -> Generation | None:
    text = texts.get("comment", "")
    is_signed = values.label(texts.get("software")) == NAME
    if not (is_signed or '"uc"' in text):
        return None
    said = values.loads(text)
    if not is_signed and not {"uc", "scale", "sampler", "seed"} <= said.keys():
        return None
    return Generation(
        generator=NAME,
        prompt=_prompt(said, "v4_prompt", values.first(said.get("prompt"), texts.get("description"))),
        negative_prompt=_prompt(said, "v4_negative_prompt", said.get("uc")),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.real(said.get("scale")),
        scheduler=values.word(said.get("sampler"), said.get("noise_schedule")),
        strength=values.real(said.get("strength")),
        target_width=values.whole(said.get("width")),
        target_height=values.whole(said.get("height")),
        ingredients=values.gathered(_ingredients(texts.get("source", ""))),
    )


def _prompt(said: Json, name: str, otherwise: Any) -> str | UnsetType:
    """The caption of all, then a line for each character."""
    caption = values.obj(values.obj(said.get(name)).get("caption"))
    characters = (values.obj(one).get("char_caption") for one in values.items(caption.get("char_captions")))
    lines = map(values.text, [values.first(caption.get("base_caption"), otherwise), *characters])
    return values.text("\n".join(line for line in lines if line is not UNSET))


def _ingredients(source: str) -> Iterator[Ingredient]:
    name = values.label(source)
    match = _SOURCE.fullmatch(name)
    yield ingredient("checkpoint", match[1], match[2]) if match else ingredient("checkpoint", name)
