"""Uploaded bytes examined: what they are, how large, and their thumbnails. Uploaded bytes are hostile.

This process looks at first bytes and names only (`kinds`). Images are decoded (`images`) in child processes (`child`)
that a `pool` keeps, so a decoder that crashes, hangs or eats memory costs one answer, and libvips is never loaded here.
"""

import msgspec

from pinakes.asset_types import THUMBNAIL_SIZES, Kind
from pinakes.errors import bad_request
from pinakes.media import kinds
from pinakes.media.pool import Pool
from pinakes.media.protocol import Limits

__all__ = ["THUMBNAIL_SIZES", "Examined", "Media"]


class Examined(msgspec.Struct, frozen=True):
    """`width` and `height` are as displayed, after EXIF rotation. `frames` is 1 for what does not move."""

    kind: Kind
    mime_type: str
    width: int | None = None
    height: int | None = None
    format: str | None = None
    frames: int = 1
    thumbnails: dict[int, bytes] = {}


class Media:
    """Safe to use from many threads; at most `processes` images are decoded at a time, the others wait."""

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

        Raises BAD_REQUEST naming `image` for an empty file, a name that lies about the type, and an image that is
        damaged, truncated, too large, or that took the decoder down; UNAVAILABLE when decoding cannot be started.
        """
        if not data:
            raise bad_request("image", "the file is empty.")
        type = kinds.of(data, name)
        if type.name not in kinds.DECODED:
            return Examined(type.kind, type.mime_type)
        image = self._pool.decode(type, data)
        return Examined(type.kind, type.mime_type, image.width, image.height, type.name, image.frames, image.thumbnails)

    def close(self) -> None:
        """End the child processes, after the image each is at."""
        self._pool.close()
