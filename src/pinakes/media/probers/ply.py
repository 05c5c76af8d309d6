"""The points and triangles of PLY 1.0 files, text or binary. Imported in a child process only.

What the header promises is compared with the size of the file before anything is allocated.
"""

import struct
from array import array
from typing import BinaryIO, NamedTuple

import numpy as np

from pinakes.asset_types import Facts
from pinakes.media.probers.gltf import DamagedError
from pinakes.media.probers.polygons import CUT, Found, fan, light, rows, within
from pinakes.media.probers.render import Array, Part

_MOST_HEADER_LINES = 1_000
_MOST_LINE = 1 << 20
_MOST_SIDES = 1 << 16


class Property(NamedTuple):
    """Of a PLY element. `length` is the type of a list's length, None for a single value."""

    name: str
    type: str
    length: str | None


class Element(NamedTuple):
    name: str
    total: int
    properties: list[Property]

    @property
    def is_flat(self) -> bool:
        return all(property.length is None for property in self.properties)


_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")


def read(file: BinaryIO, size: int, most: int) -> Found:
    """What there is, and its polygons of any mixture of sides; they are not drawn with more than 64 bytes for each of
    the `most` triangles that can be.
    """
    order, elements = _header(file)
    rest = size - file.tell()
    least = sum(element.total * _least(element, order) for element in elements)
    if least > rest + (not order):  # the last line of a text may not end
        raise DamagedError(f"promises {least:,} bytes at least; {rest:,} follow its header.")
    by_name = {element.name: element for element in elements}
    if any(len({property.name for property in element.properties}) < len(element.properties) for element in elements):
        raise DamagedError("has an element with two properties of one name.")
    points, faces = by_name.get("vertex"), by_name.get("face")
    names = {property.name for property in points.properties} if points else set[str]()
    if points is None or not {"x", "y", "z"} <= names:
        raise DamagedError("has no points with x, y and z.")
    has_normals = {"nx", "ny", "nz"} <= names
    facts = Facts(
        face_count=faces.total if faces else 0,
        vertex_count=points.total,
        material_count=by_name["material"].total if "material" in by_name else 0,
        has_normals=has_normals,
        has_uvs=bool(names & {"s", "u", "texture_u"}),
    )
    if faces is None or not faces.total or max(points.total, faces.total) > most or rest > 64 * most:
        return facts, None
    values, triangles = _body(file, order, elements, most)
    if values is None or triangles is None:
        return facts, None
    part = Part(_columns(values, "x", "y", "z"), within(triangles, points.total))
    if has_normals:
        part = part._replace(normals=_columns(values, "nx", "ny", "nz"))
    if {"red", "green", "blue"} <= names:
        scale = {"u1": 255, "u2": 65_535}.get(next(p.type for p in points.properties if p.name == "red"), 1)
        part = part._replace(colours=light(_columns(values, "red", "green", "blue") / scale), tint=(1, 1, 1))
    return facts, part


def _header(file: BinaryIO) -> tuple[str, list[Element]]:
    """The byte order, empty for text, and what follows the header."""
    order, elements = None, list[Element]()
    try:
        for _ in range(_MOST_HEADER_LINES):
            words = file.readline(4096).decode("latin-1").split()
            if words[:1] == ["end_header"] and order is not None:
                return order, elements
            if words[:1] == ["format"]:
                order = _ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(Element(words[1], _count(words[2]), []))
            elif words[:2] == ["property", "list"] and _TYPES[words[2]][0] != "f":
                elements[-1].properties.append(Property(words[4], _TYPES[words[3]], _TYPES[words[2]]))
            elif words[:1] == ["property"]:
                elements[-1].properties.append(Property(words[2], _TYPES[words[1]], None))
    except (KeyError, IndexError, ValueError) as error:
        raise DamagedError("has a header that cannot be understood.") from error
    raise DamagedError("has a header that does not end.")


def _count(word: str) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 15:
        raise ValueError
    return int(word)


def _least(element: Element, order: str) -> int:
    """Bytes that one of an element takes if all its lists are empty."""
    if not order:
        return max(2 * len(element.properties), 1)  # a digit and what ends it
    return sum(np.dtype(property.length or property.type).itemsize for property in element.properties)


def _body(file: BinaryIO, order: str, elements: list[Element], most: int) -> tuple[Array | None, Array | None]:
    """The points, as a structured array, and the triangles; None when they are too many."""
    values: Array | None = None
    triangles: Array | None = None
    for element in elements:
        if element.name == "vertex" and not element.is_flat:
            raise DamagedError("has lists in its points.")
        if not element.properties and order:
            continue
        if element.is_flat:
            read = _flat(file, order, element) if order else _flat_text(file, element)
            values = read if element.name == "vertex" else values
        else:
            read_lists = _lists(file, order, element, most) if order else _lists_text(file, element, most)
            triangles = read_lists if element.name == "face" else triangles
    return values, triangles


