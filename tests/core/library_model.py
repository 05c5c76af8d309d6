"""What a library must look like from outside, kept in plain sets and dicts: the reference of the state machine."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from conftest import DAY_MS

from pinakes import ids

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

    def facts(self, noun: Noun, thing: Thing) -> tuple[object, ...]:
        """What anybody can read of a thing."""
        times = (ids.iso(thing.created_ms), ids.iso(thing.updated_ms))
        return (
            thing.id,
            sorted(thing.tags),
            self.collection_ids(noun, thing.id),
            *times,
            self.shown_cover(thing.cover),
        )

    def shelf_facts(self, shelf: Shelf) -> tuple[object, ...]:
        """What anybody can read of a collection."""
        counts = self.count(shelf, "asset"), self.count(shelf, "model")
        return (shelf.id, shelf.name, *counts, self.shown_cover(shelf.cover), ids.iso(shelf.updated_ms))
