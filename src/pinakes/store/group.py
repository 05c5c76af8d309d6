"""Group commit: one thread takes whole verbs from a queue and commits all that wait with one fsync."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pinakes.errors import PinakesError
from pinakes.store import Done

BATCH_SECONDS = 0.02
"""For how long verbs are taken into a transaction."""
MOST_WAITING = 20_000
"""Verbs that may wait for the writer."""

Verb = Callable[[], Any]
Outcome = tuple[Any, BaseException | None]
Item = tuple[Verb, Any, Done]
RunBatch = Callable[[Iterator[Verb]], list[Outcome]]


class GroupCommit:
    """The writer thread. `run_batch` runs verbs inside one transaction and returns their outcomes after its commit.

    `after_batch` is called when they have been told: what it does keeps nobody waiting who is done.
    """

    def __init__(self, run_batch: RunBatch, after_batch: Callable[[], None]) -> None:
        self._run_batch = run_batch
        self._after_batch = after_batch
        self._waiting: deque[Item] = deque()
        self._door = threading.Lock()
        self._wake = threading.Semaphore(0)
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, verb: Verb, token: Any, done: Done) -> None:
        """UNAVAILABLE when far too many verbs wait already, or the store is closing."""
        with self._door:  # a verb is either in before the door closes, and answered, or refused
            if self._is_closing or len(self._waiting) >= MOST_WAITING:
                raise too_many_wait()
            self._waiting.append((verb, token, done))
        self._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            if self._waiting:
                self._commit()
            elif self._is_closing:
                return
            # else an earlier batch took the item this wake-up was for

    def _commit(self) -> None:
        items: list[Item] = []
        try:
            outcomes = self._run_batch(self._take(items))
        except BaseException as error:  # noqa: BLE001 - the commit failed, nothing is stored: each must hear so
            if not items:  # the transaction did not even begin, and all have waited for that
                items = [self._waiting.popleft() for _ in range(len(self._waiting))]
            outcomes = [(None, error)] * len(items)
        tell(zip(items, outcomes, strict=True))
        call(self._after_batch)

    def _take(self, items: list[Item]) -> Iterator[Verb]:
        """Verbs as long as some wait, but not for so long that the first in the batch waits much for its answer."""
        until = time.monotonic() + BATCH_SECONDS
        while self._waiting and (not items or time.monotonic() < until):
            item = self._waiting.popleft()
            items.append(item)
            yield item[0]

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        with self._door:
            self._is_closing = True
        self._wake.release()
        self._thread.join()


def tell(ended: Iterable[tuple[Item, Outcome]]) -> None:
    """Say what came of verbs, all that one `done` is to hear in one call."""
    answers: dict[Done, list[tuple[Any, Any, BaseException | None]]] = {}
    for (_, token, done), outcome in ended:
        answers.setdefault(done, []).append((token, *outcome))
    for done, answer in answers.items():
        call(done, answer)


def too_many_wait() -> PinakesError:
    """What is said to whoever comes when `MOST_WAITING` wait."""
    return PinakesError("UNAVAILABLE", "Too many writes are waiting; try again shortly.")


def call(call: Callable[..., object], *args: Any) -> None:
    """An error of whoever is told, or afterwards, must not end the thread that all others wait for."""
    try:
        call(*args)
    except BaseException as error:  # noqa: BLE001 - reported, whatever it is
        report(error)


def report(error: BaseException) -> None:
    """Tell of an error as if it had ended the thread, which goes on."""
    threading.excepthook(
        threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
    )
