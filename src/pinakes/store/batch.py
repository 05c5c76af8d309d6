"""Verbs in one transaction of PostgreSQL, without a savepoint for each."""

from collections.abc import Iterator
from contextlib import contextmanager

from pinakes.errors import PinakesError
from pinakes.store.connections import Link
from pinakes.store.group import Outcome, Verb


class Apart(Exception):  # noqa: N818 - what is to happen
    """Nothing of a batch is to be stored, for a verb left a change that is not whole; each is to run by itself."""


class _Refused(Exception):  # noqa: N818 - as above
    """A verb cannot run among others."""


class Batch:
    """What is known of the verb that runs: whether it did what only a savepoint, which it has not, could undo."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._has_written = False
        self._is_refused = False
        self._is_half = False
        """Whether its first write failed midway, whatever the verb makes of that."""

    def run(self, verb: Verb, link: Link) -> Outcome | None:
        """What came of a verb; None for one that has no place among others, and has done nothing yet. Or `Apart`."""
        self._begin()
        changes = link.changes
        result, error = None, None
        try:
            result = verb()
        except (PinakesError, _Refused) as told:
            error = told
        except BaseException as broken:
            raise Apart from broken
        is_void = error is not None or self._is_refused
        if self._is_half or link.has_failed() or (is_void and link.changes != changes):
            raise Apart
        return None if self._is_refused else (result, error)

    def admit(self, is_beside: bool) -> bool:
        """Called for each write: whether it is the verb's first. Only those that work beside others may be here."""
        if not is_beside:
            self._is_refused = True
            raise _Refused
        is_first, self._has_written = not self._has_written, True
        return is_first

    @contextmanager
    def joining(self, link: Link) -> Iterator[None]:
        """In place of a savepoint, around a first write: all that it changes is stored, or nothing of the batch."""
        changes = link.changes
        try:
            yield
        except BaseException:
            self._is_half = link.changes != changes
            raise
