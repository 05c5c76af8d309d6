"""Whether a video or audio file is all there. FFmpeg plays what is left of a file cut short, and says nothing.

Each walk skips from length to length and reads a few bytes at each stop, whatever the size of the file.
"""

from collections.abc import Callable
from typing import BinaryIO

_MAX_BOXES = 1_000_000
_STREAMED = 0x7FFF_F000
"""A RIFF length from here on (or 0) was written before the length was known."""
_MAX_OGG_PAGE = 65_307


def is_whole(format: str, file: BinaryIO) -> bool:
    """False when the structure of the file says that it goes on after its end. `format` is the name of a demuxer.

    True as well when nobody can tell: what was written as a stream has no length, and raw AAC and FLAC have none.
    """
    size = file.seek(0, 2)
    walk = _WALKS.get(format)
    is_whole = walk is None or walk(file, size)
    file.seek(0)
    return is_whole


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _mov(file: BinaryIO, size: int) -> bool:
    """ISO/IEC 14496-12, 4.2: box after box; bytes that are no box may follow the last one."""
    at = 0
    for _ in range(_MAX_BOXES):
        header = _read(file, at, 16)
        if len(header) < 8:
            return not any(header)
        if not header[4:8].isalnum():
            return at > 0
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: up to the end of the file
            return length == 0
        at += length
        if at >= size:
            return at == size
    return False


def _riff(file: BinaryIO, size: int) -> bool:
    """One `RIFF` chunk, or several in a large AVI (OpenDML 1.02); other bytes may follow."""
    at = 0
    for _ in range(_MAX_BOXES):
        header = _read(file, at, 8)
        if header[:4] != b"RIFF":
            return at > 0
        length = int.from_bytes(header[4:8], "little")
        if length == 0 or length >= _STREAMED:
            return True
        at += 8 + length
        if at > size:
            return False
        at += length % 2
    return False


def _matroska(file: BinaryIO, size: int) -> bool:
    """RFC 8794: the EBML header, then the segment. A length of ones alone is unknown."""
    start, length, _ = _ebml(_read(file, 4, 8), 4)
    after = start + length
    start, length, is_known = _ebml(_read(file, after + 4, 8), after + 4)
    return not is_known or start + length <= size


def _ebml(data: bytes, at: int) -> tuple[int, int, bool]:
    """Where the contents begin whose length stands at `at`, that length, and whether it is known."""
    width = 9 - data[0].bit_length() if data and data[0] else 8
    mask = (1 << 7 * width) - 1
    length = int.from_bytes(data[:width], "big") & mask
    return at + width, length, length != mask


def _ogg(file: BinaryIO, size: int) -> bool:
    """RFC 3533: the last page must end inside the file."""
    tail = _read(file, max(size - _MAX_OGG_PAGE, 0), _MAX_OGG_PAGE)
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    segments = page[26] if len(page) > 26 else 255
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def _mp3(file: BinaryIO, size: int) -> bool:
    """A first frame of `Xing` or `Info` may say how many bytes there are; a 64th is left for what encoders forget."""
    tag = _read(file, 0, 10)
    start = 0
    if tag.startswith(b"ID3"):  # ID3v2.4, 3.1: four bytes of seven bits
        start = 10 + sum(byte << 7 * (9 - at) for at, byte in enumerate(tag) if at > 5)
    frame = _read(file, start, 64)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or not frame[at + 7] & 2:
        return start < size
    at += 12 if frame[at + 7] & 1 else 8
    length = int.from_bytes(frame[at : at + 4], "big")
    return start + length - size <= length >> 6


_WALKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "mov": _mov,
    "matroska": _matroska,
    "avi": _riff,
    "wav": _riff,
    "ogg": _ogg,
    "mp3": _mp3,
}
