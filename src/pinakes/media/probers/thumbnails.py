"""Pictures of files, made with libvips. Imported in a child process only."""

import pyvips


def make(image: pyvips.Image, sizes: tuple[int, ...]) -> dict[int, bytes]:
    """WebP by the pixels of the longer side. The largest is made from the image, the smaller ones from it.

    Upright and in sRGB; an image that fits a size is not enlarged.
    """
    thumbnails, _ = make_and_keep(image, sizes)
    return thumbnails


def make_and_keep(image: pyvips.Image, sizes: tuple[int, ...]) -> tuple[dict[int, bytes], pyvips.Image]:
    """The thumbnails, and the largest of them as it was before it was encoded."""
    largest, *smaller = sorted(sizes, reverse=True)
    image = _srgb(_fit(image, largest)).copy_memory()
    whole = _webp(image)
    fits = max(image.width, image.height)
    smaller_ones = {size: whole if fits <= size else _webp(_fit(image, size)) for size in smaller}
    return {largest: whole} | smaller_ones, image


def animate(frames: list[pyvips.Image], delay_ms: int) -> bytes:
    """A looping animated WebP of frames of the same size."""
    page = frames[0]
    roll = pyvips.Image.arrayjoin(frames, across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", page.height)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [delay_ms] * len(frames))
    roll.set_type(pyvips.GValue.gint_type, "loop", 0)
    return bytes(roll.webpsave_buffer(Q=60, effort=2))


def _fit(image: pyvips.Image, size: int) -> pyvips.Image:
    """Shrink to a square of `size` and turn upright."""
    # Asked for a profile, libvips converts colours pixel by pixel even where it would change nothing: 10 times slower.
    profile = {"export_profile": "srgb"} if image.get_typeof("icc-profile-data") else {}
    return image.thumbnail_image(size, height=size, size="down", **profile)


def _srgb(image: pyvips.Image) -> pyvips.Image:
    is_colour = image.interpretation not in ("srgb", "multiband", "histogram", "matrix")
    return image.colourspace("srgb") if is_colour else image


def _webp(image: pyvips.Image) -> bytes:
    """Effort 2 of 6 takes half the time of the default and gives the same size."""
    return bytes(image.webpsave_buffer(Q=80, effort=2, keep="none"))
