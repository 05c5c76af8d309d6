"""SwarmUI: JSON in `parameters` or the EXIF user comment, the hashes of models beside it in `sui_models`."""

from collections.abc import Iterator, Mapping
from typing import Any

from pinakes.asset_types import Generation, Ingredient, Role
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

NAME = "SwarmUI"
_ROLES: dict[str, Role] = {
    "model": "checkpoint",
    "refinermodel": "checkpoint",
    "vae": "vae",
    "controlnetmodel": "controlnet",
}


def read(texts: Mapping[str, str]) -> Generation | None:
    for name in ("parameters", "usercomment", "comment"):
        text = texts.get(name, "")
        if '"sui_image_params"' in text and (all := values.loads(text)):
            return _generation(values.obj(all.get("sui_image_params")), values.items(all.get("sui_models")))
    return None


def _generation(said: Json, models: list[Any]) -> Generation:
    return Generation(
        generator=NAME,
        prompt=values.text(said.get("prompt")),
        negative_prompt=values.text(said.get("negativeprompt")),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.first(values.real(said.get("fluxguidancescale")), values.real(said.get("cfgscale"))),
        scheduler=values.word(said.get("sampler"), said.get("scheduler")),
        strength=values.real(said.get("initimagecreativity")),
        target_width=values.whole(said.get("width")),
        target_height=values.whole(said.get("height")),
        ingredients=values.gathered([*_ingredients(said), *_hashed(models)]),
    )


def _ingredients(said: Json) -> Iterator[Ingredient]:
    for name, role in _ROLES.items():
        yield ingredient(role, said.get(name))
    weights = _listed(said.get("loraweights"))
    for at, name in enumerate(_listed(said.get("loras"))):
        yield ingredient("lora", name, "", weights[at] if at < len(weights) else 1)


def _listed(value: Any) -> list[Any]:
    return value.split(",", values.MAX_INGREDIENTS) if isinstance(value, str) else values.items(value)


def _hashed(models: list[Any]) -> Iterator[Ingredient]:
    for model in map(values.obj, models):
        name = values.label(model.get("param"))
        role: Role | None = "lora" if name == "loras" else _ROLES.get(name)
        if role:
            yield ingredient(role, model.get("name"), model.get("hash"))
