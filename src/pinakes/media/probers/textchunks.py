"""Where pictures keep texts, by the names of their fields in lower case.

Each walk goes from header to header and copies only what holds texts, within bounds. It ends quietly where the
structure does: whether a picture is whole is not asked here.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from pinakes.media.probers import avif_items, exif, xmp
from pinakes.media.probers.text_codes import decoded

MAX_TEXT = 4 << 20
MAX_TEXTS = 16 << 20
_MAX_PLACES = 64
_MAX_CHUNKS = 1_000_000
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"

Texts = Iterator[tuple[str, str]]
Places = Iterator[tuple[Callable[[bytes], Texts], bytes]]
"""How to read some bytes, and these."""


def texts(format: str, data: bytes) -> dict[str, str]:
    """The first of each name."""
    found, rest = dict[str, str](), MAX_TEXTS
    with suppress(struct.error, IndexError, OverflowError):  # cut short, or a bomb: what was found before stands
        for name, text in exif.texts(data) if format == "tiff" else _read(_WALKS.get(format, _none)(data)):
            rest -= len(text)
            if rest < 0:
                break
            found.setdefault(name.lower()[:100], text)
    return found


def _read(places: Places) -> Texts:
    rest = MAX_TEXTS
    for read, data in islice(places, _MAX_PLACES):
        rest -= len(data)
        if rest < 0:
            return
        yield from read(data)


def _png(data: bytes) -> Places:
    kinds = {b"tEXt": _text, b"zTXt": _packed_text, b"iTXt": _international_text, b"eXIf": exif.texts}
    at = 8
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in kinds and length <= MAX_TEXT:
            yield kinds[kind], data[at + 8 : at + 8 + length]
        at += length + 12


def _text(chunk: bytes) -> Texts:
    """PNG 3rd edition, 11.3.3. Latin-1 is the rule here, UTF-8 what many write."""
    keyword, _, text = chunk.partition(b"\0")
    yield decoded(keyword), decoded(text)


def _packed_text(chunk: bytes) -> Texts:
    keyword, _, packed = chunk.partition(b"\0")
    yield decoded(keyword), decoded(_inflated(packed[1:]))


def _international_text(chunk: bytes) -> Texts:
    keyword, _, rest = chunk.partition(b"\0")
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # past the names of the language and the keyword in it
    if rest[:1] == b"\1":
        text = _inflated(text)
    if keyword == b"XML:com.adobe.xmp":
        yield from xmp.texts(text)
    else:
        yield decoded(keyword), decoded(text)


def _inflated(packed: bytes) -> bytes:
    """Empty when it is damaged. IndexError, which ends the walk, when it would be longer than a text may be."""
    try:
        text = zlib.decompressobj().decompress(packed, MAX_TEXT + 1)
    except zlib.error:
        return b""
    if len(text) > MAX_TEXT:
        raise IndexError
    return text


def _jpeg(data: bytes) -> Places:
    """ITU T.81, B.1: markers and their segments up to the first scan."""
    at = 2
    for _ in range(_MAX_CHUNKS):
        start, marker = data[at], data[at + 1]
        if start != 0xFF or marker in (0xD9, 0xDA):
            return
        if marker == 0xFF or marker == 1 or 0xD0 <= marker <= 0xD8:  # padding, or a marker without a segment
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in (0xFE, 0xE1):
            yield _comment if marker == 0xFE else _app1, data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _comment(data: bytes) -> Texts:
    yield "comment", decoded(data)


def _app1(segment: bytes) -> Texts:
    if segment.startswith(b"Exif\0"):
        yield from exif.texts(segment)
    elif segment.startswith(_XMP_IN_JPEG):
        yield from xmp.texts(segment[len(_XMP_IN_JPEG) :])


def _webp(data: bytes) -> Places:
    kinds = {b"EXIF": exif.texts, b"XMP ": xmp.texts}
    at = 12
    for _ in range(_MAX_CHUNKS):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in kinds and length <= MAX_TEXTS:
            yield kinds[kind], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _gif(data: bytes) -> Places:
    """GIF89a: comments (`!`, 0xFE) among images and extensions; each is a chain of blocks of up to 255 bytes."""
    at = 13 + _gif_table(data[10])
    for _ in range(_MAX_CHUNKS):
        start, kind = data[at], data[at + 1]
        if start not in (0x21, 0x2C):
            return
        at += 2 if start == 0x21 else 11 + _gif_table(data[at + 9])
        is_comment, blocks = start == 0x21 and kind == 0xFE, list[bytes]()
        while length := data[at]:
            if is_comment and len(blocks) <= MAX_TEXT // 255:
                blocks.append(data[at + 1 : at + 1 + length])
            at += 1 + length
        at += 1
        if is_comment:
            yield _comment, b"".join(blocks)


def _gif_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _avif(data: bytes) -> Places:
    for kind, item in avif_items.metadata(data, MAX_TEXTS):
        yield _exif_item if kind == b"Exif" else xmp.texts, item


def _exif_item(item: bytes) -> Texts:
    """ISO/IEC 23008-12, A.2.1: 4 bytes say where TIFF begins."""
    yield from exif.texts(item[4 + int.from_bytes(item[:4], "big") :])


def _none(_: bytes) -> Places:
    return iter(())


_WALKS = {"png": _png, "jpeg": _jpeg, "webp": _webp, "gif": _gif, "avif": _avif}
