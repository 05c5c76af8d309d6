"""The header of a GGUF file, read and held to the rules of the format. Imported in a child process only.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and constants.py and gguf_reader.py of PyPI's `gguf`.
`GGUF`, a version, how many tensors and how many values there are; the values by key; the tensors' names, shapes, types
and places; then their bytes, each aligned. Version 3 may have all numbers the other way round. Version 1, which hardly
any file has, has lengths of another size and is not read by others either.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from pinakes.media.probers.tensors import Header, Tensor, quoted, refusal

MOST_VALUES = 100_000
MOST_TENSORS = 200_000
MOST_ITEMS = 5_000_000
"""Texts in lists, all together. A vocabulary of 260,000 tokens with as many merges is the most that is known."""
MOST_TAGS = 100
MOST_KEY = 65_535
MOST_KEPT = 100_000
"""Bytes of a text that is kept; longer ones are passed over."""
MOST_DIMENSIONS = 8

_STRING, _ARRAY, _BOOL = 8, 9, 7
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "B", 10: "Q", 11: "q", 12: "d"}
# Type of a tensor's numbers: its name, how many make a block, bytes of a block.
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


class _Place(msgspec.Struct, frozen=True):
    """A tensor, and where its bytes are after the header. `size` is the least it can be for a type not known yet."""

    tensor: Tensor
    start: int
    size: int


class _Cursor:
    """Reads forward. Whatever the file says of its lengths is held against what is left of it, before it is used."""

    def __init__(self, file: BinaryIO, size: int, order: str) -> None:
        self.file, self.size, self.order = file, size, order
        self.items_left = MOST_ITEMS

    @property
    def left(self) -> int:
        return self.size - self.file.tell()

    def need(self, count: int, each: int, what: str) -> None:
        """So many of something, of so many bytes at least."""
        if count * each > self.left:
            raise refusal(f"is damaged or truncated: it says it has {count:,} {what}, more than fit into it.")

    def number(self, format: str) -> int | float:
        """One number."""
        data = self.file.read(struct.calcsize("<" + format))
        try:
            value: int | float = struct.unpack(self.order + format, data)[0]
        except struct.error:
            raise refusal("is truncated: it ends within its header.") from None
        return value

    def count(self, format: str = "Q") -> int:
        return int(self.number(format))

    def text(self, most: int) -> str | None:
        """A text of UTF-8; None, and passed over, when it is longer than `most` bytes."""
        length = self.count()
        self.need(length, 1, "bytes in a text")
        if length > most:
            self.file.seek(length, 1)
            return None
        return self.file.read(length).decode(errors="replace")


def read(file: BinaryIO, size: int) -> Header:
    """The header of a file of `size` bytes. Raises BAD_REQUEST for one that breaks the format's rules."""
    cursor = _Cursor(file, size, _order(file.read(8)))
    tensor_count, value_count = cursor.count(), cursor.count()
    _check_count(cursor, tensor_count, MOST_TENSORS, 24, "tensors")
    _check_count(cursor, value_count, MOST_VALUES, 13, "values")
    metadata = dict(_values(cursor, value_count))
    places = dict(_places(cursor, tensor_count))
    if len(places) < tensor_count:
        raise refusal("has two tensors of the same name.")
    _check_places(places, cursor, _alignment(metadata))
    return Header({name: place.tensor for name, place in places.items()}, metadata)


def _order(start: bytes) -> str:
    """`<` or `>`, the order of the bytes of numbers, by the version that makes sense in it."""
    if len(start) < 8 or not start.startswith(b"GGUF"):
        raise refusal("is damaged or truncated: it does not start as one.")
    order = ">" if start[4:6] == b"\0\0" else "<"
    (version,) = struct.unpack(order + "I", start[4:])
    if version not in (2, 3):
        raise refusal(f"is of version {version:,}; versions 2 and 3 are accepted.")
    return order


def _check_count(cursor: _Cursor, count: int, most: int, each: int, what: str) -> None:
    cursor.need(count, each, what)
    if count > most:
        raise refusal(f"says it has {count:,} {what}; at most {most:,} are accepted.")


def _values(cursor: _Cursor, count: int) -> Iterator[tuple[str, str]]:
    """Single values by key, and tags; other lists and very long texts are passed over."""
    seen = set[str]()
    for _ in range(count):
        key = cursor.text(MOST_KEY)
        if key is None or key in seen:
            raise refusal("has a key that is too long." if key is None else f"has the key {quoted(key)} twice.")
        seen.add(key)
        value = _value(cursor, cursor.count("I"), key == "general.tags")
        if value is not None:
            yield key, value


