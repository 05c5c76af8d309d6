"""Which models the nodes of a ComfyUI graph load, by the names of their inputs."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET

from pinakes.asset_types import Ingredient, Role
from pinakes.media.probers.generators import values
from pinakes.media.probers.generators.graphs import MAX_NODES, Graph, linked, scalar
from pinakes.media.probers.generators.values import Json, ingredient

_ROLES: dict[str, Role] = {
    "ckpt_name": "checkpoint",
    "base_ckpt_name": "checkpoint",
    "refiner_ckpt_name": "checkpoint",
    "unet_name": "checkpoint",
    "diffusion_model": "checkpoint",
    "vae_name": "vae",
    "control_net_name": "controlnet",
    "controlnet": "controlnet",
    "embedding_name": "embedding",
}
_IS_FILE = re.compile(r"\.(?:safetensors|sft|ckpt|pth?|bin|gguf)$", re.IGNORECASE)
_LORA = re.compile(r"lora(?:_name)?(?:_?(\d{1,3}))?(?:_name)?$", re.IGNORECASE)
_WEIGHTS = (
    "strength_model",
    "lora_model_strength",
    "lora_strength",
    "model_str_{}",
    "model_weight_{}",
    "lora_{}_model_strength",
    "lora_{}_strength",
    "lora_wt_{}",
    "strength_{}",
    "strength",
    "lora_weight",
    "weight",
)
_SWITCHES = ("switch_{}", "lora_{}_on", "enabled_{}", "toggle_{}", "toggle")
_OFF = (False, "off", "Off", "OFF", "false")


def of_nodes(nodes: Graph, ids: Iterable[str]) -> Iterator[Ingredient]:
    for id in ids:
        inputs = nodes[id]
        yield from _plain(nodes, inputs)
        yield from _loras(nodes, inputs)
        yield from _listed(inputs)
        if (source := linked(nodes, inputs.get("control_net"))) is not None:
            yield ingredient("controlnet", nodes[source].get("control_net_name"), "", inputs.get("strength"))


def _plain(nodes: Graph, inputs: Json) -> Iterator[Ingredient]:
    for name in _ROLES.keys() & inputs.keys():
        yield ingredient(_ROLES[name], scalar(nodes, inputs, name))
    kind = inputs["class_type"].lower()
    for name in ("model_name", "model", "model_path"):
        file = scalar(nodes, inputs, name) if name != "model" or isinstance(inputs.get(name), str) else None
        if not isinstance(file, str) or not (_IS_FILE.search(file) or "loader" in kind):
            continue
        if "upscale" in kind:
            yield ingredient("upscaler", file)
        elif "vae" in kind:
            yield ingredient("vae", file)
        elif "controlnet" in kind:
            yield ingredient("controlnet", file)
        elif not re.search(r"clip|text|t5|detect|sam|ipadapter|ultralytics|lora|face|depth|pose", kind):
            yield ingredient("checkpoint", file)


def _loras(nodes: Graph, inputs: Json) -> Iterator[Ingredient]:
    """`lora_name`, or stacks of `lora_name_1`, `lora_1_name`, `lora_01`, `lora_1: {on, lora, strength}`."""
    most = values.first(*(values.whole(inputs.get(name)) for name in ("lora_count", "num_loras")))
    for name, value in inputs.items():
        match = _LORA.match(name)
        if not match or (match[1] and most is not UNSET and int(match[1]) > most):
            continue
        if isinstance(value, dict):
            yield from _unless_off(value.get("lora"), value.get("strength"), value.get("on"))
        elif isinstance(file := scalar(nodes, inputs, name), str):
            weight, switch = (_nth(inputs, names, match[1] or "") for names in (_WEIGHTS, _SWITCHES))
            yield from _unless_off(file, scalar(nodes, inputs, weight), inputs.get(switch))


def _nth(inputs: Json, names: Iterable[str], number: str) -> str:
    """The first of the names that is there, told the number of a place in a stack; "" when none is."""
    return next((told for name in names if (told := name.format(number)) in inputs), "")


def _unless_off(file: object, weight: object, switch: object) -> Iterator[Ingredient]:
    if switch not in _OFF and values.real(weight) != 0:
        yield ingredient("lora", file, "", weight)


def _listed(inputs: Json) -> Iterator[Ingredient]:
    """LoRA Manager: `loras: [{name, strength, active}]`, or that inside `__value__`."""
    loras: Any = inputs.get("loras")
    for lora in map(values.obj, values.items(values.obj(loras).get("__value__") or loras)):
        yield from _unless_off(lora.get("name") or lora.get("lora"), lora.get("strength"), lora.get("active"))


def of_drawing(workflow: Json) -> list[Ingredient]:
    """From the drawing alone, where values have no names: files that loaders show, but of bypassed nodes."""
    nodes = (values.obj(node) for node in workflow["nodes"][:MAX_NODES])
    return values.gathered(one for node in nodes if node.get("mode") not in (2, 4) for one in _of_widgets(node))


def _of_widgets(node: Json) -> Iterator[Ingredient]:
    kind, shown = values.label(node.get("type")).lower(), values.items(node.get("widgets_values"))
    roles: dict[str, Role] = {"lora": "lora", "checkpoint": "checkpoint", "unet": "checkpoint", "vaeload": "vae"}
    role = next((role for name, role in roles.items() if name in kind), None)
    file = next((value for value in shown if isinstance(value, str) and _IS_FILE.search(value)), None)
    if role and file:
        yield ingredient(role, file, "", values.first(*map(values.real, shown)) if role == "lora" else UNSET)
