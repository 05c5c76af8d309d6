"""The processes that serve a library, as far as they know of each other: whether their settings agree."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec

from pinakes import ids

if TYPE_CHECKING:
    from pinakes.library import Library

NOTE_S = 60.0
"""How often a process notes that it is there."""

_ALIVE_MS = 150_000
_FORGET_MS = 3_600_000


class Process(msgspec.Struct, frozen=True):
    """One that serves a library. `name` tells people where it is; `settings` are short hashes by the setting's name."""

    id: str
    name: str
    settings: dict[str, str]


def this(library: Library) -> Process:
    """The one that asks."""
    return Process(ids.new("process"), f"{socket.gethostname()}:{os.getpid()}", library.config.digests())


def note(library: Library, process: Process) -> dict[str, list[str]]:
    """Say that a process is there; in which settings each other one, by name, differs from it."""
    now = ids.now_ms()
    with library.store.transaction() as tx:
        tx.processes.forget(ids.iso(now - _FORGET_MS))
        tx.processes.note(process, ids.iso(now))
    with library.store.read() as tx:
        others = tx.processes.seen_since(ids.iso(now - _ALIVE_MS))
    found = {other.name: _differences(process.settings, other.settings) for other in others if other.id != process.id}
    return {name: settings for name, settings in found.items() if settings}


def end(library: Library, process: Process) -> None:
    """Say that it is there no more."""
    with library.store.transaction() as tx:
        tx.processes.delete(process.id)


def _differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Of those that both know: another version may have more."""
    return sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])
