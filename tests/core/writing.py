"""Verbs to hand to the writer, one that holds it up, and somebody who collects what it answers."""

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from pinakes import collections
from pinakes.access import Actor
from pinakes.collections import NewCollection
from pinakes.library import Library

Answer = tuple[Any, Any, BaseException | None]


class Answers:
    """Collects what the writer says; several verbs of one commit come as one call."""

    def __init__(self) -> None:
        self.queue: Queue[Answer] = Queue()
        self.calls = 0

    def done(self, answers: list[Answer]) -> None:
        self.calls += 1
        for answer in answers:
            self.queue.put(answer)

    def take(self, n: int) -> list[Answer]:
        return [self.queue.get(timeout=20) for _ in range(n)]


def creation(library: Library, actor: Actor, name: str = "Shelf") -> Callable[[], str]:
    return lambda: collections.create(library, actor, NewCollection(name)).id


def names(library: Library, actor: Actor) -> list[str]:
    return [item.name for item in collections.get_page(library, actor, 100).items]


class Gate:
    """A verb that holds the writer until it is opened, so that others gather behind it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(20)
        return "gate"
