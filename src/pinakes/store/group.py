"""Group commit: one thread takes whole verbs from a queue and commits all that wait with one fsync."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pinakes.errors import PinakesError
from pinakes.store import Done

_BATCH_SECONDS = 0.02
_MOST_WAITING = 20_000

Outcome = tuple[Any, BaseException | None]
Item = tuple[Callable[[], Any], Any, Done]
RunBatch = Callable[[Iterator[Callable[[], Any]]], list[Outcome]]


class GroupCommit:
    """The writer thread. `run_batch` runs verbs inside one transaction and returns their outcomes after its commit."""

    def __init__(self, run_batch: RunBatch) -> None:
        self._run_batch = run_batch
        self._waiting: deque[Item] = deque()
        self._wake = threading.Semaphore(0)
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, verb: Callable[[], Any], token: Any, done: Done) -> None:
        """UNAVAILABLE when far too many verbs wait already, or the store is closing."""
        if self._is_closing or len(self._waiting) >= _MOST_WAITING:
            raise PinakesError("UNAVAILABLE", "Too many writes are waiting; try again shortly.")
        self._waiting.append((verb, token, done))
        self._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            if not self._waiting:
                if self._is_closing:
                    return
                continue  # an earlier batch took the item this wake-up was for
            self._commit()

    def _commit(self) -> None:
        items: list[Item] = []
        try:
            outcomes = self._run_batch(self._take(items))
        except BaseException as error:  # noqa: BLE001 - the commit failed, nothing is stored: each must hear so
            outcomes = [(None, error)] * len(items)
        for done in {item[2] for item in items}:
            done([(item[1], *outcome) for item, outcome in zip(items, outcomes, strict=True) if item[2] is done])

    def _take(self, items: list[Item]) -> Iterator[Callable[[], Any]]:
        """Verbs as long as some wait, but not for so long that the first in the batch waits much for its answer."""
        until = time.monotonic() + _BATCH_SECONDS
        while self._waiting and (not items or time.monotonic() < until):
            item = self._waiting.popleft()
            items.append(item)
            yield item[0]

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._is_closing = True
        self._wake.release()
        self._thread.join()
