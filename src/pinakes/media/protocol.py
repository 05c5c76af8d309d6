"""What the server and a decoding child say to each other over pipes: 8 bytes of length, then that many bytes.

The child says `READY` once. Then, for each file, the server sends a `Request` and the file's bytes (none, when the
request names a path), and the child an `Answer`.
"""

from pathlib import Path
from typing import BinaryIO

import msgspec

from pinakes.asset_types import Facts, Generation
from pinakes.model_types import ModelFacts

READY = b"ready"
MAX_ANSWER = 64 << 20  # three thumbnails and a preview are a few MiB; a child that says more is no longer ours
MAX_CONVERTED = 256 << 20
"""Bytes that a whole picture in another format may have. It is in the server's memory while it is stored."""


class Limits(msgspec.Struct, frozen=True):
    max_pixels: int
    time_limit_s: float
    memory_limit_bytes: int
    thumbnail_sizes: tuple[int, ...]


class Request(msgspec.Struct, frozen=True):
    """Which type (a name of `kinds.TYPES`) to look into, or to make a `target` of. `path` None: the bytes follow."""

    type: str
    path: str | None = None
    target: str | None = None


class Decoded(msgspec.Struct, frozen=True, tag=True):
    """What a file turned out to be. Sides in pixels as displayed; None for what is not seen.

    `thumbnails` are WebP by the pixels of their longer side, `preview` is a short animated WebP. `look` is a perceptual
    hash of 64 bits: files that look alike differ in few of them. `model` is what a model file says, `picture` a file
    that is embedded in it as its preview, as it is.
    """

    width: int | None = None
    height: int | None = None
    frames: int = 1
    thumbnails: dict[int, bytes] = {}
    preview: bytes | None = None
    facts: Facts = Facts()
    generation: Generation | None = None
    look: int | None = None
    model: ModelFacts | None = None
    picture: bytes | None = None


class Converted(msgspec.Struct, frozen=True, tag=True):
    """A file in another format."""

    data: bytes


class Refused(msgspec.Struct, frozen=True, tag=True):
    """`reason` continues a sentence that starts with the type: "the PNG …"."""

    reason: str


Answer = Decoded | Converted | Refused


class Source(msgspec.Struct, frozen=True):
    """A file to look into: one in the file system, else bytes in memory."""

    path: str | None
    data: bytes

    def start(self, most: int) -> bytes:
        """Its first bytes, at most so many."""
        if self.path is None:
            return self.data[:most]
        with Path(self.path).open("rb") as file:
            return file.read(most)


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