def _flat(file: BinaryIO, order: str, element: Element) -> Array:
    row = np.dtype([(property.name, order + property.type) for property in element.properties])
    data = file.read(row.itemsize * element.total)
    if len(data) < row.itemsize * element.total:
        raise DamagedError(CUT)
    return np.frombuffer(data, row, element.total)


def _flat_text(file: BinaryIO, element: Element) -> Array:
    row = np.dtype([(property.name, "f8") for property in element.properties])
    values, width = array("d"), len(element.properties)
    try:
        for _ in range(element.total):
            values.extend(map(float, file.readline(_MOST_LINE).split()[:width]))
    except ValueError as error:
        raise DamagedError(CUT) from error
    if len(values) != element.total * width:
        raise DamagedError(CUT)
    return np.frombuffer(values, row)


def _lists_text(file: BinaryIO, element: Element, most: int) -> Array | None:
    triangles = array("q")
    try:
        for _ in range(element.total):
            words, at, corners = file.readline(_MOST_LINE).split(), 0, list[int]()
            for property in element.properties:
                length = 1 if property.length is None else int(words[at]) + 1
                if property.name in _CORNERS:
                    corners = [int(word) for word in words[at + 1 : at + length]]
                at += length
            if at > len(words) or length < 1:
                raise ValueError
            triangles.extend(fan(corners))
            if len(triangles) > 3 * most:
                return None
    except (ValueError, IndexError, OverflowError) as error:
        raise DamagedError(CUT) from error
    return rows(triangles)


def _lists(file: BinaryIO, order: str, element: Element, most: int) -> Array | None:
    """Mostly every polygon of a file has as many corners: then all are read at once. Otherwise one by one."""
    start = file.tell()
    data = file.read()
    used, corners = _alike(data, order, element)
    if corners is None:
        used, triangles = _one_by_one(data, order, element, most)
    elif corners.size > 3 * most:
        return None
    else:
        sides = range(1, corners.shape[1] - 1)
        triangles = np.stack([corners[:, (0, at, at + 1)] for at in sides], axis=1).reshape(-1, 3)
    file.seek(start + used)
    return triangles


def _alike(data: bytes, order: str, element: Element) -> tuple[int, Array | None]:
    """Bytes read, and the corners if every list of every polygon is as long as in the first."""
    fields, at = list[tuple[str, str] | tuple[str, str, int]](), 0
    for number, property in enumerate(element.properties):
        if property.length is None:
            fields.append((property.name, order + property.type))
        else:
            length = np.dtype(order + property.length)
            if at + length.itemsize > len(data):
                raise DamagedError(CUT)
            held = int(np.frombuffer(data, length, 1, at)[0])
            if not 0 <= held <= _MOST_SIDES:
                return 0, None
            fields += [(f"length {number}", order + property.length), (property.name, order + property.type, held)]
        at = np.dtype(fields).itemsize
    row = np.dtype(fields)
    if element.total * row.itemsize > len(data):
        return 0, None
    values = np.frombuffer(data, row, element.total)
    are_alike = all((values[name] == values[name][0]).all() for name in row.names or () if name.startswith("length "))
    corners = next((values[name] for name in _CORNERS if name in (row.names or ())), None)
    if not are_alike or corners is None or corners.ndim != 2 or corners.shape[1] < 3:
        return 0, None
    return element.total * row.itemsize, corners


def _one_by_one(data: bytes, order: str, element: Element, most: int) -> tuple[int, Array | None]:
    triangles, at = array("q"), 0
    codes = [
        (property.name in _CORNERS, property.length and _code(order, property.length), _code("", property.type))
        for property in element.properties
    ]
    try:
        for _ in range(element.total):
            for is_corners, length_code, code in codes:
                length = 1
                if length_code:
                    (length,) = struct.unpack_from(length_code, data, at)
                    at += struct.calcsize(length_code)
                values = struct.unpack_from(f"{order}{length}{code}", data, at)
                at += struct.calcsize(f"{order}{length}{code}")
                if is_corners:
                    triangles.extend(fan(list(values)))
            if len(triangles) > 3 * most:
                return at, None
    except (struct.error, OverflowError, TypeError) as error:
        raise DamagedError(CUT) from error
    return at, rows(triangles)


def _code(order: str, type: str) -> str:
    return order + np.dtype(type).char


def _columns(values: Array, *names: str) -> Array:
    return np.stack([values[name].astype(np.float32) for name in names], axis=1)
