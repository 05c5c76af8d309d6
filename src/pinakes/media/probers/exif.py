"""Texts in the fields of TIFF, which is what EXIF is made of: those of the first page and of its EXIF page."""

import struct
from collections.abc import Iterator
from contextlib import suppress

from pinakes.media.probers import xmp
from pinakes.media.probers.text_codes import decoded, of_user_comment

_MAX_TEXT = 4 << 20
_MAX_FIELDS = 1_000
_EXIF_PAGE = 0x8769
_XMP = 700
_USER_COMMENT = 0x9286
_XP_COMMENT = 0x9C9C
_TEXTS = {
    0x010D: "documentname",
    0x010E: "imagedescription",
    0x010F: "make",
    0x0110: "model",
    0x0131: "software",
    0x927C: "makernote",
    _USER_COMMENT: "usercomment",
    _XP_COMMENT: "xpcomment",
}


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """By name. Quietly none where it is no TIFF, or its pages lie outside of it."""
    start = 6 if data[:6] == b"Exif\0\0" else 0
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    if order is None or len(data) < start + 16:
        return
    is_big = struct.unpack_from(order + "H", data, start + 2)[0] == 43
    with suppress(struct.error, OverflowError):
        (first,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, start + (8 if is_big else 4))
        pages = [first]
        for page in pages:
            for tag, value in _fields(data, start, page, order, is_big):
                if tag == _EXIF_PAGE and len(pages) == 1 and len(value) >= 4:
                    pages.append(int.from_bytes(value, "little" if order == "<" else "big"))
                elif tag == _XMP:
                    yield from xmp.texts(value)
                elif tag in _TEXTS:
                    yield _TEXTS[tag], _text(tag, value)


def _fields(data: bytes, start: int, page: int, order: str, is_big: bool) -> Iterator[tuple[int, bytes]]:
    """TIFF 6.0, section 2, and BigTIFF: the tags that are of use, each once, and their bytes."""
    count_format, entry_format, offset_format = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    inline, entry_size = struct.calcsize(offset_format), 20 if is_big else 12
    (count,) = struct.unpack_from(order + count_format, data, start + page)
    at, wanted = start + page + struct.calcsize(count_format), {*_TEXTS, _EXIF_PAGE, _XMP}
    for entry in range(at, at + min(count, _MAX_FIELDS) * entry_size, entry_size):
        tag, kind, length = struct.unpack_from(order + entry_format, data, entry)
        if tag not in wanted:
            continue
        wanted.remove(tag)
        size, where = length * (4 if kind in (4, 13) else 8 if kind in (16, 18) else 1), entry + entry_size - inline
        if size > inline:
            where = start + struct.unpack_from(order + offset_format, data, where)[0]
        if size <= _MAX_TEXT and where + size <= len(data):
            yield tag, data[where : where + size]


def _text(tag: int, value: bytes) -> str:
    if tag == _USER_COMMENT:
        return of_user_comment(value)
    if tag == _XP_COMMENT:
        return value.decode("utf-16-le", "replace").strip("\0")
    return decoded(value)
