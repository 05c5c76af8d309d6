"""What one client may take: requests a second for each key, and memory for uploads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pinakes.errors import PinakesError

_MOST_KEYS = 10_000


class RateLimit:
    """A token bucket for each key of this process. `per_second` 0 lets everything pass."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """TOO_MANY_REQUESTS, with the wait in seconds, when the key has used up what it may."""
        if not self._per_second:
            return
        now = time.monotonic()
        tokens, at = self._buckets.get(key_id, (float(self._per_second), now))
        tokens = min(float(self._per_second), tokens + (now - at) * self._per_second)
        if tokens < 1:
            wait = max(1, round((1 - tokens) / self._per_second))
            raise PinakesError(
                "TOO_MANY_REQUESTS",
                f"This key may make {self._per_second} requests a second; wait {wait} s.",
                limit=self._per_second,
                retryAfter=wait,
            )
        if len(self._buckets) >= _MOST_KEYS:
            self._buckets.clear()
        self._buckets[key_id] = (tokens - 1, now)


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
