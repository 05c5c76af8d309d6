"""Group commit where several may write at once: a few threads, each of which commits its share of all that waits."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pinakes.errors import PinakesError
from pinakes.store import Done, group
from pinakes.store.group import Item, Outcome, Verb

_MOST_TOGETHER = 100


class Writers:
    """Threads that run verbs, each all that it has taken, and others for those that have to wait for somebody.

    `run` returns the outcomes of the first of several verbs, at least of one, once they are stored, and is soon done;
    None stands for one of which nothing is stored, and which is to be run by itself: by `run_alone`, which may wait.
    Neither may raise.
    """

    def __init__(
        self,
        threads: int,
        others: int,
        run: Callable[[list[Verb]], list[Outcome | None]],
        run_alone: Callable[[Verb], Outcome],
    ) -> None:
        self._run = run
        self._run_alone = run_alone
        self._count = threads
        self._waiting: deque[tuple[tuple[str, ...], Item]] = deque()
        self._alone = 0
        self._door = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="writer")
        self._others = ThreadPoolExecutor(others, thread_name_prefix="lone-writer")

    def submit(self, verb: Verb, token: Any, done: Done, subject: tuple[str, ...]) -> None:
        """UNAVAILABLE when far too many verbs wait already, or the store is closed."""
        with self._door:
            if len(self._waiting) + self._alone >= group.MOST_WAITING:
                raise group.too_many_wait()
            try:
                self._threads.submit(self._run_share)
            except RuntimeError as error:
                raise PinakesError("UNAVAILABLE", "The library is closed.") from error
            self._waiting.append((subject, (verb, token, done)))

    def _run_share(self) -> None:
        items = self._take()  # none when those before took what this was called for
        while items:
            ended = list(zip(items, self._run([verb for verb, _, _ in items]), strict=False))
            items = items[len(ended) :]
            group.tell((item, outcome) for item, outcome in ended if outcome)
            for item in [item for item, outcome in ended if not outcome]:
                with self._door:
                    self._alone += 1
                self._others.submit(self._run_one, item)

    def _take(self) -> list[Item]:
        """This thread's share, in the order of subjects, so that two threads wait for the same rows in turn."""
        with self._door:
            share = min(-(-len(self._waiting) // self._count), _MOST_TOGETHER)
            taken = [self._waiting.popleft() for _ in range(share)]
        return [item for _, item in sorted(taken, key=lambda one: one[0])]

    def _run_one(self, item: Item) -> None:
        with self._door:
            self._alone -= 1
        group.tell([(item, self._run_alone(item[0]))])

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        self._threads.shutdown()
        self._others.shutdown()
