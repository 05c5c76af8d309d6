"""Every damaged and hostile file that the tests of the probers know, and some more, to be sent to a server."""

import base64
import functools
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import generated
import test_av_hostile as clips_of
import test_documents as documents
import test_drawings as drawings
import test_generation_damaged as texts
import test_hostile_meshes as meshes
import test_hostile_weights as weights
from clips import SOUNDS, VIDEOS, clip
from pictures import FORMATS, animation, black_png, picture, png, png_chunk
from shapes import MESHES, document, drawing, mesh, pdf
from weights_files import a_gguf, a_lora

from pinakes.media.kinds import DECODED, PROBERS, TYPES


class Case(NamedTuple):
    """A file, and what its refusal says (a pattern); None for one that is taken, described as far as it can be."""

    label: str
    name: str
    make: Callable[[], bytes]
    reason: str | None


CUT = r"damaged|truncated|promises|is not valid (JSON|XML)"
DAMAGED = r"is damaged or truncated\.$"
TOO_LARGE = r"pixels; at most [\d,]+ in all"


def cases() -> Iterator[Case]:
    """All of them. Each takes a moment to make, so they are made when they are sent."""
    yield from _cut_short()
    yield from _lying_names()
    yield from _claims()
    yield from _large_pictures()
    yield from _bombs()
    yield from _odd()


def _case(label: str, name: str, data: bytes, reason: str | None) -> Case:
    return Case(label, name, lambda: data, reason)


def _cut_short() -> Iterator[Case]:
    """Of every type whose end can be told, at each tenth."""
    whole: dict[str, Callable[[], bytes]] = {f"{format}.{format}": _call(picture, format) for format in FORMATS}
    whole |= {f"frames.{format}": _call(animation, format) for format in ("gif", "webp", "tiff")}
    whole |= {f"clip.{ending}": _call(clip, ending) for ending in (*VIDEOS, *SOUNDS) if ending != "aac"}
    whole |= {f"{format}.{format.partition('-')[0]}": _call(mesh, format) for format in MESHES}
    whole |= {"a.safetensors": a_lora, "a.gguf": a_gguf, "a.pdf": _call(document, 20), "a.svg": _a_drawing}
    whole |= {"a.json": lambda: json.dumps([{"id": at, "name": f"node {at}"} for at in range(50)]).encode()}
    for name, make in whole.items():
        for tenth in range(1, 10):
            yield Case(f"{tenth}0 % of {name}", name, _call(_cut, make, tenth, name.endswith(".obj")), CUT)


def _cut(make: Callable[[], bytes], tenth: int, is_obj: bool) -> bytes:
    """An OBJ is cut within a line: one that ends with a line is whole."""
    data = make()
    data = data[: len(data) * tenth // 10]
    return data[: data.rfind(b"\n")].rpartition(b" ")[0] if is_obj else data


def _lying_names() -> Iterator[Case]:
    for type in TYPES.values():
        name = f"a.{type.endings[0]}"
        if type.name != "png":
            yield Case(f"a PNG as {name}", name, _call(picture, "png"), "the name says .* but the bytes are PNG")
        if type.name in DECODED:
            yield _case(f"a page as {name}", name, b"<html><script>alert(1)</script></html>", "but the bytes are not")
        elif type.name in PROBERS:
            program = b"MZ\x90\0" + bytes(range(256)) * 40
            yield _case(f"a program as {name}", name, program, "the (?!.*could not be decoded)")
    yield _case("a page as a drawing", "a.svg", b"<html><svg/></html>", "not a drawing")
    yield _case("a page", "page.html", b"<script>alert(1)</script>", None)
    yield _case("a page as text", "page.txt", b"<script>alert(1)</script>", None)


def _claims() -> Iterator[Case]:
    """Headers that say what is not so: sizes of 10 GB and more, billions of entries, places outside of the file."""
    for label, (ending, change, is_described) in clips_of.CLAIMS.items():
        reason = None if is_described else f"the {ending.upper()} "
        yield Case(f"{ending}: {label}", f"a.{ending}", _call(_changed, change, ending), reason)
    bad_webm = clips_of.webm(100_000, 100_000, bytes(100))
    yield _case("webm: 100,000 a side", "a.webm", bad_webm, DAMAGED)
    for label, (name, data, words) in meshes.HOSTILE.items():
        yield _case(label, name, data, _exactly(words))
    for label, data, words in weights.SAFETENSORS:
        yield _case(f"safetensors: {label}", "a.safetensors", data, _exactly(words))
    for label, data, words in weights.GGUF:
        yield _case(f"gguf: {label}", "a.gguf", data, _exactly(words))


def _large_pictures() -> Iterator[Case]:
    """Of 100,000 x 100,000 pixels, or what their format has for it."""
    side = 100_000
    long = struct.pack(">II", side, side)
    yield _case("png: 100,000 a side", "a.png", png(side, side, zlib.compress(bytes(100))), TOO_LARGE)
    yield Case("png: 20,000 black pixels a side", "a.png", _black_png, TOO_LARGE)
    yield Case("png: 70,000 in one row", "a.png", _call(black_png, 70_000, 1), TOO_LARGE)
    yield _case("png: no pixels", "a.png", png(0, 0, zlib.compress(b"")), DAMAGED)
    yield Case("jpeg: 65,500 a side", "a.jpg", _call(_patched_jpeg, 65_500), TOO_LARGE)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\0;"
    yield _case("gif: 65,535 a side", "a.gif", gif + frame, TOO_LARGE)
    yield _case(
        "webp: 16,384 a side",
        "a.webp",
        _webp(b"VP8L", b"\x2f" + struct.pack("<I", 2**28 - 1)),
        f"{TOO_LARGE}|{DAMAGED}",
    )
    yield _case("webp: 16,777,216 a side", "a.webp", _webp(b"VP8X", bytes(4) + b"\xff" * 6), f"{TOO_LARGE}|{DAMAGED}")
    sides = texts.tiff(
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 9)
    )
    yield _case("tiff: 100,000 a side", "a.tiff", sides, f"{TOO_LARGE}|{DAMAGED}")
    yield Case(
        "avif: 100,000 a side", "a.avif", lambda: _patched(picture("avif"), b"ispe", 8, long), f"{TOO_LARGE}|{DAMAGED}"
    )


