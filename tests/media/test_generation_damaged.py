"""Metadata that is broken, lies or attacks: less is known then, and nothing else happens."""

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import generated as made
import pytest
from generated import check
from msgspec import UNSET
from pictures import png_chunk

from pinakes.asset_types import Generation
from pinakes.media import Media
from pinakes.media.probers import generation, textchunks

MIB = 1 << 20
A_SEED = "18446744073709551615"


def png(*chunks: bytes) -> bytes:
    """A whole picture with chunks as they are given."""
    plain = made.saved("PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def text(name: str, data: bytes) -> bytes:
    return png_chunk(b"tEXt", name.encode() + b"\0" + data)


def packed(data: bytes, name: bytes = b"parameters") -> bytes:
    return png_chunk(b"zTXt", name + b"\0\0" + data)


def jpeg(*segments: bytes) -> bytes:
    plain = made.saved("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def segment(marker: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2 if length is None else length) + data


def webp(kind: bytes, data: bytes) -> bytes:
    plain = made.saved("WEBP")
    chunk = kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(plain) - 8 + len(chunk)) + plain[8:] + chunk


def tiff(*entries: tuple[int, int, int, int], order: str = "<", after: bytes = b"") -> bytes:
    """Nothing but one page of fields: tag, type, count, value."""
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    fields = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return start + struct.pack(order + "H", len(entries)) + fields + bytes(4) + after


def comment(data: bytes) -> bytes:
    return made.with_exif("jpeg", made.exif(comment=data))


INFO = made.A1111.encode()
EXTERNAL = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><UserComment>&e;</UserComment>'
BILLION = "<!DOCTYPE x [" + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10)) + "]>"
XMP_CHUNK = b"XML:com.adobe.xmp\0\0\0\0\0"
DEEP = '{"a":' * 50_000
CLOSED = DEEP + "1" + "}" * 50_000
KEYS = ("prompt", "workflow", "invokeai_metadata", "sd-metadata", "comment", "parameters", "usercomment", "description")

