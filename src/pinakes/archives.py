"""A ZIP that is put together while it is sent: nothing of it is kept, and its size is known before its first byte.

Files are stored as they are, because media are compressed already. The same entries give the same bytes each time, so
that a part of an archive can be asked for; what comes before it is read all the same, for the checksums at the end.
Source of the format: PKWARE's APPNOTE 6.3.10; the numbers in comments are its sections.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

import msgspec

from pinakes.errors import PinakesError

Read = Callable[[str, int], Iterator[bytes]]
"""The bytes of a blob, by its hash and size, in chunks."""

_CHUNK = 256 * 1024
_FULL = 0xFFFFFFFF  # what stands in a field of 4 bytes when the number is in the ZIP64 field beside it
_FULL_COUNT = 0xFFFF
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_SIZES_64 = struct.Struct("<2H2Q")  # 4.5.3
_DESCRIPTOR = struct.Struct("<4s3L")  # 4.3.9
_DESCRIPTOR_64 = struct.Struct("<4sL2Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_END_64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR_64 = struct.Struct("<4sLQL")  # 4.3.15
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_VERSION, _VERSION_64, _UNIX = 20, 45, 3 << 8
_FLAGS = 1 << 3 | 1 << 11  # the checksum comes after the data (it is not known sooner), and names are UTF-8
_MODE = 0o100644 << 16


class Entry(NamedTuple):
    """A file of an archive: its path there, its bytes, and when it was made, as `ids.iso` has it."""

    path: str
    sha256: str
    size: int
    created_at: str


def size(entries: Iterable[Entry]) -> int:
    """The bytes of the whole archive, to the byte, without reading any."""
    at = central = count = 0
    for entry in entries:
        central += len(_central(entry, 0, at))
        at += len(_local(entry)) + entry.size + len(_descriptor(entry, 0))
        count += 1
    return at + central + len(_end(count, central, at))


def tag(entries: Iterable[Entry]) -> str:
    """The same for the same archive, and another for any other."""
    return hashlib.sha256(msgspec.json.encode(list(entries))).hexdigest()


def stream(entries: Iterable[Entry], read: Read) -> Iterator[bytes]:
    """The archive in chunks. In the middle of it NOT_FOUND or UNAVAILABLE, for bytes that are missing or cut short."""
    held: list[bytes] = []
    waiting = 0
    for record in _records(entries, read):
        held.append(record)
        waiting += len(record)
        if waiting >= _CHUNK:
            yield b"".join(held)
            held, waiting = [], 0
    yield b"".join(held)


def part(chunks: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) of a stream. Chunks before them come as empty ones: whoever reads can stop in between."""
    at = 0
    for chunk in chunks:
        yield chunk[max(start - at, 0) : max(end - at, 0)]
        at += len(chunk)
        if at >= end:
            return


def _records(entries: Iterable[Entry], read: Read) -> Iterator[bytes]:
    at, directory = 0, []
    for entry in entries:
        yield _local(entry)
        crc = there = 0
        for chunk in read(entry.sha256, entry.size):
            crc = crc32(chunk, crc)
            there += len(chunk)
            yield chunk
        if there != entry.size:
            raise PinakesError("UNAVAILABLE", f"Only {there} of {entry.size} bytes of {entry.sha256} are there.")
        yield _descriptor(entry, crc)
        directory.append(_central(entry, crc, at))
        at += len(_local(entry)) + entry.size + len(_descriptor(entry, crc))
    yield from directory
    yield _end(len(directory), sum(map(len, directory)), at)


def _local(entry: Entry) -> bytes:
    path = entry.path.encode()
    extra, stated = (_SIZES_64.pack(1, 16, 0, 0), _FULL) if _is_large(entry) else (b"", 0)
    numbers = (_version(bool(extra)), _FLAGS, 0, *_time(entry), 0, stated, stated)
    return _LOCAL.pack(b"PK\3\4", *numbers, len(path), len(extra)) + path + extra


def _descriptor(entry: Entry, crc: int) -> bytes:
    record = _DESCRIPTOR_64 if _is_large(entry) else _DESCRIPTOR
    return record.pack(b"PK\7\b", crc, entry.size, entry.size)


def _central(entry: Entry, crc: int, at: int) -> bytes:
    path = entry.path.encode()
    wide = [entry.size, entry.size] * _is_large(entry) + [at] * (at >= _FULL)
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    stated, version = min(entry.size, _FULL), _version(bool(wide))
    numbers = (_UNIX | version, version, _FLAGS, 0, *_time(entry), crc, stated, stated)
    rest = (len(path), len(extra), 0, 0, 0, _MODE, min(at, _FULL))
    return _CENTRAL.pack(b"PK\1\2", *numbers, *rest) + path + extra


def _end(count: int, central: int, at: int) -> bytes:
    """`central` bytes of directory begin at `at`."""
    wide = b""
    if count >= _FULL_COUNT or central >= _FULL or at >= _FULL:
        versions = (_UNIX | _VERSION_64, _VERSION_64)
        wide = _END_64.pack(b"PK\6\6", _END_64.size - 12, *versions, 0, 0, count, count, central, at)
        wide += _LOCATOR_64.pack(b"PK\6\7", 0, at + central, 1)
    shown = min(count, _FULL_COUNT)
    return wide + _END.pack(b"PK\5\6", 0, 0, shown, shown, min(central, _FULL), min(at, _FULL), 0)


def _is_large(entry: Entry) -> bool:
    return entry.size >= _FULL


def _version(is_wide: bool) -> int:
    return _VERSION_64 if is_wide else _VERSION


def _time(entry: Entry) -> tuple[int, int]:
    """Time and date of MS-DOS (4.4.6), which knows the years 1980 to 2107 and every other second."""
    text = entry.created_at
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    return hour << 11 | minute << 5 | second >> 1, min(max(year - 1980, 0), 127) << 9 | month << 5 | day
