"""Model files that are damaged, cut short or hostile, through `Media.examine_file`: each is refused with its reason."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from weights_files import KOHYA, LORAS, gguf_file, raw, safetensors, tensor

from pinakes.errors import PinakesError
from pinakes.media import Media
from pinakes.media.probers.safetensors_header import MOST_HEADER

GOOD = tensor()
Refusal = Callable[[bytes, str], str]


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media(processes=1)
    yield media
    media.close()


@pytest.fixture
def refusal(media: Media, tmp_path: Path) -> Refusal:
    """What is said of a file of this name. The child process must live to say it, and say it soon."""

    def refusal(data: bytes, name: str) -> str:
        path = tmp_path / "file"
        path.write_bytes(data)
        return refused(media, path, name)

    return refusal


def refused(media: Media, path: Path, name: str) -> str:
    start = time.monotonic()
    with pytest.raises(PinakesError) as caught:
        media.examine_file("file", path, name)
    assert time.monotonic() - start < 10
    assert caught.value.code == "BAD_REQUEST"
    assert "could not be decoded" not in caught.value.message
    return caught.value.message


def named(name: bytes, times: int) -> bytes:
    return b"{" + b",".join(b'"%s":%s' % (name, json.dumps(GOOD).encode()) for _ in range(times)) + b"}"


SAFETENSORS: list[tuple[str, bytes, str]] = [
    ("a length alone", (8).to_bytes(8, "little"), "ends before its header"),
    ("half a length", b"\x08\0\0", "ends within the length"),
    ("no header", bytes(8), "not a JSON object"),
    ("a header to the end", raw(b'{"', length=2**20), "ends before its header"),
    ("a header of 10 GB", raw(b'{"', length=10 * 10**9), "has 10,000,000,000 bytes; at most 100,000,000"),
    ("a header of 16 EB", b"\xff" * 8 + b'{"', "at most 100,000,000"),
    ("a header one too long", raw({}, length=MOST_HEADER + 1), "at most 100,000,000"),
    ("cut JSON", raw(b'{"a": {"dtype"'), "not JSON"),
    ("a list", raw(b"[]"), "not a JSON object"),
    ("a space first", raw(b" {}"), "not a JSON object"),
    ("two objects", raw(b"{}{}"), "not JSON"),
    ("not UTF-8", raw(b'{"\xff": 1}'), "not JSON"),
    ("UTF-16", raw("{}".encode("utf-16-le")), "not JSON"),
    ("lists in lists", raw(b'{"a":' + b"[" * 100_000), "not JSON"),
    ("objects in objects", raw(b'{"a":' * 100_000), "not JSON"),
    ("lists in lists in a shape", raw(b'{"a":{"shape":' + b"[" * 900 + b"]" * 900 + b"}}"), "describes tensor"),
    ("a number of 5,000 digits", raw(b'{"a":{"shape":[' + b"9" * 5000 + b"]}}"), "not JSON"),
    ("half a million brackets", raw(b'{"a":[' + b"[]," * 500_001 + b"[]]}"), "more than 500,000 brackets"),
    ("two million commas", raw(b'{"a":[' + b"1," * 2_000_001 + b"1]}"), "or 2,000,000 commas"),
    ("a name twice", raw(named(b"a", 2), bytes(8)), "names 'a' twice"),
    ("a name 10,000 times", raw(named(b"a", 10_000), bytes(8)), "names 'a' twice"),
    ("a key twice", raw(b'{"a":{"dtype":"F16","dtype":"F32","shape":[]}}'), "names 'dtype' twice"),
    ("metadata twice", raw(b'{"__metadata__":{},"__metadata__":{}}'), "names '__metadata__' twice"),
    ("a number in metadata", raw({"__metadata__": {"a": 1}}), "metadata that are not texts"),
    ("an object in metadata", raw({"__metadata__": {"a": {}}}), "metadata that are not texts"),
    ("a null in metadata", raw({"__metadata__": {"a": None}}), "metadata that are not texts"),
    ("metadata that are a list", raw({"__metadata__": ["a"]}), "metadata that are not texts"),
    ("a tensor that is a text", raw({"a": "F16"}), "describes tensor 'a' wrongly"),
    ("no shape", raw({"a": {"dtype": "F16", "data_offsets": [0, 8]}}, bytes(8)), "missing required field `shape`"),
    ("no type", raw({"a": {"shape": [2, 2], "data_offsets": [0, 8]}}, bytes(8)), "missing required field `dtype`"),
    ("an unknown type", raw({"a": tensor("F17")}, bytes(8)), "unknown type 'F17'"),
    ("a type that is a number", raw({"a": tensor(16)}, bytes(8)), "describes tensor 'a' wrongly"),
    ("a negative side", raw({"a": tensor(shape=[-2, -2])}, bytes(8)), "describes tensor 'a' wrongly"),
    ("half a side", raw({"a": tensor(shape=[2, 2.5])}, bytes(8)), "describes tensor 'a' wrongly"),
    ("a side that is true", raw({"a": tensor(shape=[True, 4])}, bytes(8)), "describes tensor 'a' wrongly"),
    ("1,000 sides", raw({"a": tensor(shape=[1] * 1000)}, bytes(8)), "describes tensor 'a' wrongly"),
    ("a shape too large", raw({"a": tensor(shape=[2**40, 2**40])}, bytes(8)), "another number of bytes"),
    ("a shape that overflows", raw({"a": tensor(shape=[2**63, 2], offsets=[0, 0])}), "another number of bytes"),
    ("a shape too small", raw({"a": tensor(shape=[2])}, bytes(8)), "another number of bytes"),
    ("a byte and a half", raw({"a": tensor("F4", [3], [0, 1])}, bytes(1)), "another number of bytes"),
    ("one offset", raw({"a": tensor(offsets=[0])}, bytes(8)), "describes tensor 'a' wrongly"),
    ("three offsets", raw({"a": tensor(offsets=[0, 8, 16])}, bytes(16)), "describes tensor 'a' wrongly"),
    ("a negative offset", raw({"a": tensor(offsets=[-8, 0])}, bytes(8)), "describes tensor 'a' wrongly"),
    ("offsets backwards", raw({"a": tensor(offsets=[8, 0])}, bytes(8)), "another number of bytes"),
    ("offsets out of the file", raw({"a": tensor(offsets=[8, 16])}, bytes(8)), "does not start where"),
    ("offsets of 10 GB", raw({"a": tensor("U8", [10**10], [0, 10**10])}, bytes(8)), "9,999,999,992 bytes of"),
    ("tensors that overlap", raw({"a": GOOD, "b": tensor(offsets=[4, 12])}, bytes(12)), "'b' does not start where"),
    ("the same place twice", raw({"a": GOOD, "b": GOOD}, bytes(8)), "'b' does not start where"),
    ("a gap", raw({"a": GOOD, "b": tensor(offsets=[16, 24])}, bytes(24)), "'b' does not start where"),
    ("bytes at the end", raw({"a": GOOD}, bytes(9)), "1 bytes at its end that belong to no tensor"),
    ("bytes and no tensor", raw({}, b"#!/bin/sh\n"), "10 bytes at its end that belong to no tensor"),
    ("a missing byte", raw({"a": GOOD}, bytes(7)), "1 bytes of its tensors are missing"),
    ("a very long name", raw({"n" * 100_000: tensor("F17")}, bytes(8)), "nnn…"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), [pytest.param(*case[1:], id=case[0]) for case in SAFETENSORS])
def test_hostile_safetensors(refusal: Refusal, data: bytes, reason: str) -> None:
    message = refusal(data, "a.safetensors")
    assert reason in message
    assert len(message) < 300


def test_every_cut_of_a_safetensors_file(media: Media, tmp_path: Path) -> None:
    whole = safetensors(LORAS["kohya sd 1"][0], KOHYA)
    header = int.from_bytes(whole[:8], "little") + 8
    cuts = {len(whole) * tenth // 10 for tenth in range(1, 10)} | {1, 7, 8, 9, header - 1, header, len(whole) - 1}
    for cut in sorted(cuts):
        (tmp_path / "file").write_bytes(whole[:cut])
        assert "truncated" in refused(media, tmp_path / "file", "a.safetensors"), cut


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def head(tensors: int = 0, values: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values)


def one(type: int, value: bytes, key: bytes | str = "general.x") -> bytes:
    """A file with one value."""
    return head(values=1) + text(key) + struct.pack("<I", type) + value + bytes(64)


def place(name: str = "a", sides: tuple[int, ...] = (4, 4), type: int = 0, start: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, type, start)


def with_places(*places: bytes, size: int = 64) -> bytes:
    start = head(tensors=len(places)) + b"".join(places)
    return start + bytes(-len(start) % 32) + bytes(size)


STRING, ARRAY, U32, U8 = 8, 9, 4, 0
GGUF: list[tuple[str, bytes, str]] = [
    ("the name alone", b"GGUF", "does not start as one"),
    ("half a version", b"GGUF\3\0", "does not start as one"),
    ("no counts", b"GGUF\3\0\0\0", "ends within its header"),
    ("version 0", head(version=0), "is of version 0"),
    ("version 1", head(version=1), "is of version 1;"),
    ("version 4", head(version=4), "is of version 4;"),
    ("version 2,000,000,000", head(version=2_000_000_000), "is of version 2,000,000,000"),
    ("10 billion tensors", head(tensors=10**10), "10,000,000,000 tensors, more than fit"),
    ("10 billion values", head(values=10**10), "10,000,000,000 values, more than fit"),
    ("most tensors there can be", head(tensors=2**64 - 1), "more than fit"),
    ("most values there can be", head(values=2**64 - 1), "more than fit"),
    ("more values than are read", head(values=100_001) + bytes(13 * 100_001), "at most 100,000 are accepted"),
    ("more tensors than are read", head(tensors=200_001) + bytes(24 * 200_001), "at most 200,000 are accepted"),
    ("one value that is not there", head(values=1), "more than fit"),
    ("a key of 10 GB", head(values=1) + struct.pack("<Q", 10**10) + bytes(64), "10,000,000,000 bytes in a text"),
    ("a key of 70,000 bytes", one(U32, bytes(4), "k" * 70_000), "key that is too long"),
    ("a text of 16 EB", one(STRING, struct.pack("<Q", 2**64 - 1)), "more than fit"),
    ("a value of type 13", one(13, bytes(8)), "unknown type 13"),
    ("a value of type 4 billion", one(2**32 - 1, bytes(8)), "unknown type 4,294,967,295"),
    ("a key twice", head(values=2) + 2 * (text("general.x") + struct.pack("<II", U32, 1)), "key 'general.x' twice"),
    ("a list of 10 GB", one(ARRAY, struct.pack("<IQ", U8, 10**10)), "10,000,000,000 numbers in a list"),
    ("a list of 2**61 longs", one(ARRAY, struct.pack("<IQ", 10, 2**61)), "numbers in a list, more than fit"),
    ("a list of 10 billion texts", one(ARRAY, struct.pack("<IQ", STRING, 10**10)), "texts in a list, more than fit"),
    ("a list of an unknown type", one(ARRAY, struct.pack("<IQ", 99, 1)), "unknown type 99"),
    ("a list of lists", one(ARRAY, struct.pack("<IQ", ARRAY, 1) * 50), "list of lists"),
    ("a text in a list of 9 EB", one(ARRAY, struct.pack("<IQQ", STRING, 2, 2**63)), "longer than what is left"),
    ("a text in a list one too long", one(ARRAY, struct.pack("<IQQ", STRING, 1, 65)), "longer than what is left"),
    ("a tag that is too long", one(ARRAY, struct.pack("<IQQ", STRING, 1, 65), "general.tags"), "more than fit"),
    ("6 million texts", one(ARRAY, struct.pack("<IQ", STRING, 6_000_000) + bytes(48_000_000)), "more than 5,000,000"),
    ("an alignment of 0", one(U32, struct.pack("<I", 0), "general.alignment"), "no power of two"),
    ("an alignment of 33", one(U32, struct.pack("<I", 33), "general.alignment"), "no power of two"),
    ("an alignment that is a word", one(STRING, text("much"), "general.alignment"), "no power of two"),
    ("4 billion sides", head(tensors=1) + text("a") + b"\xff" * 4 + bytes(64), "4,294,967,295 dimensions"),
    ("sides that are not there", head(tensors=1) + text("a") + b"\x08\0\0\0" + bytes(11), "ends within"),
    ("a tensor larger than the file", with_places(place(sides=(2**40, 2))), "ends after the file does"),
    ("a tensor larger than any file", with_places(place(sides=(2**63,) * 8)), "ends after the file does"),
    ("one of an unknown type too", with_places(place(sides=(2**63,) * 8, type=999)), "ends after the file does"),
    ("a tensor after the file", with_places(place(start=64)), "ends after the file does"),
    ("a tensor at 16 EB", with_places(place(start=2**64 - 32)), "ends after the file does"),
    ("a tensor that is not aligned", with_places(place(start=4)), "not aligned to 32 bytes"),
    ("tensors that overlap", with_places(place(), place("b", start=32), size=128), "'b' within another"),
    ("a tensor twice", with_places(place(), place(start=64), size=128), "two tensors of the same name"),
    ("half a block", with_places(place(sides=(16, 4), type=8)), "not whole blocks of Q8_0"),
    ("no bytes", with_places(place(), size=0), "ends after the file does"),
    ("a byte too few", with_places(place(), size=63), "ends after the file does"),
    ("a name of 70,000 bytes", with_places(place("n" * 70_000)), "name that is too long"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), [pytest.param(*case[1:], id=case[0]) for case in GGUF])
def test_hostile_gguf(refusal: Refusal, data: bytes, reason: str) -> None:
    message = refusal(data, "a.gguf")
    assert reason in message
    assert len(message) < 300


def test_every_cut_of_a_gguf_file(media: Media, tmp_path: Path) -> None:
    shapes = {"token_embd.weight": (8, 64), "blk.0.attn_q.weight": (64, 64)}
    tokens = [f"token {number}" for number in range(500)]
    whole = gguf_file(tmp_path / "whole", "llama", shapes, general__name="Tiny", tokenizer__ggml__tokens=tokens)
    cuts = {len(whole) * tenth // 10 for tenth in range(1, 10)} | {5, 8, 9, 24, 25, 60, len(whole) - 1}
    for cut in sorted(cuts):
        (tmp_path / "file").write_bytes(whole[:cut])
        assert "truncated" in refused(media, tmp_path / "file", "a.gguf"), cut


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"GGUF\3\0\0\0", "a.safetensors", "the name says SAFETENSORS but the bytes are GGUF"),
        (raw({}), "a.gguf", "the name says GGUF but the bytes are SAFETENSORS"),
        (b"PK\3\4" + bytes(40), "a.safetensors", "the name says SAFETENSORS but the bytes are ZIP"),
        (raw({}), "a.png", "the name says PNG but the bytes are SAFETENSORS"),
    ],
)
def test_names_that_lie(refusal: Refusal, data: bytes, name: str, message: str) -> None:
    assert message in refusal(data, name)


@pytest.mark.parametrize("filler", ["x", "é", "😀"])
def test_the_largest_header_there_may_be(media: Media, tmp_path: Path, filler: str) -> None:
    (tmp_path / "file").write_bytes(largest(filler))
    found = media.examine_file("file", tmp_path / "file", "a.safetensors").model
    assert found is not None
    assert found.name == "Big"


def test_a_header_that_needs_too_much_memory(tmp_path: Path) -> None:
    """In a text with one emoji all other characters take four bytes as well."""
    media = Media(processes=1, memory_limit_bytes=512 << 20)
    try:
        (tmp_path / "file").write_bytes(largest("x", first="😀"))
        assert "needs more than 512 MiB of memory" in refused(media, tmp_path / "file", "a.safetensors")
        (tmp_path / "file").write_bytes(raw({"__metadata__": {"modelspec.title": "Next"}}))
        assert media.examine_file("file", tmp_path / "file", "").model is not None
    finally:
        media.close()


def largest(filler: str, first: str = "") -> bytes:
    """A header of 100 MB, nearly all of it one text."""
    start, end = b'{"__metadata__":{"modelspec.title":"Big","a":"' + first.encode(), b'"}}'
    room = MOST_HEADER - len(start) - len(end)
    middle = filler.encode() * (room // len(filler.encode()))
    return raw(start + middle + b" " * (room - len(middle)) + end)


def test_as_many_tensors_as_are_accepted(media: Media, tmp_path: Path) -> None:
    count, one = 160_000, b'"layers.%d.x":{"dtype":"F16","shape":[],"data_offsets":[%d,%d]}'
    tensors = b",".join(one % (number, 2 * number, 2 * number + 2) for number in range(count))
    (tmp_path / "file").write_bytes(raw(b"{" + tensors + b"}", bytes(2 * count)))
    found = media.examine_file("file", tmp_path / "file", "a.safetensors").model
    assert found is not None
    assert found.tensor_count == count


@pytest.mark.parametrize("format", ["safetensors", "gguf"])
def test_a_file_of_20_gb_is_not_read(media: Media, tmp_path: Path, format: str) -> None:
    """It is sparse, and takes no room; but to read it would take longer than a child has."""
    size = 20 * 10**9
    of_gguf = with_places(place(sides=(size,), type=24), size=0)
    header = of_gguf if format == "gguf" else raw({"a": tensor("I8", [size], [0, size])})
    with (tmp_path / "file").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    start = time.monotonic()
    found = media.examine_file("file", tmp_path / "file", f"a.{format}").model
    assert found is not None
    assert (found.parameter_count, found.dtype) == (size, "I8")
    assert time.monotonic() - start < 5