NOTHING: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png: zTXt of garbage": ("png", lambda: png(packed(b"garbage"))),
    "png: zTXt cut short": ("png", lambda: png(packed(zlib.compress(INFO)[:20]))),
    "png: zTXt of 128 MiB": ("png", lambda: png(packed(bomb(128)))),
    "png: 60 bombs": ("png", lambda: png(*[packed(bomb(64))] * 60)),
    "png: iTXt bomb": ("png", lambda: png(png_chunk(b"iTXt", b"parameters\0\1\0\0\0" + bomb(64)))),
    "png: iTXt without ends": ("png", lambda: png(png_chunk(b"iTXt", b"parameters"))),
    "png: empty texts": ("png", lambda: png(png_chunk(b"tEXt", b""), png_chunk(b"zTXt", b""), png_chunk(b"iTXt", b""))),
    "png: text of 5 MiB": ("png", lambda: png(text("parameters", INFO.ljust(5 * MIB)))),
    "png: the name alone": ("png", lambda: png(png_chunk(b"tEXt", b"parameters"))),
    "png: length past the end": ("png", lambda: made.saved("PNG")[:33] + struct.pack(">I", 2**31) + b"tEXt"),
    "png: 10,000 texts before it": ("png", lambda: png(*[text("x", b"x")] * 10_000, text("parameters", INFO))),
    "png: 16 MiB before it": ("png", lambda: png(*[text("x", bytes(3 * MIB))] * 6, text("parameters", INFO))),
    "png: eXIf of garbage": ("png", lambda: png(png_chunk(b"eXIf", b"MM\0*" + bytes(4)))),
    "png: billion laughs": ("png", lambda: png(png_chunk(b"iTXt", XMP_CHUNK + (BILLION + "<a>&e9;</a>").encode()))),
    "png: external entity": ("png", lambda: png(png_chunk(b"iTXt", XMP_CHUNK + EXTERNAL))),
    "png: XMP nested 100,000 times": ("png", lambda: png(png_chunk(b"iTXt", XMP_CHUNK + b"<a>" * 100_000))),
    "png: XMP of garbage": ("png", lambda: png(png_chunk(b"iTXt", XMP_CHUNK + b"\xff\xfe<x"))),
    "jpeg: Exif of nothing": ("jpeg", lambda: jpeg(segment(0xE1, b"Exif\0\0"))),
    "jpeg: segment of length 0": ("jpeg", lambda: jpeg(segment(0xE1, b"", 0))),
    "jpeg: segment past the end": ("jpeg", lambda: b"\xff\xd8" + segment(0xFE, b"Steps:", 65_535)),
    "jpeg: padding without end": ("jpeg", lambda: b"\xff\xd8" + b"\xff" * 100_000),
    "jpeg: user comment of 3 bytes": ("jpeg", lambda: comment(b"UNI")),
    "jpeg: half of a UTF-16 unit": ("jpeg", lambda: comment(b"UNICODE\0\0")),
    "jpeg: lone surrogates": ("jpeg", lambda: comment(b"UNICODE\0" + b"\xd8\0" * 9)),
    "webp: EXIF of garbage": ("webp", lambda: webp(b"EXIF", b"\xff" * 64)),
    "webp: XMP of nothing": ("webp", lambda: webp(b"XMP ", b"")),
    "webp: a page without end": ("webp", lambda: webp(b"EXIF", b"II*\0\x08\0\0\0\xff\xff" + bytes(24))),
    "gif: comment of zeros": ("gif", lambda: made.saved("GIF", comment=bytes(1000))),
    "gif: cut in the comment": ("gif", lambda: made.saved("GIF", comment=INFO)[:60]),
    "tiff: a value past the end": ("tiff", lambda: tiff((0x010E, 2, 100, 2**31))),
    "tiff: a value of 4 GiB": ("tiff", lambda: tiff((0x010E, 2, 2**32 - 1, 8))),
    "tiff: a page past the end": ("tiff", lambda: b"II*\0\xff\xff\xff\xff" + bytes(16)),
    "tiff: its EXIF page is itself": ("tiff", lambda: tiff((0x8769, 4, 1, 8))),
    "tiff: EXIF page past the end": ("tiff", lambda: tiff((0x8769, 4, 1, 2**32 - 1))),
    "tiff: big, offset of 2**63": ("tiff", lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(16)),
    "tiff: 65,535 fields": ("tiff", lambda: tiff(*[(0x0100, 4, 1, 1)] * 65_535)),
    "avif: no meta": ("avif", lambda: made.saved("AVIF")[:24]),
    "avif: iloc of lies": ("avif", lambda: lying(made.commented("avif", made.A1111))),
    "avif: box of size 1": ("avif", lambda: made.saved("AVIF")[:16] + struct.pack(">I4sQ", 1, b"meta", 2**63)),
    "all: nothing": ("png", lambda: b""),
}


def bomb(mebibytes: int) -> bytes:
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(bytes(MIB)) for _ in range(mebibytes)) + compressor.flush()


def lying(avif: bytes) -> bytes:
    at = avif.index(b"iloc") + 4
    return avif[: at + 8] + b"\xff" * 60 + avif[at + 68 :]


@pytest.mark.parametrize("which", NOTHING)
def test_nothing_to_be_had(which: str) -> None:
    format, data = NOTHING[which]
    assert generation.of_picture(format, data()) is None


def of(**texts: Any) -> Generation | None:
    as_texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in texts.items()}
    return generation.of_texts(as_texts)


def info(settings: str, prompt: str = "x") -> Generation | None:
    return of(parameters=f"{prompt}\nSteps: 5, {settings}")


def graph(**inputs: Any) -> Generation | None:
    """Of the plain graph with other values in its sampler."""
    sampler = {**made.KSAMPLER["3"], "inputs": {**made.KSAMPLER["3"]["inputs"], **inputs}}
    return of(prompt={**made.KSAMPLER, "3": sampler})