def _bombs() -> Iterator[Case]:
    """Small files that become large ones when they are unpacked."""
    yield Case("zTXt of 200 MiB in a whole PNG", "a.png", lambda: texts.png(texts.packed(texts.bomb(200))), None)
    yield Case("zTXt of 200 MiB, no pixels", "a.png", _packed_png, DAMAGED)
    for label, (format, make) in texts.NOTHING.items():
        if data := make():
            is_whole = format != "avif" and generated.saved(format.upper())[-12:] in data
            yield _case(label, f"a.{format}", data, None if is_whole else f"{DAMAGED}|of memory")
    yield Case("gzip of 1 GB as SVGZ", "a.svg", _gzip, "is compressed")
    yield Case("gzip of 1 GB as JSON", "a.json", _gzip, "is not text")
    yield Case("gzip of 1 GB", "a.gz", _gzip, None)
    for ending in ("zip", "usdz", "3mf", "ckpt"):
        yield Case(f"zip bomb as {ending}", f"a.{ending}", _zip, None)
    yield _case(
        "PDF stream of 520 MB", "a.pdf", documents.GREEDY["a billion characters"], "took longer|cannot be drawn"
    )
    yield Case("PDF stream packed thrice", "a.pdf", _packed_pdf, "took longer|cannot be drawn")
    yield _case("PDF, forms in forms", "a.pdf", documents.GREEDY["forms in forms"], "took longer|cannot be drawn")
    yield Case("SVG with a PNG of 400 MP", "a.svg", _bomb_in_drawing, "could not be decoded|took longer")
    yield _case(
        "SVG, billion laughs",
        "a.svg",
        drawing("<text>&a19;</text>", before=drawings.declaring(*drawings.LAUGHS)),
        "more than plain text|not valid XML",
    )
    yield _case("SVG, 10^11 uses", "a.svg", drawing(drawings.uses(12)), "refers to itself too often|took longer")


def _odd() -> Iterator[Case]:
    """What knots itself, or is far too deep."""
    for label, inside in drawings.RECURSIVE.items():
        yield _case(f"SVG, {label}", "a.svg", drawing(inside), None)
    for label, inside in drawings.TOO_MUCH.items():
        yield _case(f"SVG, too much {label}", "a.svg", drawing(inside), None)
    for label, data in documents.ODD.items():
        yield _case(f"PDF, {label}", "a.pdf", data, None)
    for label, data in (("lists", b"[" * 1_000_000), ("objects", b'{"a":' * 200_000), ("both", b'[{"a":' * 100_000)):
        yield _case(f"JSON, deep {label}", "a.json", data, "nested too deep")
    yield _case("JSON, closed and deep", "a.json", b"[" * 100_000 + b"]" * 100_000, "nested too deep")
    blurs = '<feGaussianBlur stdDeviation="900"/>' * 400
    slow = f'<filter id="f">{blurs}</filter><rect width="90" height="60" filter="url(#f)"/>'
    yield _case("SVG, 400 blurs", "a.svg", drawing(slow), "took longer than")


# How they are made.


def _call(make: Callable[..., bytes], *args: object) -> Callable[[], bytes]:
    return functools.partial(make, *args)


def _exactly(words: str) -> str:
    return re.escape(words)


def _changed(change: Callable[[bytes], bytes], ending: str) -> bytes:
    return change(clip(ending))


def _a_drawing() -> bytes:
    return drawing('<g><rect width="9" height="9"/><text>words</text></g>' * 20)


def _patched(data: bytes, after: bytes, offset: int, value: bytes) -> bytes:
    at = data.index(after) + offset
    return data[:at] + value + data[at + len(value) :]


def _patched_jpeg(side: int) -> bytes:
    """T.81, B.2.2: the marker of a frame, a length of two bytes, the precision, then the sides."""
    return _patched(picture("jpeg"), b"\xff\xc0", 5, struct.pack(">HH", side, side))


def _webp(kind: bytes, data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I4s4sI", 12 + len(data), b"WEBP", kind, len(data)) + data


def _packed_png() -> bytes:
    return png(1, 1, b"", png_chunk(b"zTXt", b"a\0\0" + texts.bomb(200)))


@functools.cache
def _deflated() -> bytes:
    """A GiB of zeros. After a full flush nothing refers to what was before, so that a part can be repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    part = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return part * 1024 + packer.flush()


def _gzip() -> bytes:
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + _deflated() + bytes(8)


@functools.cache
def _zip() -> bytes:
    """A thousand times as large inside, and another one within."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(16):
            archive.writestr(f"../../{number}", bytes(8 << 20))
        archive.writestr("more.zip", file.getvalue())
    return file.getvalue()


def _packed_pdf() -> bytes:
    data = zlib.compress(zlib.compress(b"\x78\xda" + _deflated() + bytes(4), 9), 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode /FlateDecode] >>\nstream\n%s\nendstream"
    kids, page = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>"
    return pdf(kids, page, stream % (len(data), data))


@functools.cache
def _black_png() -> bytes:
    return black_png(20_000, 20_000)


def _bomb_in_drawing() -> bytes:
    data = base64.b64encode(_black_png()).decode()
    return drawing(f'<image width="9" height="9" href="data:image/png;base64,{data}"/>')