def _value(cursor: _Cursor, type: int, is_list_kept: bool) -> str | None:
    if type == _STRING:
        return cursor.text(MOST_KEPT)
    if type == _ARRAY:
        return _list(cursor, is_list_kept)
    value = cursor.number(_format(type))
    return str(bool(value)) if type == _BOOL else str(value)


def _format(type: int) -> str:
    if type not in _FORMATS:
        raise refusal(f"has a value of the unknown type {type:,}.")
    return _FORMATS[type]


def _list(cursor: _Cursor, is_kept: bool) -> str | None:
    """Lists in lists are allowed by the format, but nobody writes them, and other readers refuse them too."""
    type, count = cursor.count("I"), cursor.count()
    if type == _ARRAY:
        raise refusal("has a list of lists; those are not accepted.")
    if type != _STRING:
        width = struct.calcsize("<" + _format(type))
        cursor.need(count, width, "numbers in a list")
        cursor.file.seek(count * width, 1)
        return None
    cursor.need(count, 8, "texts in a list")
    cursor.items_left -= count
    if cursor.items_left < 0:
        raise refusal(f"has more than {MOST_ITEMS:,} texts in lists.")
    if is_kept and count <= MOST_TAGS:
        return ",".join(cursor.text(MOST_KEY) or "" for _ in range(count))
    _pass_texts(cursor, count)
    return None


def _pass_texts(cursor: _Cursor, count: int) -> None:
    """As `cursor.text` would, ten times as fast: this is nearly all the work there is in a language model's header."""
    read, seek, length = cursor.file.read, cursor.file.seek, struct.Struct(cursor.order + "Q")
    for _ in range(count):
        data = read(8)
        if len(data) < 8 or (size := length.unpack(data)[0]) > cursor.size:
            raise refusal("is damaged or truncated: a text in a list is longer than what is left of it.")
        seek(size, 1)
    if cursor.left < 0:
        raise refusal("is damaged or truncated: a text in a list is longer than what is left of it.")


def _places(cursor: _Cursor, count: int) -> Iterator[tuple[str, _Place]]:
    for _ in range(count):
        name = cursor.text(MOST_KEY)
        if name is None:
            raise refusal("has a tensor with a name that is too long.")
        dimensions = cursor.count("I")
        if dimensions > MOST_DIMENSIONS:
            raise refusal(
                f"gives tensor {quoted(name)} {dimensions:,} dimensions; at most {MOST_DIMENSIONS} are accepted."
            )
        sides = [cursor.count() for _ in range(dimensions)]
        type, start = cursor.count("I"), cursor.count()
        yield name, _place(name, sides, type, start)


def _place(name: str, sides: list[int], type: int, start: int) -> _Place:
    """GGUF puts the side first that varies fastest. It is rows of that one which are cut into blocks."""
    label, block, width = _TYPES.get(type, (f"type {type}", 8, 1))
    tensor = Tensor(label, tuple(reversed(sides)))
    if type in _TYPES and (sides[0] if sides else 1) % block:
        raise refusal(f"gives tensor {quoted(name)} rows that are not whole blocks of {label}.")
    return _Place(tensor, start, tensor.count // block * width)


def _alignment(metadata: dict[str, str]) -> int:
    value = metadata.get("general.alignment", "32")
    alignment = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
    if alignment < 1 or alignment & (alignment - 1):
        raise refusal(f"has its tensors aligned to {quoted(value)} bytes, which is no power of two.")
    return alignment


def _check_places(places: dict[str, _Place], cursor: _Cursor, alignment: int) -> None:
    """Each tensor is aligned, after the one before it, and within the file."""
    here = cursor.file.tell()
    size, end = cursor.size - (here + -here % alignment), 0
    for name, place in sorted(places.items(), key=lambda item: (item[1].start, item[1].size)):
        if place.start % alignment:
            raise refusal(f"has tensor {quoted(name)} at a place that is not aligned to {alignment:,} bytes.")
        if place.start < end:
            raise refusal(f"has tensor {quoted(name)} within another.")
        end = place.start + place.size
        if end > size:
            raise refusal(f"is damaged or truncated: tensor {quoted(name)} ends after the file does.")