NO_NUMBERS = {"seed": UNSET, "guidance": UNSET, "num_inference_steps": UNSET}
BROKEN_NODES = {"98": None, "99": {"class_type": 5}, "extra": [1]}
BROKEN_DRAWING = {"nodes": [None, 5, {"type": 5, "widgets_values": {"a": 1}}, {"type": "LoraLoader", "mode": []}]}
BROKEN_FOOOCUS = {
    "prompt": [],
    "base_model": 1,
    "sampler": {},
    "seed": 1,
    "loras": [5, [], ["a"], ["b", "c", "d"]],
}
BROKEN_DRAW_THINGS = {"c": 1, "seed": 1, "sampler": [], "lora": [None], "v2": [], "size": "x"}
BROKEN_SWARMUI = {"sui_image_params": {"loras": {"a": 1}, "steps": 1}, "sui_models": [None, {"param": 5}]}
BROKEN_INVOKEAI = {"positive_prompt": 5, "model": "m", "loras": {"a": 1}, "seed": "x", "width": -3}
BROKEN_NOVELAI = {"v4_prompt": {"caption": {"char_captions": [None, 5]}}, "prompt": "p"}
LONG_NAME = {
    "1": made.node("KSampler", steps=5, cfg=1, sampler_name="a", model=["2", 0]),
    "2": made.node("LoraLoader", lora_name="x" * 255_000),
}

LESS: dict[str, tuple[Callable[[], Generation | None], dict[str, Any]]] = {
    "cut in the settings": (lambda: of(parameters=made.A1111[:-200]), {"seed": A_SEED, "clip_skip": UNSET}),
    "a quote that never ends": (lambda: info('Seed: 1, Sampler: "Euler'), {"scheduler": '"Euler', "seed": "1"}),
    "hashes that are no JSON": (lambda: info("Seed: 1, Size: 1x2, Hashes: {model: 12"), {"ingredients": []}),
    "hashes that are a list": (lambda: info("Seed: 1, Size: 1x2, Hashes: [1]"), {"ingredients": []}),
    "settings of NaN": (lambda: info("Seed: nan, CFG scale: NaN, Size: inf"), {"seed": UNSET, "guidance": UNSET}),
    "settings of huge numbers": (
        lambda: info(f"Seed: {'9' * 500}, CFG scale: 1e99, Size: 1e9x2"),
        {"seed": UNSET},
    ),
    "a seed below zero": (lambda: info("Seed: -1, Size: 1x2, Sampler: a"), {"seed": UNSET}),
    "surrogates and U+0000": (lambda: info("Seed: 1, Sampler: \udc00a\0", "fo\0x \ud83d"), {"prompt": "fox \ufffd"}),
    "a prompt of 3 MiB": (lambda: info("Seed: 1, Size: 1x2", "\u96ea" * MIB), {"prompt": "\u96ea" * 21_845}),
    "1,000 LoRAs": (lambda: info("Seed: 1, Size: 1x2", "".join(f"<lora:{n}:1>" for n in range(1000))), {"seed": "1"}),
    "a graph of NaN": (lambda: graph(seed=float("nan"), cfg=float("inf"), steps=1e400), NO_NUMBERS),
    "a graph of other types": (lambda: graph(seed={}, cfg=[[]], steps=True, sampler_name=5), NO_NUMBERS),
    "a seed of 4,000 digits": (lambda: graph(seed=int("7" * 4000)), {"seed": UNSET}),
    "links to nowhere": (lambda: graph(positive=["404", 0], model=["x", "y"], seed=["3", 0]), {"prompt": UNSET}),
    "a sampler that leads to itself": (lambda: graph(positive=["3", 0], latent_image=["3", 0]), {"prompt": UNSET}),
    "nodes that are none": (lambda: of(prompt={**made.KSAMPLER, **BROKEN_NODES}), {"num_inference_steps": 20}),
    "a name of 255,000 letters": (lambda: of(prompt=LONG_NAME), {"num_inference_steps": 5}),
    "InvokeAI of other types": (
        lambda: of(invokeai_metadata=BROKEN_INVOKEAI),
        {"prompt": UNSET, "target_width": UNSET},
    ),
    "NovelAI of other types": (lambda: of(software="NovelAI", comment=BROKEN_NOVELAI), {"prompt": "p"}),
    "NovelAI of no JSON": (lambda: of(software="NovelAI", comment="{", description="p"), {"prompt": "p"}),
    "Fooocus of other types": (lambda: of(parameters=BROKEN_FOOOCUS), {"prompt": UNSET, "scheduler": UNSET}),
    "Draw Things of other types": (lambda: of(usercomment=BROKEN_DRAW_THINGS), {"prompt": UNSET, "ingredients": []}),
    "SwarmUI of other types": (lambda: of(parameters=BROKEN_SWARMUI), {"ingredients": []}),
}


