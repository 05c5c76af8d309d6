"""The rate limit: so many requests a second for each key, in bursts of as many."""

import time

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
                _headers=[(b"retry-after", str(wait).encode())],
            )
        if len(self._buckets) >= _MOST_KEYS:
            self._buckets.clear()
        self._buckets[key_id] = (tokens - 1, now)
