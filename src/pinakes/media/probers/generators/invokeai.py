"""InvokeAI in its three ages: `invokeai_metadata` (3 and later), `sd-metadata` (2) and the command line `Dream`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET

from pinakes.asset_types import Generation, Ingredient, Role
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

NAME = "InvokeAI"
_NEGATIVE = re.compile(r"(?<!\\)\[([^\[\]]{1,20000})\]")  # of a prompt before version 3
_DREAM = re.compile(r'\s*"(.*)"(.*)', re.DOTALL)
_OPTION = re.compile(r"(?:^|\s)-([sSWHCAf])\s*(\S{1,40})")
_MODELS: tuple[tuple[str, Role], ...] = (
    ("model", "checkpoint"),
    ("refiner_model", "checkpoint"),
    ("vae", "vae"),
    ("upscale_model", "upscaler"),
)


def read(texts: Mapping[str, str]) -> Generation | None:
    for name, of in (("invokeai_metadata", _of_metadata), ("sd-metadata", _of_sd_metadata)):
        if said := values.loads(texts.get(name)):
            return of(said)
    match = _DREAM.fullmatch(texts["dream"][: 2 * values.MAX_TEXT]) if "dream" in texts else None
    return _of_dream(match[1], dict(_OPTION.findall(match[2]))) if match else None


def _of_metadata(said: Json) -> Generation:
    return Generation(
        generator=NAME,
        prompt=values.text(said.get("positive_prompt")),
        negative_prompt=values.text(said.get("negative_prompt")),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.first(values.real(said.get("cfg_scale")), values.real(said.get("guidance"))),
        scheduler=values.word(said.get("scheduler")),
        strength=values.real(said.get("strength")),
        clip_skip=values.whole(said.get("clip_skip")) or UNSET,
        target_width=values.whole(said.get("width")),
        target_height=values.whole(said.get("height")),
        ingredients=values.gathered(_ingredients(said)),
    )


def _ingredients(said: Json) -> Iterator[Ingredient]:
    for name, role in _MODELS:
        yield _model(role, said.get(name))
    for lora in map(values.obj, values.items(said.get("loras"))):
        yield _model("lora", values.first(lora.get("model"), lora.get("lora")), lora.get("weight"))
    for control in map(values.obj, values.items(said.get("controlnets"))):
        yield _model("controlnet", control.get("control_model"), control.get("control_weight"))


def _model(role: Role, model: Any, weight: Any = UNSET) -> Ingredient:
    """`{name, hash, …}` since version 4, `{model_name, …}` in 3."""
    said = values.obj(model)
    name = values.first(said.get("name"), said.get("model_name"), model if isinstance(model, str) else "")
    return ingredient(role, name, said.get("hash"), weight)


def _of_sd_metadata(said: Json) -> Generation:
    image = values.obj(said.get("image"))
    prompts = [values.obj(part).get("prompt") for part in values.items(image.get("prompt"))] or [image.get("prompt")]
    prompt, negative = _split(", ".join(part for part in prompts if isinstance(part, str)))
    return Generation(
        generator=NAME,
        prompt=values.text(prompt),
        negative_prompt=values.text(negative),
        seed=values.seed(image.get("seed")),
        num_inference_steps=values.whole(image.get("steps")),
        guidance=values.real(image.get("cfg_scale")),
        scheduler=values.word(image.get("sampler")),
        strength=values.real(image.get("strength")),
        target_width=values.whole(image.get("width")),
        target_height=values.whole(image.get("height")),
        ingredients=values.gathered([ingredient("checkpoint", said.get("model_weights"), said.get("model_hash"))]),
    )


def _of_dream(quoted: str, options: dict[str, str]) -> Generation:
    prompt, negative = _split(quoted)
    return Generation(
        generator=NAME,
        prompt=values.text(prompt),
        negative_prompt=values.text(negative),
        seed=values.seed(options.get("S")),
        num_inference_steps=values.whole(options.get("s")),
        guidance=values.real(options.get("C")),
        scheduler=values.word(options.get("A")),
        strength=values.real(options.get("f")),
        target_width=values.whole(options.get("W")),
        target_height=values.whole(options.get("H")),
    )


def _split(prompt: str) -> tuple[str, str]:
    """What stands in brackets is what is not wanted."""
    prompt = prompt[: values.MAX_TEXT]
    return " ".join(_NEGATIVE.sub("", prompt).split(" ")), ", ".join(_NEGATIVE.findall(prompt))