@pytest.mark.parametrize("which", LESS)
def test_less_is_known(which: str) -> None:
    found, expected = LESS[which][0](), LESS[which][1]
    assert found is not None
    assert {field: getattr(found, field) for field in expected} == expected
    check(found)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("text", ["{", "{}", "[]", "{" * 100_000, DEEP, CLOSED, "null", "\0", '{"a":1e999999}'])
def test_json_that_is_none(name: str, text: str) -> None:
    assert generation.of_texts({name: text, "software": "x"}) is None


def test_graphs_that_say_nothing() -> None:
    assert of(prompt={"1": made.node("A", x=["2", 0]), "2": made.node("B", x=["1", 0])}) is None
    assert of(workflow=BROKEN_DRAWING) is None
    assert of(**{"sd-metadata": {"image": [1]}}) is None


def test_too_much_is_left_out() -> None:
    assert of(parameters=made.A1111.ljust(textchunks.MAX_TEXT + 1)) is None
    large = {f"x{n}": " " * textchunks.MAX_TEXT for n in range(4)}
    assert generation.of_texts({**large, "parameters": made.A1111}) is None


def wide(nodes: int, inputs: int) -> str:
    """Every node takes much from every other one, and is all that one looks for."""
    keys = ["model", "positive", "steps", "seed", "latent_image", *(f"lora_{n}" for n in range(inputs - 5))]
    graph = {
        str(n): made.node("KSampler", **{key: [str((n * 7 + at) % nodes), 0] for at, key in enumerate(keys)})
        for n in range(nodes)
    }
    return json.dumps(graph)


@pytest.mark.parametrize(("nodes", "inputs"), [(200, 190), (2000, 80), (15_000, 6), (900, 100)])
def test_graphs_of_absurd_size_end(nodes: int, inputs: int) -> None:
    prompt = wide(nodes, inputs)
    assert len(prompt) <= textchunks.MAX_TEXT
    check(generation.of_texts({"prompt": prompt}))


@pytest.mark.parametrize(
    "unit", ['a:"', "a:{", "ab: [", "Steps: 1,", "<lora:", "[", "\n", "Negative prompt:", " ", "a: 1, "]
)
def test_texts_of_absurd_length_end(unit: str) -> None:
    long = unit * (textchunks.MAX_TEXT // len(unit) // 2)
    check(generation.of_texts({"parameters": f"{long}\nSteps: 1, Seed: 2, Sampler: x, {long}"}))
    check(generation.of_texts({"dream": f'"{long}" -s 5', "description": f"{long} Job ID: {long}", "comment": long}))


def test_broken_metadata_refuses_no_picture() -> None:
    deep, cut = png(text("prompt", DEEP.encode())), jpeg(segment(0xE1, b"Exif\0\0MM"))
    media = Media()
    try:
        for picture in (png(packed(bomb(64))), deep, cut, comment(b"UNI")):
            examined = media.examine(picture, "")
            assert (examined.width, examined.height, examined.generation) == (64, 48, None)
    finally:
        media.close()
