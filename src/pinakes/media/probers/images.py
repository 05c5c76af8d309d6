"""One picture decoded with libvips: its size, how it looks, its thumbnails. Imported in a child process only."""

import mmap
import re
from pathlib import Path
from typing import Any

import pyvips

from pinakes.media.probers import containers, generation, looks, thumbnails
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

MAX_SIDE = 65_535
# In the words of libvips, libjpeg and libheif.
_NO_MEMORY = re.compile("out of memory|insufficient memory|memory allocation", re.IGNORECASE)
_LOADERS = {
    "png": ("VipsForeignLoadPng", pyvips.Image.pngload_buffer),
    "jpeg": ("VipsForeignLoadJpeg", pyvips.Image.jpegload_buffer),
    "webp": ("VipsForeignLoadWebp", pyvips.Image.webpload_buffer),
    "gif": ("VipsForeignLoadNsgif", pyvips.Image.gifload_buffer),
    "avif": ("VipsForeignLoadHeif", pyvips.Image.heifload_buffer),
    "tiff": ("VipsForeignLoadTiff", pyvips.Image.tiffload_buffer),
}


def set_up() -> None:
    """Close every way into libvips but the loaders of the six formats and SVG, and keep nothing between images."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name, _ in _LOADERS.values():
        pyvips.operation_block_set(name, False)
    pyvips.operation_block_set("VipsForeignLoadSvg", False)  # for `drawings`
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(2)


def probe(format: str, source: Source, limits: Limits) -> Answer:
    """Look at the header and refuse what is too large, then read every pixel of the first frame once.

    Later frames are walked over (`containers`), not decoded: that finds a file cut short, and costs next to nothing
    however long the animation is.
    """
    try:
        return _decode(format, source.data if source.path is None else mapped(source.path), limits)
    except (pyvips.Error, MemoryError, OSError) as error:
        return refusal(error, limits, "is damaged or truncated.")


def refusal(error: Exception, limits: Limits, otherwise: str) -> Refused:
    """What to say of a file that libvips could not finish with: that memory was short, or something else."""
    if isinstance(error, MemoryError | OSError) or _NO_MEMORY.search(str(error)):
        return Refused(f"needs more than {limits.memory_limit_bytes >> 20:,} MiB of memory to decode.")
    return Refused(otherwise)


def mapped(path: str) -> bytes:
    """A file as if it were in memory. OSError when it does not fit into the memory this process may have."""
    with Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # type: ignore[return-value]  # it reads as bytes


def _decode(format: str, data: bytes, limits: Limits) -> Answer:
    frames = containers.frames(format, data)
    if frames is None:
        return Refused("is damaged or truncated.")
    image = load(format, data)
    width, height = image.width, image.height
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE:
        at_most = f"at most {limits.max_pixels:,} in all and {MAX_SIDE:,} a side are accepted"
        return Refused(f"is {width:,} x {height:,} pixels; {at_most}.")
    if image.get_typeof("orientation") and image.get("orientation") >= 5:  # EXIF: it lies on its side
        width, height = height, width
    shrink = _shrink(format, image, max(limits.thumbnail_sizes))
    made, small = thumbnails.make_and_keep(load(format, data, **shrink) if shrink else image, limits.thumbnail_sizes)
    return Decoded(width, height, frames, made, generation=generation.of_picture(format, data), look=looks.of(small))


def load(format: str, data: bytes, **options: Any) -> pyvips.Image:
    """The picture, of which nothing but the header was read yet. pyvips.Error when that is damaged."""
    return _LOADERS[format][1](data, access="sequential", fail_on="error", **options)


def _shrink(format: str, image: pyvips.Image, size: int) -> dict[str, Any]:
    """JPEG and WebP can decode straight to a smaller size. JPEG can by 2, 4 or 8: the last 2 is left to do well."""
    factor = max(image.width, image.height) / size
    if format == "jpeg" and factor >= 4:
        return {"shrink": next(shrink for shrink in (8, 4, 2) if factor >= 2 * shrink)}
    return {"scale": 1 / factor} if format == "webp" and factor > 1 else {}
