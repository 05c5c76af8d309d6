"""The walks over the structure of a file, without a decoder."""

import struct

import pytest
from pictures import FORMATS, animation, encode, photo, picture, png, png_chunk

from pinakes.media.probers.containers import frames


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def sequence(samples: int, brand: bytes = b"avis") -> bytes:
    """The boxes of an AVIF sequence that matter."""
    nested = box(b"stsz", bytes(8), struct.pack(">I", samples))
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        nested = box(b"free", b"..") + box(kind, nested)
    return box(b"ftyp", brand, bytes(4)) + nested


def tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """One page at 8 with these (tag, type, count, value) fields, and where the next page is said to be."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + fields + struct.pack("<I", following)


@pytest.mark.parametrize("format", FORMATS)
def test_stills(format: str) -> None:
    assert frames(format, picture(format)) == 1


@pytest.mark.parametrize(("format", "count"), [("gif", 6), ("webp", 6), ("tiff", 1)])
def test_animations(format: str, count: int) -> None:
    assert frames(format, animation(format)) == count


@pytest.mark.parametrize("format", ["png", "gif", "webp", "tiff", "avif"])
@pytest.mark.parametrize("is_animated", [False, True])
def test_cut_short_anywhere(format: str, is_animated: bool) -> None:
    data = animation(format) if is_animated and format in ("gif", "webp", "tiff") else picture(format)
    for length in [len(data) * tenth // 10 for tenth in range(1, 10)] + [len(data) - 1]:
        assert frames(format, data[:length]) is None, length


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"tile": True, "pyramid": True, "subifd": True}])
def test_other_tiffs(options: dict[str, bool]) -> None:
    data = encode(photo(300, 200), "tiff", **options)
    assert frames("tiff", data) == 1
    assert frames("tiff", data[: len(data) * 9 // 10]) is None


def test_big_endian_tiff() -> None:
    assert frames("tiff", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIII", 1, 256, 3, 1, 5 << 16, 0)) == 1
    assert frames("tiff", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIII", 1, 256, 3, 1, 5 << 16, 999)) is None


def test_a_tiff_whose_pages_go_round_in_a_circle() -> None:
    assert frames("tiff", tiff((256, 3, 1, 5), following=8)) == 1


@pytest.mark.parametrize(
    "entries",
    [
        [(270, 2, 5000, 8)],  # a text
        [(273, 4, 1, 8), (279, 4, 1, 5000)],  # a strip
        [(324, 4, 1, 5000), (325, 4, 1, 1)],  # a tile
        [(330, 4, 1, 5000)],  # a page inside
        [(273, 4, 0xFFFFFFFF, 8)],
    ],
)
def test_a_tiff_that_points_outside(entries: list[tuple[int, int, int, int]]) -> None:
    assert frames("tiff", tiff(*entries)) is None


def test_an_avif_sequence() -> None:
    assert frames("avif", sequence(48)) == 48
    assert frames("avif", sequence(48, b"avif")) == 1  # a still with a sequence beside it
    assert frames("avif", sequence(48)[:-1]) is None


def test_boxes_with_long_and_open_ends() -> None:
    start = box(b"ftyp", b"avis", bytes(4))
    assert frames("avif", start + struct.pack(">I4sQ", 1, b"mdat", 20) + bytes(4)) == 1
    assert frames("avif", start + struct.pack(">I4s", 0, b"mdat") + bytes(400)) == 1
    assert frames("avif", start + struct.pack(">I4sQ", 1, b"mdat", 9) + bytes(4)) is None
    assert frames("avif", start + struct.pack(">I4s", 7, b"mdat")) is None


def test_an_animated_png() -> None:
    assert frames("png", png(1, 1, b"", png_chunk(b"acTL", struct.pack(">II", 5, 0)))) == 5
    assert frames("png", png(1, 1, b"", png_chunk(b"acTL", struct.pack(">II", 0, 0)))) == 1


def test_a_gif_with_a_block_of_no_kind() -> None:
    assert frames("gif", b"GIF89a" + bytes(7) + b"\x21\xfe\x02hi\0;") == 1
    assert frames("gif", b"GIF89a" + bytes(7) + b"\x22\xfe\x02hi\0;") is None
