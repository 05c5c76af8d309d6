"""Turns: what one process of a library does at a time, whichever comes first once it is due.

Who is killed in its turn renews it no more, and another takes it when the lease has ended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pinakes import ids

if TYPE_CHECKING:
    from pinakes.library import Library

LEASE_MS = 60_000
"""For how long a turn holds without being renewed."""


class Turn:
    """One process's part in the turns of a name. One thread takes and ends it; any may renew it meanwhile."""

    def __init__(self, library: Library, name: str) -> None:
        self._library = library
        self._name = name
        self._until = ""
        self._door = threading.Lock()

    def take(self) -> bool:
        """Whether it is ours now. Not when it is another's, or not due."""
        with self._door, self._library.store.write(beside=True) as tx:
            until = _lease_end()
            self._until = until if tx.upkeep.take_turn(self._name, ids.now(), until) else ""
            return bool(self._until)

    def renew(self) -> None:
        """Hold it for longer, if we do; afterwards `is_lost` when it has been taken away meanwhile."""
        with self._door:
            if self._until:
                self._hold_until(_lease_end())

    def is_lost(self) -> bool:
        """Whether another may have it by now."""
        return self._until < ids.now()

    def end(self, due_at: str) -> None:
        """Let it be taken from then on. Nothing happens when it was taken away."""
        with self._door:
            self._hold_until(due_at)
            self._until = ""

    def _hold_until(self, until: str) -> None:
        with self._library.store.write(beside=True) as tx:
            is_ours = tx.upkeep.move_turn(self._name, self._until, until)
        self._until = until if is_ours else ""


def _lease_end() -> str:
    return ids.iso(ids.now_ms() + LEASE_MS)
