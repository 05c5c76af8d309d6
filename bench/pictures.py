"""Pictures of about as many bytes as generated ones have, made by code, no two alike.

They differ in a text inside, which costs nothing to make; decoding them costs what it costs for real ones.
"""

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pyvips

sys.path.append(str(Path(__file__).parents[1] / "tests" / "media"))  # the files that the tests use

from pictures import encode, photo

_SIZES = ((1024, 1024), (832, 1216), (1344, 768), (1536, 1024), (640, 960))
_MEGABYTE_SIZES = ((640, 960), (960, 640), (768, 768), (704, 832))
"""0.6 megapixels, which with the grain below are about 1 MB as PNG."""
_PROMPT = "a red fox in the snow, {n}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: {n}"


def mixed() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of 0.2 to 2.5 MB: PNG as often as JPEG and WebP together."""
    bases = [(format, _base(format, *size)) for size in _SIZES for format in ("png", "jpeg", "png", "webp")]
    for number, (format, data) in enumerate(cycle(bases)):
        text = _PROMPT.format(n=number).encode()
        yield f"{number:05}.{format}", _TELLERS[format](data, text)


def of_a_megabyte() -> Iterator[bytes]:
    """PNG of about 1 MB."""
    bases = [encode(_painting(*size, 0.8), "png", compression=6) for size in _MEGABYTE_SIZES]
    for number, data in enumerate(cycle(bases)):
        yield _tell_png(data, _PROMPT.format(n=number).encode())


def _base(format: str, width: int, height: int) -> bytes:
    """About as many bytes as a generated picture of that size has."""
    if format == "png":
        return encode(_painting(width, height, 0.8), "png", compression=6)
    return encode(_painting(width, height, 7), format, Q=92)


def _painting(width: int, height: int, grain: float) -> pyvips.Image:
    """Smooth shapes with some grain."""
    clouds = photo(width // 8, height // 8).gaussblur(1.5).resize(8.0)
    clouds = clouds.crop(0, 0, min(clouds.width, width), min(clouds.height, height))
    noise = pyvips.Image.gaussnoise(clouds.width, clouds.height, mean=0, sigma=grain, seed=3)
    return (clouds + noise).cast("uchar").copy(interpretation="srgb").copy_memory()


def _tell_png(data: bytes, text: bytes) -> bytes:
    """After the header, where AUTOMATIC1111 writes it."""
    chunk = b"tEXt" + b"parameters\0" + text
    return data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def _tell_jpeg(data: bytes, text: bytes) -> bytes:
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]


def _tell_webp(data: bytes, text: bytes) -> bytes:
    """A chunk that decoders do not know, at the end."""
    text += b" " * (len(text) % 2)
    body = data[8:] + b"note" + struct.pack("<I", len(text)) + text
    return b"RIFF" + struct.pack("<I", len(body)) + body


_TELLERS: dict[str, Callable[[bytes, bytes], bytes]] = {"png": _tell_png, "jpeg": _tell_jpeg, "webp": _tell_webp}
