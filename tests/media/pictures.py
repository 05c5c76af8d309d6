"""Pictures made by code, in every format that is decoded."""

import struct
import zlib
from functools import cache

import pyvips

FORMATS = ("png", "jpeg", "webp", "gif", "avif", "tiff")
MIME_TYPES = {format: f"image/{format}" for format in FORMATS}


def photo(width: int, height: int, seed: int = 1) -> pyvips.Image:
    """A gradient with grain, so that it does not compress to nothing."""
    grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=12, seed=seed)
    xy = pyvips.Image.xyz(width, height)
    bands = (xy[0] * 255 / width + grain).bandjoin([xy[1] * 255 / height + grain, xy[0] * 200 / width])
    return bands.cast("uchar").copy(interpretation="srgb")


def encode(image: pyvips.Image, format: str, **options: object) -> bytes:
    if format == "avif":
        return bytes(image.heifsave_buffer(compression="av1", effort=0, **options))
    if format == "gif":
        options = {"effort": 1, **options}
    return bytes(image.write_to_buffer(f".{format}", **options))


@cache
def picture(format: str, width: int = 320, height: int = 240) -> bytes:
    return encode(photo(width, height), format)


@cache
def animation(format: str, frames: int = 6, width: int = 80, height: int = 60) -> bytes:
    """Animated GIF or WebP, or a TIFF of several pages."""
    images = [photo(width, height, seed) for seed in range(1, frames + 1)]
    strip = pyvips.Image.arrayjoin(images, across=1).copy_memory()
    strip.set_type(pyvips.GValue.gint_type, "page-height", height)
    return encode(strip, format)


def rotated_jpeg(width: int, height: int, orientation: int) -> bytes:
    """Left half red, right half blue as stored."""
    left, right = (pyvips.Image.black(width // 2, height).linear(1, colour) for colour in ([255, 0, 0], [0, 0, 255]))
    image = left.join(right, "horizontal").cast("uchar").copy(interpretation="srgb").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return encode(image, "jpeg")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *extra: bytes) -> bytes:
    """An 8-bit grey PNG by hand; `pixels` are compressed already and need not be enough."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black_png(width: int, height: int) -> bytes:
    """All of its pixels, in a thousandth of their size."""
    compressor = zlib.compressobj(9)
    row = bytes(width + 1)
    rows = b"".join(compressor.compress(row) for _ in range(height))
    return png(width, height, rows + compressor.flush())


def open_webp(data: bytes) -> pyvips.Image:
    return pyvips.Image.webpload_buffer(data)
