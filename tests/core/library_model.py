"""What a library must look like from outside, kept in plain sets and dicts: the reference of the state machine."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from conftest import DAY_MS

from pinakes import ids
from pinakes.asset_types import Ingredient

Noun = Literal["asset", "model"]


@dataclass
class Thing:
    """An asset or a model."""

    id: str
    created_ms: int
    updated_ms: int
    tags: set[str] = field(default_factory=set)
    deleted_ms: int | None = None
    cover: str | None = None
    made_with: tuple[Ingredient, ...] = ()  # of an asset, and what was said with its upload
    said: str | None = None
    name: str = ""  # of a model, and what is known of its file
    role: str = ""
    hash: str = ""

    def fits(self, one: Ingredient) -> int:
        """How surely a model is this ingredient: 3 by its hash, 2 by its name, 1 by it for want of a hash, else 0."""
        if one.hash and one.hash == self.hash:
            return 3
        may_be = not self.hash if one.hash else self.role in ("", one.role)
        is_named = self.name != "" and one.name.lower() == self.name.lower()
        return (1 if one.hash else 2) if may_be and is_named else 0


@dataclass
class Shelf:
    """A collection. Members in the trash stay members."""

    id: str
    name: str
    updated_ms: int
    members: dict[Noun, set[str]] = field(default_factory=lambda: {"asset": set(), "model": set()})
    cover: str | None = None
    is_deleted: bool = False


@dataclass
class Project:
    shelves: dict[str, Shelf] = field(default_factory=dict)
    things: dict[Noun, dict[str, Thing]] = field(default_factory=lambda: {"asset": {}, "model": {}})

    def live(self, noun: Noun) -> list[Thing]:
        """Oldest first."""
        return [thing for thing in self.things[noun].values() if thing.deleted_ms is None]

    def is_live(self, noun: Noun, id: str | None) -> bool:
        return id in self.things[noun] and self.things[noun][id or ""].deleted_ms is None

    def live_shelves(self) -> list[Shelf]:
        """Oldest first."""
        return [shelf for shelf in self.shelves.values() if not shelf.is_deleted]

    def count(self, shelf: Shelf, noun: Noun) -> int:
        return sum(self.is_live(noun, id) for id in shelf.members[noun])

    def shown_cover(self, cover: str | None) -> str | None:
        return cover if self.is_live("asset", cover) else None

    def collection_ids(self, noun: Noun, id: str) -> list[str]:
        return sorted(shelf.id for shelf in self.live_shelves() if id in shelf.members[noun])

    def tag_counts(self) -> dict[str, int]:
        nouns: tuple[Noun, Noun] = ("asset", "model")
        return dict(Counter(tag for noun in nouns for thing in self.live(noun) for tag in thing.tags))

    def trash(self, noun: Noun, now_ms: int) -> list[str]:
        """What can be restored, last deleted first."""
        found = [(thing.deleted_ms, thing.id) for thing in self.things[noun].values() if thing.deleted_ms is not None]
        return [id for deleted_ms, id in sorted(found, reverse=True) if deleted_ms > now_ms - 30 * DAY_MS]

    def move(self, noun: Noun, id: str, deleted_ms: int | None, now_ms: int) -> None:
        """To the trash, or back. Its collections change when it does."""
        thing = self.things[noun][id]
        thing.deleted_ms, thing.updated_ms = deleted_ms, now_ms
        for shelf in self.live_shelves():
            if id in shelf.members[noun]:
                shelf.updated_ms = now_ms

    def models_of(self, asset: Thing) -> list[list[Thing]]:
        """For each ingredient the live models that it is taken for, oldest first.

        A model is taken for one ingredient at most, and gives way to a surer one, also when that is in the trash.
        """
        found: list[list[tuple[int, Thing]]] = [[] for _ in asset.made_with]
        for model in self.things["model"].values():
            fitting = [(model.fits(one), -at) for at, one in enumerate(asset.made_with)]
            if model.id != asset.said and (best := max(fitting, default=(0, 0)))[0]:
                found[-best[1]].append((best[0], model))
        surest = [max((sure for sure, _ in some), default=0) for some in found]
        return [
            [model for sure, model in some if sure == most and model.deleted_ms is None]
            for some, most in zip(found, surest, strict=True)
        ]

    def links(self, asset: Thing) -> set[str]:
        """The models by which an asset is found."""
        return {model.id for some in self.models_of(asset) for model in some} | {asset.said or ""}

    def shown_models(self, asset: Thing) -> tuple[str | None, list[str]]:
        """The checkpoint and the LoRAs that an asset shows."""
        found = [
            (one.role, some[0].id) for one, some in zip(asset.made_with, self.models_of(asset), strict=True) if some
        ]
        checkpoints = [asset.said, *(id for role, id in found if role == "checkpoint")]
        return next(filter(None, checkpoints), None), [id for role, id in found if role == "lora"]

    def facts(self, noun: Noun, thing: Thing) -> tuple[object, ...]:
        """What anybody can read of a thing."""
        times = (ids.iso(thing.created_ms), ids.iso(thing.updated_ms))
        return (
            thing.id,
            sorted(thing.tags),
            self.collection_ids(noun, thing.id),
            *times,
            self.shown_models(thing) if noun == "asset" else self.shown_cover(thing.cover),
        )

    def shelf_facts(self, shelf: Shelf) -> tuple[object, ...]:
        """What anybody can read of a collection."""
        counts = self.count(shelf, "asset"), self.count(shelf, "model")
        return (shelf.id, shelf.name, *counts, self.shown_cover(shelf.cover), ids.iso(shelf.updated_ms))
