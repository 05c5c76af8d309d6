"""Whatever is written into a file, reading how it was made ends in an answer that can be stored."""

import json
from typing import Any

import generated as made
from generated import check
from hypothesis import given, settings
from hypothesis import strategies as st

from pinakes.media.probers import generation

KEYS = ("prompt", "workflow", "invokeai_metadata", "sd-metadata", "comment", "parameters", "usercomment", "description")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20)
_NAMES = """
    base_model c caption char_captions ckpt_name class_type conditioning control_net guidance guider hash height image
    inputs latent_image lora lora_1 lora_count lora_name loras model name negative nodes noise noise_seed param
    populated_text positive prompt resolution sampler sampler_name scheduler seed sigmas size steps stop_at_clip_layer
    strength sui_image_params sui_models text text_g type uc v2 v4_prompt vae_name value weight widgets_values width
"""
NAMES = st.sampled_from(_NAMES.split())
LINKS = st.tuples(st.integers(0, 5).map(str), st.integers(0, 2)).map(list)
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | LINKS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
CLASSES = st.sampled_from(
    ["KSampler", "LoraLoader", "CLIPTextEncode", "SaveImage", "ConditioningZeroOut", "Reroute", ""]
)
NODES = st.fixed_dictionaries({"class_type": CLASSES, "inputs": st.dictionaries(NAMES, LINKS | TREES, max_size=8)})
GRAPHS = st.dictionaries(st.integers(0, 5).map(str), NODES | TREES, max_size=6)
PLACES = st.sampled_from([*KEYS, "software", "source", "dream", "model", "make", "imagedescription", "Fooocus_Scheme"])
LINES = st.lists(st.sampled_from(made.A1111.split(", ")) | st.text(max_size=8), max_size=12).map(", ".join)


@settings(max_examples=150, deadline=None)
@given(GRAPHS)
def test_no_graph_is_an_error(graph: dict[str, Any]) -> None:
    check(generation.of_texts({"prompt": json.dumps(graph), "workflow": json.dumps(graph)}))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(PLACES, TREES.map(json.dumps) | LINES | st.text(st.characters(codec=None)), max_size=5))
def test_no_text_is_an_error(texts: dict[str, str]) -> None:
    check(generation.of_texts(texts))


WHOLE = {
    "png": made.png({"parameters": made.A1111, "x": "y"}, "zTXt"),
    "jpeg": made.commented("jpeg", made.A1111),
    "webp": made.commented("webp", made.A1111),
    "gif": made.saved("GIF", comment=made.A1111.encode()),
    "tiff": made.saved("TIFF", description=made.A1111),
    "avif": made.commented("avif", made.A1111),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(WHOLE)), st.data())
def test_no_damage_is_an_error(format: str, data: st.DataObject) -> None:
    picture = bytearray(WHOLE[format])
    for _ in range(data.draw(st.integers(1, 8))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    check(generation.of_picture(format, bytes(picture[: data.draw(st.integers(0, len(picture)))])))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(WHOLE)), st.binary(max_size=300))
def test_no_bytes_are_an_error(format: str, data: bytes) -> None:
    check(generation.of_picture(format, data))
    check(generation.of_picture(format, WHOLE[format][:40] + data))
