"""The items of metadata in an AVIF file (ISO/IEC 14496-12, 8.11): `Exif`, and XMP as `mime`."""

import struct
from collections.abc import Iterator

_MAX_ITEMS = 1_000
_MAX_EXTENTS = 100
_FORMATS = {2: ">H", 4: ">I", 8: ">Q"}

Extents = list[tuple[int, int]]
"""Where the parts of an item begin, and how long they are."""


def metadata(data: bytes, most: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each, at most so many bytes in all. struct.error, IndexError where the structure ends early."""
    top = {name: (at, end) for name, at, end in _boxes(data, 0, len(data))}
    if b"meta" not in top:
        return
    boxes = {name: (at, end) for name, at, end in _boxes(data, top[b"meta"][0] + 4, top[b"meta"][1])}
    kinds = dict(_kinds(data, *boxes[b"iinf"])) if {b"iinf", b"iloc"} <= boxes.keys() else {}
    for item, is_in_idat, extents in _places(data, boxes[b"iloc"][0]) if kinds else ():
        start, end = boxes.get(b"idat", (0, 0)) if is_in_idat else (0, len(data))
        size = sum(length for _, length in extents)
        if item in kinds and size <= most and all(start + at + length <= end for at, length in extents):
            most -= size
            yield kinds[item], b"".join(data[start + at : start + at + length] for at, length in extents)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of the contents of each box."""
    for _ in range(_MAX_ITEMS):
        if start + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", data, start + 8), 16
        size = size or end - start
        if size < header or start + size > end:
            return
        yield name, start + header, start + size
        start += size


def _kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """`infe` of version 2 and 3: item, protection, kind. Only the kinds that hold texts."""
    for name, at, _ in _boxes(data, start + (8 if data[start] else 6), end):
        if name == b"infe":
            item, _, kind = struct.unpack_from(">IH4s" if data[at] == 3 else ">HH4s", data, at + 4)
            if kind in (b"Exif", b"mime"):
                yield item, kind


def _places(data: bytes, start: int) -> Iterator[tuple[int, bool, Extents]]:
    """`iloc`: for each item whether it lies in `idat`, and its extents from there or the start of the file."""
    version, sizes = data[start], struct.unpack_from(">H", data, start + 4)[0]
    wide, method_size = (4 if version == 2 else 2), (2 if version else 0)
    base_size, at = sizes >> 4 & 15, start + 6 + wide
    for _ in range(min(_number(data, start + 6, wide), _MAX_ITEMS)):
        item, method = _number(data, at, wide), _number(data, at + wide, method_size) & 15
        at += wide + method_size + 2
        base, count = _number(data, at, base_size), _number(data, at + base_size, 2)
        extents, at = _extents(data, at + base_size + 2, count, sizes, base)
        yield item, method == 1, extents


def _extents(data: bytes, at: int, count: int, sizes: int, base: int) -> tuple[Extents, int]:
    """Those of one item, and where they end. `sizes` is four numbers of 4 bits: how many bytes each field takes."""
    offset_size, length_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes & 15
    step = index_size + offset_size + length_size
    starts = range(at + index_size, at + index_size + step * min(count, _MAX_EXTENTS), step or 1)
    found = [(base + _number(data, at, offset_size), _number(data, at + offset_size, length_size)) for at in starts]
    return found, at + step * count


def _number(data: bytes, at: int, size: int) -> int:
    """0 where a number takes no bytes. struct.error when it would lie outside."""
    return int(struct.unpack_from(_FORMATS[size], data, at)[0]) if size in _FORMATS else 0
