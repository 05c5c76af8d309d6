"""Uploaded bytes examined: what they are, how large, and their pictures. Uploaded bytes are hostile.

This process looks at first bytes and names only (`kinds`). Probers (`images`, …) decode in child processes (`child`)
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
    is_probed: bool = True


class Media:
    """Safe to use from many threads; at most `processes` files are decoded at a time, the others wait."""

    def __init__(
        self,
        *,
        max_pixels: int = 268_000_000,
        time_limit_s: float = 20.0,
        memory_limit_bytes: int = 1 << 30,
        processes: int = 2,
    ) -> None:
        self._pool = Pool(processes, Limits(max_pixels, time_limit_s, memory_limit_bytes, THUMBNAIL_SIZES))

    def examine(self, data: bytes, name: str) -> Examined:
        """Type a file; decode it and make WebP thumbnails (sRGB, upright, first frame) if it is an image we decode.

        What takes longer is left for `examine_file`: it is not probed. Raises BAD_REQUEST naming `image` for an empty
        file, a name that lies about the type, and an image that is damaged, truncated, too large, or that took the
        decoder down; UNAVAILABLE when decoding cannot be started.
        """
        type = self.type_of("image", data[:HEAD_BYTES], name)
        if type.name in kinds.DECODED:
            return self._probe("image", type, data, None)
        return Examined(type.kind, type.mime_type, format=_format(type), is_probed=type.name not in kinds.PROBERS)

    def examine_file(self, field: str, path: Path, name: str) -> Examined:
        """Type a file of any size and kind, and look into it. Raises as `examine` does, naming `field`."""
        with path.open("rb") as file:
            type = self.type_of(field, file.read(HEAD_BYTES), name)
        if type.name in kinds.PROBERS:
            return self._probe(field, type, b"", str(path))
        return Examined(type.kind, type.mime_type, format=_format(type))

    def type_of(self, field: str, head: bytes, name: str) -> Type:
        """What the start of a file and its name say it is. BAD_REQUEST for an empty file and a name that lies."""
        if not head:
            raise bad_request(field, "the file is empty.")
        return kinds.of(field, head, name)

    def _probe(self, field: str, type: Type, data: bytes, path: str | None) -> Examined:
        found = self._pool.probe(field, type, data, path)
        return Examined(
            kind=type.kind,
            mime_type=type.mime_type,
            format=_format(type),
            **{name: getattr(found, name) for name in found.__struct_fields__},
        )

    def close(self) -> None:
        """End the child processes, after the file each is at."""
        self._pool.close()


def _format(type: Type) -> str | None:
    return None if type is kinds.UNKNOWN else type.name
