"""Walks against the arrows of a ComfyUI graph, as its `prompt` holds it: `{id: {class_type, inputs}}`.

An input is a value, or `[id, slot]` where an arrow comes in. What a walk may visit is bounded, and each node is visited
once, so that cycles and graphs of absurd size end.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from pinakes.media.probers.generators.values import Json, obj

MAX_NODES = 1_000
MAX_INPUTS = 100
_MAX_STEPS = 5  # from an input to the node that has its value

Graph = dict[str, Json]
"""The inputs of each node by lower-case name, its class among them as `class_type`."""


def graph(prompt: Json) -> Graph:
    """The nodes of a prompt, as far as they are nodes; `{}` when it is no graph."""
    nodes: Graph = {}
    for id, node in islice(prompt.items(), MAX_NODES):
        if isinstance(node, dict) and isinstance(node.get("class_type"), str):
            inputs = islice(obj(node.get("inputs")).items(), MAX_INPUTS)
            nodes[id] = {name.lower(): value for name, value in inputs} | {"class_type": node["class_type"]}
    return nodes


def linked(graph: Graph, value: object) -> str | None:
    """The id of the node that an input comes from."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and isinstance(value[1], int):
        id = str(value[0])[:100]
        return id if id in graph else None
    return None


def upstream(graph: Graph, start: Iterable[str], is_followed: Callable[[str], bool] = bool) -> Iterator[str]:
    """The ids of nodes, nearest first, that lead to those at the start, which come first. Told names of inputs only."""
    seen = dict.fromkeys(start)
    waiting = deque(seen)
    while waiting:
        id = waiting.popleft()
        yield id
        for name, value in graph[id].items():
            source = linked(graph, value)
            if source is not None and source not in seen and is_followed(name):
                seen[source] = None
                waiting.append(source)


def consumed(graph: Graph) -> set[str]:
    """The ids of nodes that another one takes something from."""
    sources = (linked(graph, value) for inputs in graph.values() for value in inputs.values())
    return {id for id in sources if id is not None}


_INPUTS_OF_A_REROUTE = 2  # its class is one
_PLAIN = ("value", "int", "float", "number", "string", "text", "result")


def scalar(graph: Graph, inputs: Json, name: str) -> Any:
    """An input's value, or that of the seed, number or text node it comes from; None when there is none to be told."""
    value = inputs.get(name)
    for _ in range(_MAX_STEPS):
        if (id := linked(graph, value)) is None:
            break
        source = graph[id]
        named = (key for key in (name, *_PLAIN, *_seed_like(name)) if source.get(key) not in (None, ""))
        value = source.get(next(named, ""))
        if value is None and len(source) <= _INPUTS_OF_A_REROUTE:
            value = next((found for found in source.values() if linked(graph, found)), None)
    return None if isinstance(value, dict | list) else value


def _seed_like(name: str) -> tuple[str, ...]:
    return ("seed", "noise_seed", "seed_num", "seed_value") if "seed" in name else ()


def is_named(*patterns: str) -> Callable[[str], bool]:
    """Whether the name of an input starts with one of these, whatever its case."""
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda name: pattern.match(name) is not None
