"""Fooocus' own scheme: JSON in `parameters`, or in EXIF with the scheme's name as maker note.

Its other scheme is AUTOMATIC1111's text. `prompt` is what was typed, without what its styles added.
"""

from collections.abc import Iterator, Mapping

from pinakes.asset_types import Generation, Ingredient
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

NAME = "Fooocus"


def read(texts: Mapping[str, str]) -> Generation | None:
    for name in ("parameters", "usercomment", "comment"):
        text = texts.get(name, "")
        if '"base_model"' in text and {"prompt", "base_model", "sampler"} <= (said := values.loads(text)).keys():
            return _generation(said)
    return None


def _generation(said: Json) -> Generation:
    width, height = values.size(said.get("resolution"))
    return Generation(
        generator=NAME,
        prompt=values.text(said.get("prompt")),
        negative_prompt=values.text(said.get("negative_prompt")),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.real(said.get("guidance_scale")),
        scheduler=values.word(said.get("sampler"), said.get("scheduler")),
        clip_skip=values.whole(said.get("clip_skip")),
        target_width=width,
        target_height=height,
        ingredients=values.gathered(_ingredients(said)),
    )


def _ingredients(said: Json) -> Iterator[Ingredient]:
    yield ingredient("checkpoint", said.get("base_model"), said.get("base_model_hash"))
    yield ingredient("checkpoint", said.get("refiner_model"), said.get("refiner_model_hash"))
    yield ingredient("vae", said.get("vae"))
    for lora in values.items(said.get("loras")):
        name, weight, hash = [*values.items(lora), "", "", ""][:3]
        yield ingredient("lora", name, hash, weight)
    for key, value in list(said.items())[:1000]:
        if key.startswith("lora_combined_") and isinstance(value, str):
            name, _, weight = value.rpartition(" : ")
            yield ingredient("lora", name, "", weight)
