"""Uploaded bytes examined: what they are, how large, and their pictures. Uploaded bytes are hostile.

This process looks at first bytes and names only (`kinds`). The `probers` decode in child processes (`child`)
that a `pool` keeps, so a decoder that crashes, hangs or eats memory costs one answer, and none is ever loaded here.
"""

from pathlib import Path

import msgspec

from pinakes.asset_types import THUMBNAIL_SIZES, Facts, Generation, Kind
from pinakes.errors import bad_request
from pinakes.media import kinds
from pinakes.media.kinds import Type
from pinakes.media.pool import Pool
from pinakes.media.protocol import Limits
from pinakes.model_types import ModelFacts

__all__ = ["THUMBNAIL_SIZES", "Examined", "Media"]

HEAD_BYTES = 4096
"""The start of a file by which its type is told."""


class Examined(msgspec.Struct, frozen=True):
    """`width` and `height` are as displayed, after EXIF rotation. `frames` is 1 for what does not move.

    `is_probed` is False for a file that nobody has looked into yet, and that a prober could.
    """

    kind: Kind
    mime_type: str
    width: int | None = None
    height: int | None = None
    format: str | None = None
    frames: int = 1
    thumbnails: dict[int, bytes] = {}
    preview: bytes | None = None
    facts: Facts = Facts()
    generation: Generation | None = None
    look: int | None = None
    model: ModelFacts | None = None
    picture: bytes | None = None
    is_probed: bool = True


class Media:
    """Safe to use from many threads; at most `processes` pictures and as many other files are decoded at a time."""

    def __init__(
        self,
        *,
        max_pixels: int = 268_000_000,
        time_limit_s: float = 20.0,
        memory_limit_bytes: int = 1 << 30,
        processes: int = 2,
    ) -> None:
        limits = Limits(max_pixels, time_limit_s, memory_limit_bytes, THUMBNAIL_SIZES)
        self._pool = Pool(processes, limits)
        self._background = Pool(processes, limits)  # its own, so that nobody who waits for a picture waits for a film

    def examine(self, data: bytes, name: str) -> Examined:
        """Type a file; decode it and make WebP thumbnails (sRGB, upright, first frame) if it is an image we decode.

        What takes longer is left for `examine_file`: it is not probed. Raises BAD_REQUEST naming `image` for an empty
        file, a name that lies about the type, and an image that is damaged, truncated, too large, or that took the
        decoder down; UNAVAILABLE when decoding cannot be started.
        """
        type = self.type_of("image", data[:HEAD_BYTES], name)
        if type.name in kinds.DECODED:
            return self._probe(self._pool, "image", type, data)
        return Examined(type.kind, type.mime_type, format=_format(type), is_probed=type.name not in kinds.PROBERS)

    def examine_file(self, field: str, path: Path, name: str) -> Examined:
        """Type a file of any size and kind, and look into it. Raises as `examine` does, naming `field`."""
        with path.open("rb") as file:
            type = self.type_of(field, file.read(HEAD_BYTES), name)
        if type.name in kinds.PROBERS:
            return self._probe(self._background, field, type, b"", str(path))
        return Examined(type.kind, type.mime_type, format=_format(type))

    def needed(self, name: str, head: bytes) -> int | None:
        """How many bytes of a file of this name and start are looked at; None for all of them."""
        type = kinds.guess(head[:HEAD_BYTES], name)
        return kinds.HEADS.get(type.name) if type.name in kinds.PROBERS else HEAD_BYTES

    def convert(self, field: str, path: Path, format: str, target: str) -> bytes:
        """A stored picture in another format, whole; both are names of `kinds.DECODED`. Raises as `examine` does."""
        return self._pool.convert(field, kinds.TYPES[format], str(path), target)

    def mime_type_of(self, format: str) -> str:
        """The media type of a format that we know."""
        return kinds.TYPES[format].mime_type

    def ending_of(self, format: str | None, name: str) -> str:
        """The ending for a file of this format: the one that its name has if that fits, else the usual one."""
        return kinds.ending_of(format, name)

    def type_of(self, field: str, head: bytes, name: str) -> Type:
        """What the start of a file and its name say it is. BAD_REQUEST for an empty file and a name that lies."""
        if not head:
            raise bad_request(field, "the file is empty.")
        return kinds.of(field, head, name)

    def _probe(self, pool: Pool, field: str, type: Type, data: bytes, path: str | None = None) -> Examined:
        found = pool.probe(field, type, data, path)
        return Examined(
            kind=type.kind,
            mime_type=type.mime_type,
            format=_format(type),
            **{name: getattr(found, name) for name in found.__struct_fields__},
        )

    def close(self) -> None:
        """End the child processes, after the file each is at."""
        self._pool.close()
        self._background.close()


def _format(type: Type) -> str | None:
    return None if type is kinds.UNKNOWN else type.name
