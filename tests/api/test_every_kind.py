"""A file of every type that docs/media.md names, and from every generator, through the official SDK and back."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generated as made
import httpx
import msgspec
import pytest
import pyvips
from clips import sound, tone, video
from msgspec import UNSET
from pictures import open_webp
from samples import OTHERS, SAMPLES, Sample
from test_generation import CASES
from weights_files import LORAS, safetensors

from api.clients import Sdk, open_http
from api.test_files import check_harmless
from api.test_sdk_uploads import put, settled
from pinakes.asset_types import ASSET_TYPES, UPLOADED_AS, AssetProperties, Generation

pytestmark = pytest.mark.engine("sqlite")  # what decoders find is stored alike on every engine

DOCS = (Path(__file__).parents[2] / "docs/media.md").read_text()
SENT_AS = {"json": "text", "document": "asset", "image-hdr": "image"}
"""Kinds of uploads that are not called as the file's is."""


@pytest.fixture
def anyone(url: str) -> Iterator[httpx.Client]:
    """Somebody without credentials."""
    with open_http(url) as client:
        yield client


def send(sdk: Sdk, data: bytes, name: str, kind: str) -> Any:
    """The upload of a file in parts, at its end."""
    parts = min(3, len(data))
    upload = sdk.uploads.create(file_name=name, file_size=len(data), kind=kind, parts=parts).upload
    for number, part in enumerate(upload.parts):
        piece = data[len(data) * number // parts : len(data) * (number + 1) // parts]
        assert put(part.url, piece).status_code == 200
    sdk.uploads.trigger_action(upload.id, action="complete")
    done = settled(lambda: sdk.uploads.retrieve(upload.id).upload)
    assert (done.status, done.error_message) == ("imported", None)
    return done


def in_parts(sdk: Sdk, data: bytes, name: str, kind: str) -> Any:
    return sdk.assets.retrieve(send(sdk, data, name, kind).entity_id).asset


def posted(sdk: Sdk, data: bytes, name: str) -> Any:
    asset = sdk.assets.upload(name=name, image=base64.b64encode(data).decode()).asset
    ends = time.monotonic() + 30
    while asset.status == "pending":
        assert time.monotonic() < ends
        time.sleep(0.02)
        asset = sdk.assets.retrieve(asset.id).asset
    return asset


def check_words(asset: Any, sample: Sample, data: bytes) -> None:
    format = sample.mime_type and asset.properties.format
    assert (asset.name, asset.kind, asset.mime_type) == (sample.name, sample.kind, sample.mime_type)
    assert (asset.status, asset.source) == ("success", UPLOADED_AS[sample.kind])
    assert asset.properties.to_dict() == {"size": len(data), "format": format, **sample.found}
    metadata = {"kind": sample.kind, "type": UPLOADED_AS[sample.kind], "name": sample.name, "size": len(data)}
    sides = {side: sample.found[side] for side in ("width", "height") if side in sample.found}
    assert asset.metadata.to_dict() == metadata | sides


def check_pictures(anyone: httpx.Client, asset: Any, sample: Sample) -> None:
    assert (asset.thumbnail is not None, asset.preview is not None) == (sample.sides is not None, sample.has_preview)
    for size in (256, 512, 1024) if sample.sides else ():
        image = webp(anyone, f"{asset.thumbnail.url}&size={size}")
        assert max(image.width, image.height) == min(size, max(sample.sides or ()))
        if size == 1024:
            assert (image.width, image.height) == sample.sides
        assert image.avg() > 0
    if sample.sides:
        assert webp(anyone, asset.thumbnail.url).height == webp(anyone, f"{asset.thumbnail.url}&size=512").height
    if sample.has_preview:
        preview = webp(anyone, asset.preview.url, n=-1)
        assert preview.get("n-pages") == 16
        assert 0 < sum(preview.get("delay")) <= 3000


def webp(anyone: httpx.Client, url: str, **options: int) -> pyvips.Image:
    answer = anyone.get(url)
    assert (answer.status_code, answer.headers["content-type"], answer.content[8:12]) == (200, "image/webp", b"WEBP")
    check_harmless(answer)
    return pyvips.Image.webpload_buffer(answer.content, **options) if options else open_webp(answer.content)


def check_bytes(anyone: httpx.Client, asset: Any, sample: Sample, data: bytes) -> None:
    """What a browser could run as a page is never shown as one."""
    answer = anyone.get(asset.url)
    assert (answer.status_code, answer.content) == (200, data)
    charset = "; charset=utf-8" if sample.kind == "text" else ""
    assert answer.headers["content-type"] == sample.mime_type + charset
    is_shown = sample.kind in ("audio", "video") or (sample.kind == "image" and sample.label not in ("SVG", "PSD"))
    how = "inline" if is_shown else "attachment"
    assert answer.headers["content-disposition"].startswith(f'{how}; filename="{sample.name}"')
    check_harmless(answer)


@pytest.mark.calls("uploads.create", "assets.upload", "assets.retrieve", "assets.list")
@pytest.mark.parametrize("sample", [*SAMPLES, *OTHERS], ids=lambda sample: f"{sample.label}-{sample.name}")
def test_every_kind(sdk: Sdk, anyone: httpx.Client, sample: Sample) -> None:
    data = sample.make()
    sent = in_parts(sdk, data, sample.name, SENT_AS.get(sample.kind, sample.kind)), posted(sdk, data, sample.name)
    for asset in sent:
        check_words(asset, sample, data)
        check_pictures(anyone, asset, sample)
        check_bytes(anyone, asset, sample, data)
    types = {UPLOADED_AS[sample.kind], "img2img"}
    assert [asset.id for asset in sdk.assets.list(types=list(types)).assets] == [sent[1].id, sent[0].id]
    assert sdk.assets.list(types=sorted(ASSET_TYPES - types)[:20]).assets == []


def test_a_page_is_never_shown(sdk: Sdk, anyone: httpx.Client) -> None:
    data = b"<!DOCTYPE html><script>alert(1)</script>"
    for name, mime_type in (("a.html", "application/octet-stream"), ("a.txt", "text/plain; charset=utf-8")):
        answer = anyone.get(in_parts(sdk, data, name, "asset").url)
        assert (answer.content, answer.headers["content-type"]) == (data, mime_type)
        assert answer.headers["content-disposition"].startswith("attachment;")
        check_harmless(answer)


# How it was made.


def _like_a1111(version: str) -> tuple[str, bytes]:
    return "png", made.png({"parameters": made.A1111.replace("Version: v1.10.1", version)})


def _case(which: str) -> tuple[str, bytes]:
    format, make, _ = CASES[which]
    return format, make()


A1111 = CASES["a1111 png"][2]
MIDJOURNEY = Generation(generator="Midjourney", prompt="a fox --seed 77", seed="77")
GENERATORS: dict[str, tuple[tuple[str, bytes], Generation]] = {
    "AUTOMATIC1111": (_like_a1111("Version: v1.10.1"), A1111),
    "Forge": (_like_a1111("Version: f2.0.1v1.10.1-previous-659-gc055f2d4"), A1111),
    "SD.Next": (_like_a1111("Version: 8ec1d0b, App: SD.Next"), A1111),
    "Civitai": (_like_a1111("Created Date: 2024-05-01T10:00:00Z, Civitai resources: []"), A1111),
    "ComfyUI": (_case("comfyui png"), CASES["comfyui png"][2]),
    "InvokeAI": (_case("invokeai png"), CASES["invokeai png"][2]),
    "Fooocus": (_case("fooocus png"), CASES["fooocus png"][2]),
    "NovelAI": (_case("novelai png"), CASES["novelai png"][2]),
    "Draw Things": (_case("draw things png"), CASES["draw things png"][2]),
    "SwarmUI": (_case("swarmui png"), CASES["swarmui png"][2]),
    "Midjourney": (("png", made.png({"Description": f"a fox --seed 77 {made.JOB}"})), MIDJOURNEY),
}
"""A picture by each generator of docs/media.md, and what it says."""
COMFYUI = {"prompt": json.dumps(made.FLUX)}
FILMS, SOUNDS = ("mp4", "webm", "mkv"), ("flac", "mp3", "opus")


def check_made(asset: Any, generator: str, expected: Generation) -> None:
    said = {**msgspec.to_builtins(expected), "generator": generator}
    metadata = asset.metadata.to_dict()
    assert {name: metadata.get(name) for name in said} == said
    asked = {field.encode_name for field in msgspec.structs.fields(Generation)}
    assert asked & set(metadata) == set(said)


def words_of(prompt: str) -> str:
    return " ".join(re.findall(r"\w+", prompt)[:3])


@pytest.mark.calls("search.asset_search")
@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator(sdk: Sdk, generator: str) -> None:
    (format, data), expected = GENERATORS[generator]
    assert isinstance(expected.prompt, str)
    posted(sdk, made.saved("PNG"), "another.png")
    sent = in_parts(sdk, data, f"a.{format}", "image"), posted(sdk, data, f"b.{format}")
    for asset in sent:
        check_made(asset, generator, expected)
    hits = sdk.search.asset_search(query=words_of(expected.prompt)).hits
    assert {hit.id for hit in hits} == {asset.id for asset in sent}


@pytest.mark.parametrize("ending", [*FILMS, *SOUNDS])
def test_video_and_sound_say_how_they_were_made(sdk: Sdk, ending: str) -> None:
    texts = {"comment": json.dumps(COMFYUI)}
    data = video(ending, seconds=0.4, texts=texts) if ending in FILMS else sound(ending, tone(0.4), texts=texts)
    asset = in_parts(sdk, data, f"a.{ending}", "video" if ending in FILMS else "audio")
    check_made(asset, "ComfyUI", CASES["comfyui flux png"][2])
    assert [hit.id for hit in sdk.search.asset_search(query="clay mug").hits] == [asset.id]


def test_pictures_and_the_model_they_were_made_with(sdk: Sdk) -> None:
    """Whichever comes first, and however it comes."""
    lora = safetensors(LORAS["kohya sdxl"][0], {"ss_output_name": "fox"})
    hash = hashlib.sha256(lora[8 + int.from_bytes(lora[:8], "little") :]).hexdigest()[:12]
    settings = f'Steps: 20, Sampler: Euler a, Seed: 1, Size: 64x48, Lora hashes: "fox: {hash}", Version: v1.10.1'
    data = made.png({"parameters": f"a fox <lora:fox:0.7>\n{settings}"})
    early = in_parts(sdk, data, "early.png", "image"), posted(sdk, data, "early.png")
    model = sdk.models.retrieve(send(sdk, lora, "fox.safetensors", "model").entity_id).model
    late = in_parts(sdk, data, "late.png", "image"), posted(sdk, data, "late.png")
    ends = time.monotonic() + 30
    while len(sdk.assets.list(model_id=model.id).assets) < 4:  # those that were there are linked in the background
        assert time.monotonic() < ends
        time.sleep(0.05)
    ids = [asset.id for asset in (*early, *late)]
    assert [asset.id for asset in sdk.assets.list(model_id=model.id).assets] == ids[::-1]
    for asset in sdk.assets.get_bulk(asset_ids=ids).assets:
        assert [(used.api_model_id, used.scale) for used in asset.metadata.concepts] == [(model.id, 0.7)]


# What docs/media.md says of it.


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_names_every_type_and_what_is_found() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(AssetProperties)} - {"size", "format"}
    labels: list[str] = []
    for kinds, files, properties, thumbnail, preview in rows("What is found"):
        samples = [sample for sample in SAMPLES if sample.label in files.split(", ")]
        labels += files.split(", ")
        assert {sample.kind for sample in samples} == set(kinds.split(", "))
        assert set().union(*(sample.found for sample in samples)) == fields & set(re.findall(r"\w+", properties)), files
        assert {sample.sides is not None for sample in samples} == {bool(thumbnail)}
        assert {sample.has_preview for sample in samples} == {bool(preview)}
    assert sorted(labels) == sorted({sample.label for sample in SAMPLES})
    assert f"{', '.join(sample.label for sample in OTHERS)} and so on" in DOCS


def test_the_page_names_every_generator_and_what_it_lacks() -> None:
    told = rows("How it was made")
    assert sorted(name for names, _, _ in told for name in names.split(", ")) == sorted(GENERATORS)
    for names, _, lacks in told:
        for _, said in (GENERATORS[name] for name in names.split(", ")):
            missing = {name for name in said.__struct_fields__ if getattr(said, name) in (UNSET, [])}
            assert "strength" not in lacks or "strength" in missing
            assert "clip skip" not in lacks or "clip_skip" in missing
            assert "hashes" not in lacks or not any(one.hash for one in said.ingredients)
            assert "all but" not in lacks or len(missing) == len(said.__struct_fields__) - 3
