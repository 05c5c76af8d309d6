"""The `filter` of a search as a small tree, and the fields that it can be about. `filter_text` reads it from text."""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from pinakes.asset_types import ASSET_TYPES, Kind
from pinakes.model_types import ModelStatus, ModelType

MOST_CHARACTERS = 4_096
"""Characters of one filter."""
MOST_TESTS = 100
"""Comparisons in one filter, each value of a list counted."""
MOST_DEPTH = 20
"""Levels of parentheses in which AND and OR take turns."""

Noun = Literal["asset", "model"]
Value = str | int | float
Operator = Literal["in", ">", ">=", "<", "<=", "exists"]


class Comparison(msgspec.Struct, frozen=True):
    """One field against values: `in` is equality with any of them. Times are as they are stored."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()


class Not(msgspec.Struct, frozen=True):
    """Whatever the part does not let pass."""

    part: "Filter"


class AllOf(msgspec.Struct, frozen=True):
    """What every part lets pass."""

    parts: "tuple[Filter, ...]"


class AnyOf(msgspec.Struct, frozen=True):
    """What some part lets pass."""

    parts: "tuple[Filter, ...]"


Filter = Comparison | Not | AllOf | AnyOf


class Field(msgspec.Struct, frozen=True):
    """What a field holds; `known` are all values that it can have."""

    kind: Literal["text", "number", "time"] = "text"
    known: frozenset[str] = frozenset()


_TIMES = {"createdAt": Field("time"), "updatedAt": Field("time")}
_COMMON = {name: Field() for name in ("collectionIds", "tags", "name", "authorId", "privacy")} | _TIMES
FIELDS: Mapping[Noun, Mapping[str, Field]] = {
    "asset": {
        **_COMMON,
        "kind": Field(known=frozenset(get_args(Kind))),
        "type": Field(known=ASSET_TYPES),
        "status": Field(known=frozenset(["error", "pending", "success"])),
        "mimeType": Field(),
        "modelId": Field(),
        "parentId": Field(),
        "width": Field("number"),
        "height": Field("number"),
        "size": Field("number"),
    },
    "model": {
        **_COMMON,
        "type": Field(known=frozenset(get_args(ModelType))),
        "status": Field(known=frozenset(get_args(ModelStatus))),
        "parentModelId": Field(),
    },
}
"""What can be filtered by."""
