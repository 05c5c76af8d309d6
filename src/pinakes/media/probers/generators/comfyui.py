"""ComfyUI: the graph that ran (`prompt`) tells all, if read from its sampler backwards; `workflow` is its drawing.

Nodes of extensions are known by the names of their inputs, which hardly differ, and not by their own, which are
thousands. Of several samplers the first to have worked is the one that counts: the others work its picture over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import UNSET, UnsetType

from pinakes.asset_types import Generation, Ingredient
from pinakes.media.probers.generators import comfyui_models, values
from pinakes.media.probers.generators.graphs import Graph, consumed, graph, is_named, linked, scalar, upstream
from pinakes.media.probers.generators.values import Json

NAME = "ComfyUI"
_MAX_PARTS = 50
_MAX_OUTPUTS = 20
_MAX_SETTERS = 200
_PICTURES = is_named("latent", "image", "samples", "pixels", "mask", "video", "reference")
_CONDITIONS = is_named("positive", "negative", "cond", "text_embeds", "guider", "pipe", "basic_pipe", "context", "ctx")
_WAYS = is_named("guider", "text_embeds", "pipe", "basic_pipe", "context", "ctx")
_MODELS = is_named("model", "clip", "vae", "unet", "control_net", "lora")
_TEXTS = is_named(
    r"(?:.*_)?(?:text|string|prompt|str|value|clip_[lg]|t5xxl|llama|qwen\w*|gemma\w*|input|any)(?:_?[a-z0-9]{1,2})?$"
)
_OPTIONS = is_named("delimiter", "separator", "mode", "text_0$", "wildcard_text$")  # not what was said


def read(texts: Mapping[str, str]) -> Generation | None:
    nodes = graph(values.loads(texts.get("prompt")))
    if nodes:
        return of_graph(nodes)
    if "workflow" in texts and (drawn := values.loads(texts["workflow"])) and isinstance(drawn.get("nodes"), list):
        return Generation(generator=NAME, ingredients=comfyui_models.of_drawing(drawn))
    return None


def of_graph(nodes: Graph) -> Generation:
    output, start = _output_and_sampler(nodes)
    at = nodes[start]
    prompt, negative = (list(_prompts(nodes, start, purpose)) for purpose in ("positive", "negative"))
    width, height = _size(nodes, start)
    used = list(dict.fromkeys([*upstream(nodes, [start]), *upstream(nodes, [output])]))
    return Generation(
        generator=NAME,
        prompt=_joined(prompt),
        negative_prompt=_joined(negative),
        seed=values.seed(_setting(nodes, start, "seed", "noise_seed")),
        num_inference_steps=values.whole(_setting(nodes, start, "steps")),
        guidance=values.first(_distilled(nodes, at), values.real(_setting(nodes, start, "cfg", "cfg_scale"))),
        scheduler=values.word(_setting(nodes, start, "sampler_name", "sampler"), _setting(nodes, start, "scheduler")),
        strength=values.real(_setting(nodes, start, "denoise", "denoise_strength")),
        clip_skip=_clip_skip(nodes, used),
        target_width=width,
        target_height=height,
        ingredients=values.gathered([*comfyui_models.of_nodes(nodes, used), *_embeddings([*prompt, *negative])]),
    )


def _outputs(nodes: Graph) -> list[str]:
    """What nothing else takes from, those that save first; any node, when all go round in circles."""
    taken = consumed(nodes)
    ends = [id for id in nodes if id not in taken] or list(nodes)[:1]
    return sorted(ends, key=lambda id: "save" not in nodes[id]["class_type"].lower())


def _output_and_sampler(nodes: Graph) -> tuple[str, str]:
    """The first output that a sampler leads to, and the first of those along the pictures that lead to it.

    An output twice where there is no sampler.
    """
    outputs = _outputs(nodes)
    for output in outputs[:_MAX_OUTPUTS]:
        found = next((id for id in upstream(nodes, [output]) if _is_sampler(nodes[id])), None)
        if found:
            return output, [id for id in upstream(nodes, [found], _PICTURES) if _is_sampler(nodes[id])][-1]
    return outputs[0], outputs[0]


def _is_sampler(inputs: Json) -> bool:
    if {"steps", "cfg", "sampler_name"} <= inputs.keys():
        return True
    is_called_so = "sampler" in inputs["class_type"].lower()
    return is_called_so and any(isinstance(value, list) and _CONDITIONS(name) for name, value in inputs.items())


def _setting(nodes: Graph, start: str, *names: str) -> Any:
    """The value of the first of these inputs, of the sampler or of the nearest node that tells it what to do."""
    setters = upstream(nodes, [start], lambda name: not _PICTURES(name) and not _MODELS(name))
    for id in islice(setters, _MAX_SETTERS):
        for name in names:
            value = scalar(nodes, nodes[id], name)
            if value is not None:
                return value
    return None


def _prompts(nodes: Graph, start: str, purpose: str) -> Iterator[str]:
    """The texts that lead into the sampler for a purpose, `positive` or `negative`, as they come; each once.

    A node on the way that has an input of the purpose's name passes on that one.
    """
    waiting = [(start, *way) for way in _towards_text(nodes[start], purpose, False)]
    seen, said = {start}, set[str]()
    while waiting and len(said) < _MAX_PARTS:
        id, name, is_told = waiting.pop(0)
        value = nodes[id].get(name)
        source = linked(nodes, value)
        if isinstance(value, str) and value.strip() and value not in said:
            said.add(value)
            yield value
        elif source is not None and source not in seen:
            seen.add(source)
            waiting[:0] = [(source, *way) for way in _towards_text(nodes[source], purpose, is_told)]


def _towards_text(inputs: Json, purpose: str, is_told: bool) -> list[tuple[str, bool]]:
    """Which inputs of a node to follow for a text, and whether the purpose is told from there on.

    Until it is, what has no name for it is positive.
    """
    if "zeroout" in inputs["class_type"].lower():
        return []
    if exact := [name for name in inputs if purpose in name]:
        return [(name, True) for name in exact]
    if "populated_text" in inputs:  # of a wildcard node: what it came to
        return [("populated_text", is_told)]
    other = "negative" if purpose == "positive" else "positive"
    names = [name for name in inputs if name != "class_type" and other not in name and not _OPTIONS(name)]
    links = [name for name in names if isinstance(inputs[name], list)]
    if not is_told and (purpose == "negative" or any(map(_WAYS, links))):
        return [(name, False) for name in links if _WAYS(name)]
    texts = [name for name in names if _TEXTS(name) and isinstance(inputs[name], str | list)]
    return [(name, is_told) for name in texts or (name for name in links if not _MODELS(name) and not _PICTURES(name))]


def _joined(texts: Iterable[str]) -> str | UnsetType:
    return values.text("\n".join(part.strip() for part in texts))


def _distilled(nodes: Graph, sampler: Json) -> float | UnsetType:
    """What FluxGuidance and its like put into the conditioning: there `cfg` is 1."""
    start = [id for name, value in sampler.items() if _CONDITIONS(name) and (id := linked(nodes, value))]
    found = (scalar(nodes, nodes[id], "guidance") for id in upstream(nodes, start, _CONDITIONS))
    return next((value for value in map(values.real, found) if value is not UNSET), UNSET)


def _size(nodes: Graph, start: str) -> tuple[int | UnsetType, int | UnsetType]:
    for id in upstream(nodes, [start], lambda name: _PICTURES(name) or _CONDITIONS(name)):
        inputs = nodes[id]
        for before in ("", "empty_latent_"):
            width, height = (values.whole(scalar(nodes, inputs, before + side)) for side in ("width", "height"))
            if width and height:
                return width, height
        if (told := values.size(inputs.get("resolution") or inputs.get("dimensions")))[0]:
            return told
    return UNSET, UNSET


def _clip_skip(nodes: Graph, used: list[str]) -> int | UnsetType:
    """As AUTOMATIC1111 counts: the last layer is 1. ComfyUI says -1."""
    found = (scalar(nodes, nodes[id], name) for id in used for name in ("stop_at_clip_layer", "clip_skip"))
    numbers = (values.real(value) for value in found)
    return next((abs(int(number)) for number in numbers if number and abs(number) < 100), UNSET)


def _embeddings(texts: Iterable[str]) -> Iterator[Ingredient]:
    for text in texts:
        for name, weight in re.findall(r"\bembedding:([^\s,:()]{1,200})(?::([\d.]{1,9}))?", text[: values.MAX_TEXT]):
            yield values.ingredient("embedding", name, "", weight)
