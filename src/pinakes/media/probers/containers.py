"""Walks over the structure of image files, to find what decoding the first frame does not show.

libvips reads a GIF cut short as a GIF with fewer frames, and never looks at a TIFF's later pages or a PNG's last bytes.
Each walk skips from length to length, touches no pixel, and stops where one points past the end.
"""

import struct
from collections.abc import Callable, Iterator


def frames(format: str, data: bytes) -> int | None:
    """How many frames an animation has, 1 for a still; None when the file ends before its structure does."""
    walk: dict[str, Callable[[bytes], int]] = {"png": _png, "gif": _gif, "tiff": _tiff, "avif": _avif, "webp": _webp}
    try:
        return max(walk[format](data), 1) if format in walk else 1
    except (struct.error, IndexError, OverflowError):  # the last is what an offset of 2**63 is
        return None


def _need(is_whole: bool) -> None:
    if not is_whole:
        raise IndexError


def _png(data: bytes) -> int:
    """PNG 3rd edition, 5.3: length, type, data, CRC; up to IEND. `acTL` holds the number of frames."""
    at, frames = 8, 1
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        _need(at + length + 12 <= len(data))
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
        if kind == b"IEND":
            return int(frames)
        at += length + 12


def _gif(data: bytes) -> int:
    """GIF89a: screen, then images (`,`) and extensions (`!`), each a chain of blocks of up to 255 bytes, up to `;`."""
    at, frames = 13 + _gif_table(data[10]), 0
    while data[at] != 0x3B:
        _need(data[at] in (0x2C, 0x21))
        if data[at] == 0x2C:
            frames += 1
            at += 11 + _gif_table(data[at + 9])
        else:
            at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    return frames


def _gif_table(flags: int) -> int:
    """Bytes of the colour table that follows, if one does."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> int:
    """RIFF: the length of all, then chunks padded to even lengths; each `ANMF` is a frame."""
    (length,) = struct.unpack_from("<I", data, 4)
    _need(length + 8 <= len(data))
    at, frames = 12, 0
    while at + 8 <= length + 8:
        kind, size = struct.unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        at += 8 + size + size % 2
    _need(at <= length + 8)
    return frames


def _avif(data: bytes) -> int:
    """ISO/IEC 14496-12: boxes in boxes. A sequence says in `stsz` of its first track how many samples it has."""
    path, start, end = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"), 0, len(data)
    for depth, kind in enumerate(path):
        found = [(at, until) for name, at, until in _boxes(data, start, end) if name == kind]
        if not found or (depth == 0 and data[8:12] != b"avis"):
            return 1
        start, end = found[0]
    return int(struct.unpack_from(">I", data, start + 8)[0])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of the contents of each box; all of them must fit."""
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", data, start + 8), 16
        size = size or end - start
        _need(size >= header and start + size <= end)
        yield name, start + header, start + size
        start += size


# TIFF 6.0, section 2, and BigTIFF: field type -> bytes each.
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_FORMATS = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TIFF_PIXELS = ((273, 279), (324, 325))  # where strips begin and how long they are; the same of tiles
_TIFF_CHILDREN = 330
_TIFF_MAX_PAGES = 10_000


def _tiff(data: bytes) -> int:
    """Every page's fields, strips and tiles must lie inside the file. Pages are not frames: always 1."""
    order = "<" if data[:2] == b"II" else ">"  # of what is mapped, too: that is no `bytes`
    is_big = data[2 if order == "<" else 3] == 43
    pages, seen = list(struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)), set[int]()
    while pages:
        at = pages.pop()
        if at and at not in seen:
            seen.add(at)
            _need(len(seen) <= _TIFF_MAX_PAGES)
            pages += _tiff_page(data, at, order, is_big)
    return 1


def _tiff_page(data: bytes, at: int, order: str, is_big: bool) -> tuple[int, ...]:
    """Where the page after this one and the pages inside it begin."""
    count_format, entry_format, offset_format = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    offset_size, entry_size = struct.calcsize(offset_format), 20 if is_big else 12
    (count,) = struct.unpack_from(order + count_format, data, at)
    at += struct.calcsize(count_format)
    _need(at + count * entry_size + offset_size <= len(data))
    values: dict[int, tuple[int, ...]] = {}
    for entry in range(at, at + count * entry_size, entry_size):
        tag, kind, length = struct.unpack_from(order + entry_format, data, entry)
        size, where = _TIFF_SIZES.get(kind, 0) * length, entry + entry_size - offset_size
        if size > offset_size:
            (where,) = struct.unpack_from(order + offset_format, data, where)
        _need(where + size <= len(data))
        if kind in _TIFF_FORMATS and tag in (_TIFF_CHILDREN, *_TIFF_PIXELS[0], *_TIFF_PIXELS[1]):
            values[tag] = struct.unpack_from(f"{order}{length}{_TIFF_FORMATS[kind]}", data, where)
    for starts, lengths in _TIFF_PIXELS:
        pixels = zip(values.get(starts, ()), values.get(lengths, ()), strict=False)
        _need(all(start + length <= len(data) for start, length in pixels))
    return values.get(_TIFF_CHILDREN, ()) + struct.unpack_from(order + offset_format, data, at + count * entry_size)
