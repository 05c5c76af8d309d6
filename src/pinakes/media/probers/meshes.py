"""3D files: what they hold, and how they look. Imported in a child process only.

A file with more than can be drawn within the memory of the process is described without a picture, and so is one whose
arrays are not inside it: no other file, and no address, is ever opened.
"""

import io
import time
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from pinakes.asset_types import Facts
from pinakes.media.probers import gltf, looks, ply, polygons, render, scenes, thumbnails
from pinakes.media.probers.gltf import AbsentError, DamagedError
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

_BYTES_A_TRIANGLE = 1_024
"""Of memory, that reading and drawing take at most; as much is allowed for each point."""
_TIME_TO_DRAW = 0.6
"""Of the time there is; a picture that is not done by then is left out."""
_READERS = {"obj": polygons.obj, "stl": polygons.stl, "ply": ply.read}


def probe(type: str, source: Source, limits: Limits) -> Answer:
    """Refuses a file whose numbers do not fit each other or its size."""
    until = time.monotonic() + limits.time_limit_s * _TIME_TO_DRAW
    try:
        with io.BytesIO(source.data) if source.path is None else Path(source.path).open("rb") as file:
            facts, parts = _read(type, file, limits)
        return _answer(facts, parts, limits, type == "stl", until)
    except DamagedError as error:
        return Refused(str(error))
    except MemoryError:
        return Refused(f"needs more than {limits.memory_limit_bytes >> 20:,} MiB of memory to read.")


def _read(type: str, file: BinaryIO, limits: Limits) -> tuple[Facts, list[render.Part]]:
    size, most = file.seek(0, io.SEEK_END), limits.memory_limit_bytes // _BYTES_A_TRIANGLE
    file.seek(0)
    if type in _READERS:
        facts, part = _READERS[type](file, size, most)
        return facts, [part] if part else []
    found = gltf.read(file, size, type == "glb", limits.memory_limit_bytes // 8)
    facts, sides = scenes.facts(found.tree), scenes.sides(found.tree)
    if sides is not None:
        facts = msgspec.structs.replace(facts, dimensions=sides)
    try:
        is_small = scenes.drawn(found.tree) <= most
        return facts, scenes.parts(found, limits.max_pixels) if is_small else []
    except AbsentError:
        return facts, []


def _answer(facts: Facts, parts: list[render.Part], limits: Limits, is_z_up: bool, until: float) -> Answer:
    sides = _sides(parts)
    if sides is not None:
        facts = msgspec.structs.replace(facts, dimensions=sides)
    image = render.picture(parts, max(limits.thumbnail_sizes), is_z_up, until)
    if image is None:
        return Decoded(facts=facts)
    made, largest = thumbnails.make_and_keep(image, limits.thumbnail_sizes)
    return Decoded(thumbnails=made, facts=facts, look=looks.of(largest))


def _sides(parts: list[render.Part]) -> list[float] | None:
    """Of the box around all points that triangles use. None when there are none, or they are out of reach."""
    corners = []
    for part in parts:
        is_used = np.zeros(len(part.points), bool)
        is_used[part.triangles] = True
        used = part.points[is_used & np.isfinite(part.points).all(axis=1)]
        corners += [used.min(axis=0), used.max(axis=0)] if len(used) else []
    if not corners:
        return None
    return [float(f"{side:.6g}") for side in np.ptp(np.array(corners, np.float64), axis=0)]  # what 32 bits hold
