"""How a picture looks, in 64 bits: the perceptual hash by which look-alikes are found. Imported in a child only.

The discrete cosine transform of a small grey picture; its 64 lowest frequencies, each compared with their median.
Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), the DCT hash.
"""

from math import cos, pi
from operator import mul
from statistics import median

import pyvips

_SIDE = 32
_KEPT = 8
_COSINES = [[cos(pi * frequency * (2 * at + 1) / (2 * _SIDE)) for at in range(_SIDE)] for frequency in range(_KEPT)]


def of(image: pyvips.Image) -> int:
    """The hash of an upright sRGB image, as a signed integer of 64 bits. What is transparent counts as white."""
    if image.hasalpha():
        image = image.flatten(background=255)
    small = image.resize(_SIDE / image.width, vscale=_SIDE / image.height, kernel="linear").colourspace("b-w")
    pixels = small.extract_band(0).cast("uchar").write_to_memory()
    rows = [pixels[at : at + _SIDE] for at in range(0, _SIDE * _SIDE, _SIDE)]
    across = [[sum(map(mul, row, wave)) for row in rows] for wave in _COSINES]
    values = [sum(map(mul, column, wave)) for wave in _COSINES for column in across]
    middle = median(values[1:])  # the first is the mean brightness: it says nothing of what is seen
    bits = sum(1 << at for at, value in enumerate(values) if value > middle)
    return bits - (1 << 64) if bits >> 63 else bits
