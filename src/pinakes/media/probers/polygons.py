"""The points and triangles of OBJ and STL files. Imported in a child process only.

What a header promises is compared with the size of the file before anything is allocated. A file with more than can be
drawn is counted only. No other file is looked for, whatever `mtllib` says.
"""

import itertools
import re
from array import array
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from pinakes.asset_types import Facts
from pinakes.media.probers.gltf import DamagedError
from pinakes.media.probers.render import Array, Part

CUT = "is damaged or truncated."
_CHUNK = 4 << 20
_VERTEX = re.compile(rb"\bvertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", re.IGNORECASE)

Found = tuple[Facts, Part | None]
"""A part is None when there is none, or too much of it to draw."""


def obj(file: BinaryIO, size: int, most: int) -> Found:
    """Wavefront OBJ. Of a file with more than 72 bytes for each triangle that can be drawn, only lines are counted."""
    if size > 72 * most:
        return _count_obj(file), None
    points, colours, triangles = array("f"), array("f"), array("i")
    faces, materials, words_seen = 0, set[bytes](), set[bytes]()
    for number, line in enumerate(_joined(file), 1):
        word, _, rest = line.strip().partition(b" ")
        try:
            if word == b"v":
                values = [float(value) for value in rest.split()]
                points.extend((values[0], values[1], values[2]))
                colours.extend(values[3:6] if len(values) == 6 else ())
            elif word == b"f":
                added = _polygon(rest.split(), len(points) // 3)
                faces += len(added) // 3
                triangles.extend(added if faces <= most else ())
            elif word == b"usemtl":
                materials.add(rest)
            words_seen.add(word[:3])
        except (ValueError, IndexError, OverflowError) as error:
            raise DamagedError(f"is damaged or truncated at line {number:,}.") from error
    if not points:
        raise DamagedError("holds no points: it is not a Wavefront OBJ, or it is damaged.")
    facts = Facts(
        face_count=faces,
        vertex_count=len(points) // 3,
        material_count=len(materials),
        has_normals=b"vn" in words_seen,
        has_uvs=b"vt" in words_seen,
    )
    if faces > most:
        return facts, None
    part = Part(rows(points), within(rows(triangles), len(points) // 3))
    is_coloured = len(colours) == len(points)
    return facts, part._replace(colours=light(rows(colours)), tint=(1, 1, 1)) if is_coloured else part


def _joined(file: BinaryIO) -> Iterator[bytes]:
    """Lines; one that ends with a backslash goes on with the next."""
    start = b""
    for line in file:
        if line.endswith((b"\\\n", b"\\\r\n")):
            start += line.rstrip()[:-1] + b" "
        else:
            yield start + line
            start = b""


def _polygon(corners: list[bytes], points: int) -> list[int]:
    """Triangles of a polygon; its corners are `point/uv/normal`, counted from 1, or back from the last one so far."""
    if len(corners) < 3:
        raise ValueError
    found = [int(corner.partition(b"/")[0]) for corner in corners]
    return fan([number - 1 if number > 0 else points + number if number < 0 else -1 for number in found])


def fan(corners: list[int]) -> list[int]:
    """Triangles of a polygon, one after the other."""
    pairs = itertools.pairwise(corners[1:])
    return [corner for second, third in pairs for corner in (corners[0], second, third)]


def _count_obj(file: BinaryIO) -> Facts:
    counts, tail = {b"\nv ": 0, b"\nf ": 0}, b"\n"
    while chunk := file.read(_CHUNK):
        text = tail + chunk
        for start in counts:
            counts[start] += text.count(start)
        tail = text[-2:]
    return Facts(vertex_count=counts[b"\nv "], face_count=counts[b"\nf "])


def stl(file: BinaryIO, size: int, most: int) -> Found:
    """STL, binary or text. Each triangle has points of its own, so there are three times as many points."""
    header = file.read(84)
    count = int.from_bytes(header[80:84], "little")
    if len(header) == 84 and count and 84 + 50 * count <= size:
        triangles: Array | None = None
        if count <= most:
            row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
            triangles = np.frombuffer(file.read(50 * count), row)["corners"]
    elif header.lstrip()[:5].lower() == b"solid":
        file.seek(0)
        count, triangles = _stl_text(file, most)
    else:
        raise DamagedError(CUT)
    facts = Facts(face_count=count, vertex_count=3 * count, material_count=0, has_normals=True, has_uvs=False)
    if triangles is None:
        return facts, None
    points = np.ascontiguousarray(triangles.reshape(-1, 3), np.float32)
    return facts, Part(points, np.arange(len(points), dtype=np.int32).reshape(-1, 3))


def _stl_text(file: BinaryIO, most: int) -> tuple[int, Array | None]:
    """`facet normal … outer loop vertex … vertex … vertex … endloop endfacet`, over and over, then `endsolid`."""
    found, corners, rest, tail = [np.empty((0, 3), np.float32)], 0, b"", b""
    while chunk := file.read(_CHUNK):
        lines, end, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > _CHUNK:
            raise DamagedError(CUT)
        tail = (tail + lines)[-4096:] + end + rest
        if corners <= 3 * most:
            found.append(_parsed(lines))
            corners += len(found[-1])
        else:  # no more than counted
            corners += lines.lower().count(b"vertex")
    if corners <= 3 * most:
        found.append(_parsed(rest))
    corners += rest.lower().count(b"vertex")
    if b"endsolid" not in tail.lower() or corners % 3 or not corners:
        raise DamagedError(CUT)
    return corners // 3, np.concatenate(found) if corners <= 3 * most else None


def _parsed(lines: bytes) -> Array:
    """The points in some lines, three numbers each."""
    points = array("f")
    try:
        for row in _VERTEX.findall(lines):
            points.extend(map(float, row))
    except (ValueError, OverflowError) as error:
        raise DamagedError(CUT) from error
    return rows(points)


def rows(values: "array[float] | array[int]") -> Array:
    """Three a row."""
    return np.frombuffer(values, values.typecode).reshape(-1, 3)


def within(triangles: Array, points: int) -> Array:
    """Triangles between so many points, checked."""
    if triangles.size and (int(triangles.min()) < 0 or int(triangles.max()) >= points):
        raise DamagedError("has polygons between points it does not have.")
    return triangles.astype(np.int32)


def light(colours: Array) -> Array:
    """sRGB from 0 to 1 as linear light."""
    linear: Array = np.clip(np.nan_to_num(colours), 0, 1).astype(np.float32) ** np.float32(2.2)
    return linear
