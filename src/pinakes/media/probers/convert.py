"""A picture in another format, in full resolution, made with libvips. Imported in a child process only.

What the new format has room for is kept: EXIF, XMP, IPTC and the colour profile. The picture is turned upright, because
not every format can say that it lies on its side. Where there is no room for transparency it stands on white. Frames
are kept between GIF and WebP; of any other animation the first is taken.
"""

from typing import Any

import pyvips

from pinakes.media.probers import containers, images
from pinakes.media.protocol import MAX_CONVERTED, Answer, Converted, Limits, Refused, Source

_MOVING = {"gif", "webp"}
_MOST_SIDE = {"webp": 16_383, "avif": 16_384}
_EIGHT_BITS = {"srgb", "b-w", "cmyk", "multiband", "histogram", "matrix"}
_NAMES = {"jpeg": "JPEG", "webp": "WebP"}
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "avif": ("heifsave_buffer", {"compression": "av1", "Q": 65, "effort": 2}),
    "gif": ("gifsave_buffer", {"effort": 4}),
    "jpeg": ("jpegsave_buffer", {"Q": 92, "optimize_coding": True}),
    "png": ("pngsave_buffer", {"compression": 6}),
    "tiff": ("tiffsave_buffer", {"compression": "deflate", "predictor": "horizontal"}),
    "webp": ("webpsave_buffer", {"Q": 90, "effort": 3}),
}


def convert(format: str, source: Source, target: str, limits: Limits) -> Answer:
    """Refuse what is too large by its header, then make all of it."""
    try:
        data = source.data if source.path is None else images.mapped(source.path)
        return _convert(format, data, target, limits)
    except (pyvips.Error, MemoryError, OSError) as error:
        return images.refusal(error, limits, f"could not be converted to {_name(target)}.")


def _convert(format: str, data: bytes, target: str, limits: Limits) -> Answer:
    frames = (containers.frames(format, data) or 1) if {format, target} <= _MOVING else 1
    image = images.load(format, data)
    width, height = image.width, image.height
    if reason := _too_large(width, height, frames, target, limits):
        return Refused(reason)
    if frames > 1:
        image = images.load(format, data, n=-1)
    elif image.get_typeof("orientation") and image.get("orientation") > 1:
        # In memory, because it is not read in order; libvips would take a file for it, which it may not write here.
        image = image.copy_memory().autorot()
    verb, options = _SAVERS[target]
    made: bytes = getattr(_coloured(image, target), verb)(keep="all", **options)
    if len(made) > MAX_CONVERTED:
        return Refused(f"would have {len(made):,} bytes as {_name(target)}; at most {MAX_CONVERTED:,} can be had.")
    return Converted(made)


def _too_large(width: int, height: int, frames: int, target: str, limits: Limits) -> str:
    """What is too large about a picture; nothing if it is not."""
    size = f"is {width:,} x {height:,} pixels" + (f" in {frames:,} frames" if frames > 1 else "")
    most = _MOST_SIDE.get(target, images.MAX_SIDE)
    if max(width, height) > most:
        return f"{size}; {_name(target)} has room for {most:,} a side."
    if width * height * frames > limits.max_pixels:
        return f"{size}; at most {limits.max_pixels:,} in all are converted."
    return ""


def _coloured(image: pyvips.Image, target: str) -> pyvips.Image:
    """In colours that the format has: only TIFF and JPEG have those of print, and GIF has no profile to explain any.

    JPEG has 8 bits each, and nothing shines through.
    """
    if target == "jpeg":
        image = image if image.interpretation in _EIGHT_BITS else image.colourspace("srgb")
        return image.flatten(background=[255]) if image.hasalpha() else image
    has_profile = image.get_typeof("icc-profile-data") != 0
    is_print = image.interpretation == "cmyk" and target != "tiff"
    if is_print or (has_profile and target == "gif"):
        return image.icc_transform("srgb", embedded=True, input_profile="cmyk" if is_print else "srgb")
    return image


def _name(target: str) -> str:
    return _NAMES.get(target, target.upper())
