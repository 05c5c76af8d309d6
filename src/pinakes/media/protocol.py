"""What the server and a decoding child say to each other over pipes: 8 bytes of length, then that many bytes.

The child says `READY` once. Then, for each image, the server sends its format and its bytes, and the child an `Answer`.
"""

from typing import BinaryIO

import msgspec

READY = b"ready"
MAX_ANSWER = 64 << 20  # three thumbnails are a few MiB; a child that says more is no longer ours


class Limits(msgspec.Struct, frozen=True):
    max_pixels: int
    time_limit_s: float
    memory_limit_bytes: int
    thumbnail_sizes: tuple[int, ...]


class Decoded(msgspec.Struct, frozen=True, tag=True):
    width: int
    height: int
    frames: int
    thumbnails: dict[int, bytes]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """`reason` continues a sentence that starts with the type: "the PNG …"."""

    reason: str


Answer = Decoded | Refused


def send(pipe: BinaryIO, data: bytes) -> None:
    for part in (len(data).to_bytes(8, "big"), data):
        rest = memoryview(part)
        while rest:
            rest = rest[pipe.write(rest) :]
    pipe.flush()


def receive(pipe: BinaryIO, most: int | None = None) -> bytes | None:
    """One message; None when the other side is gone, or says it has more than `most` bytes to say."""
    start = pipe.read(8)
    size = int.from_bytes(start, "big")
    if len(start) < 8 or (most is not None and size > most):
        return None
    data = pipe.read(size)
    return data if len(data) == size else None
