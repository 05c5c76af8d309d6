"""Draw Things: JSON with short names in the EXIF user comment, `v2` inside it holds the whole configuration."""

from collections.abc import Iterator, Mapping

from pinakes.asset_types import Generation, Ingredient
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.values import Json, ingredient

NAME = "Draw Things"


def read(texts: Mapping[str, str]) -> Generation | None:
    for name in ("usercomment", "comment"):
        text = texts.get(name, "")
        if '"c"' in text and {"c", "seed", "sampler"} <= (said := values.loads(text)).keys():
            return _generation(said, values.obj(said.get("v2")))
    return None


def _generation(said: Json, rest: Json) -> Generation:
    width, height = values.size(said.get("size"))
    return Generation(
        generator=NAME,
        prompt=values.text(said.get("c")),
        negative_prompt=values.text(said.get("uc")),
        seed=values.seed(said.get("seed")),
        num_inference_steps=values.whole(said.get("steps")),
        guidance=values.real(said.get("scale")),
        scheduler=values.word(said.get("sampler")),
        strength=values.real(said.get("strength")),
        clip_skip=values.whole(values.first(said.get("clip_skip"), rest.get("clipSkip"))),
        target_width=values.first(width, values.whole(rest.get("width"))),
        target_height=values.first(height, values.whole(rest.get("height"))),
        ingredients=values.gathered(_ingredients(said, rest)),
    )


def _ingredients(said: Json, rest: Json) -> Iterator[Ingredient]:
    yield ingredient("checkpoint", values.first(said.get("model"), rest.get("model")))
    yield ingredient("checkpoint", values.first(said.get("refiner"), rest.get("refinerModel")))
    for lora in map(values.obj, [*values.items(said.get("lora")), *values.items(rest.get("loras"))]):
        yield ingredient("lora", values.first(lora.get("model"), lora.get("file")), "", lora.get("weight"))
    for control in map(values.obj, [*values.items(said.get("control")), *values.items(rest.get("controls"))]):
        yield ingredient(
            "controlnet", values.first(control.get("file"), control.get("model")), "", control.get("weight")
        )
    yield ingredient("upscaler", values.first(said.get("upscaler"), rest.get("upscaler")))
