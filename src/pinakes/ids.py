"""New ids, and the clock. Tests replace `now_ms` and `random_bits`.

An id is a prefix and the 128 bits of a UUIDv7 (RFC 9562) in 22 base-62 digits whose ASCII order is their numeric order,
so ids of one process sort by creation and the newest rows of a table lie together.
"""

import hashlib
import secrets
import threading
import time
from datetime import datetime, timedelta

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
WIDTH = 22
_PAIRS = [high + low for high in DIGITS for low in DIGITS]
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout; an offset would be printed

_lock = threading.Lock()
_last_tick = 0


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def random_bits() -> int:
    """62 bits nobody can guess."""
    return secrets.randbits(62)


def new(prefix: str) -> str:
    """A new id such as `asset_01AbC…`; later calls in this process give later ids, also when the clock steps back."""
    global _last_tick
    with _lock:
        _last_tick = max(_last_tick + 1, now_ms() << 12)
        tick = _last_tick
    value = (tick >> 12) << 80 | 7 << 76 | (tick & 0xFFF) << 64 | 2 << 62 | random_bits()
    return f"{prefix}_{_base62(value)}"


def derived(prefix: str, *parts: str) -> str:
    """The id that always stands for something named elsewhere. It tells nothing of the name."""
    digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).digest()
    return f"{prefix}_{_base62(int.from_bytes(digest[:16]))}"


def _base62(value: int) -> str:
    pairs = []
    for _ in range(WIDTH // 2):
        value, pair = divmod(value, 62 * 62)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))


def now() -> str:
    """The time as it is stored and sent: ISO 8601, UTC, milliseconds."""
    return iso(now_ms())


def iso(ms: int) -> str:
    """`2023-02-03T11:19:41.579Z`, the one form of a time everywhere; it sorts as text.

    OverflowError outside the years 1 to 9999, which alone have this form.
    """
    return f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')}Z"
