"""What one client may take: requests a second for each key, and memory for uploads."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import structlog

from pinakes.errors import PinakesError

_MOST_KEYS = 10_000
_EVERY_S = 0.25
"""How often processes tell each other what keys used, when keys do."""

_LEAST_S = 0.05
_MUCH = 0.1
"""Of what a key may use in a second: that much is told as soon as may be."""

_log = structlog.get_logger("http")

Used = Mapping[str, int]
Spent = Mapping[str, float]


class RateLimit:
    """A token bucket for each key. `per_second` 0 lets everything pass.

    The bucket that counts for all processes lies in the database. Each process decides by a copy of its own, without
    waiting, and corrects that whenever it has told the others what it used (docs/decisions/0019-many-processes.md).
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._much = max(1.0, _MUCH * per_second)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._untold: dict[str, int] = {}
        self._is_used = asyncio.Event()
        self._is_urgent = asyncio.Event()

    def take(self, key_id: str) -> None:
        """TOO_MANY_REQUESTS, with the wait in seconds, when the key has used up what it may."""
        if not self._per_second:
            return
        now = time.monotonic()
        tokens, at = self._buckets.get(key_id, (float(self._per_second), now))
        tokens = min(float(self._per_second), tokens + (now - at) * self._per_second)
        untold = self._untold[key_id] = self._untold.get(key_id, 0) + (tokens >= 1)
        self._is_used.set()
        if tokens < 1:
            raise self._refusal(tokens)
        if untold >= self._much:
            self._is_urgent.set()
        if len(self._buckets) >= _MOST_KEYS:
            self._buckets.clear()
        self._buckets[key_id] = (tokens - 1, now)

    def _refusal(self, tokens: float) -> PinakesError:
        wait = max(1, round((1 - tokens) / self._per_second))
        return PinakesError(
            "TOO_MANY_REQUESTS",
            f"This key may make {self._per_second} requests a second; wait {wait} s.",
            limit=self._per_second,
            retryAfter=wait,
        )

    async def share(self, exchange: Callable[[Used], Spent]) -> None:
        """Until cancelled, exchange what keys used here for what they have spent everywhere, on a thread.

        As long as the database is away, what a key may is counted here alone.
        """
        is_away = False
        while self._per_second:
            await self._is_used.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_urgent.wait(), _EVERY_S)
            try:
                self.correct(await asyncio.to_thread(exchange, self.tell()))
                is_away = False
            except PinakesError as error:
                if not is_away:
                    _log.warning("rates not exchanged", code=error.code, error=error.message)
                is_away = True
            except Exception:  # noqa: BLE001 - a bug, but no reason to count here alone from now on
                _log.exception("rates not exchanged")
            await asyncio.sleep(_EVERY_S if is_away else _LEAST_S)

    def tell(self) -> Used:
        """What each key that asked has used here, refused requests left out, since the last call."""
        self._is_used.clear()
        self._is_urgent.clear()
        untold, self._untold = self._untold, {}
        return untold

    def correct(self, spent: Spent) -> None:
        """Go on from what keys have spent everywhere, a second's worth of which is what a bucket holds."""
        now = time.monotonic()
        for key_id, tokens in spent.items():
            self._buckets[key_id] = (self._per_second - tokens - self._untold.get(key_id, 0), now)


class UploadMemory:
    """The bytes of all uploads that are in memory at a time."""

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """UNAVAILABLE, to be tried again, when other uploads have taken what there is."""
        if size > self._free:
            raise PinakesError(
                "UNAVAILABLE", "Other uploads fill the memory there is; try again shortly.", retryAfter=2
            )
        self._free -= size
        try:
            yield
        finally:
            self._free += size
