"""A file of every type that is looked into, and what docs/media.md promises of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from clips import CODECS, SOUNDS, VIDEOS, clip
from pictures import FORMATS, animation, picture, rotated_jpeg
from shapes import bracket, document, drawing, mesh, painted_glb, skinned_glb
from weights_files import a_gguf, a_lora

from pinakes.asset_types import Kind
from pinakes.media.kinds import TYPES


class Sample(NamedTuple):
    """A file, and what docs/media.md promises of it. `label` is what the page calls its type."""

    label: str
    name: str
    make: Callable[[], bytes]
    kind: Kind
    mime_type: str
    found: dict[str, Any]
    sides: tuple[int, int] | None = None
    """Of its largest thumbnail."""
    has_preview: bool = False


def _image(format: str, make: Callable[[], bytes], width: int, height: int, **more: int) -> Sample:
    label = TYPES[format].label
    found = {"width": width, "height": height, **more}
    return Sample(label, f"a.{format}", make, "image", f"image/{format}", found, (width, height))


def _video(ending: str) -> Sample:
    _, codec, sound = VIDEOS[ending]
    width = 384 if ending == "3gp" else 352  # its pixels are no squares
    found = {
        "duration": pytest.approx(2, abs=0.1),
        "codecName": CODECS.get(codec, codec),
        "audioCodecName": CODECS.get(sound, sound),
        "frameRate": 25,
        "bitrate": pytest.approx(len(clip(ending)) * 4, rel=0.05),
        "nbFrames": pytest.approx(50, abs=1),
        "width": width,
        "height": 288,
        "sampleRate": 8000 if ending == "3gp" else 48_000,
        "channels": 1 if ending == "3gp" else 2,
    }
    mime_type = TYPES[ending].mime_type
    label = "WebM" if ending == "webm" else ending.upper()
    return Sample(label, f"a.{ending}", partial(clip, ending), "video", mime_type, found, (width, 288), True)


def _sound(ending: str) -> Sample:
    _, codec = SOUNDS[ending]
    found = {
        "duration": pytest.approx(2, abs=0.1),
        "codecName": CODECS.get(codec, codec),
        "bitrate": pytest.approx(len(clip(ending)) * 4, rel=0.05),
        "sampleRate": 48_000,
        "channels": 2,
    }
    label = "Opus" if ending == "opus" else ending.upper()
    mime_type = "audio/ogg" if ending == "opus" else TYPES[ending].mime_type
    return Sample(label, f"a.{ending}", partial(clip, ending), "audio", mime_type, found, (1024, 320))


_NO_BONES = {"hasSkeleton": False, "hasAnimations": False, "boneCount": 0, "animationFrameCount": 0}


def _mesh(ending: str, make: Callable[[], bytes], **more: Any) -> Sample:
    label = "glTF" if ending == "gltf" else ending.upper()
    found: dict[str, Any] = {
        "faceCount": 108,
        "vertexCount": 58,
        "materialCount": 0,
        "hasNormals": False,
        "hasUVs": False,
    }
    found |= _NO_BONES if ending in ("glb", "gltf") else {}
    found |= {"dimensions": pytest.approx(list(bracket().extents), abs=1e-5), **more}
    return Sample(label, f"a.{ending}", make, "3d", TYPES[ending].mime_type, found, (1024, 1024))


def _text(label: str, name: str, mime_type: str, data: str, words: int) -> Sample:
    found = {"charCount": len(data), "wordCount": words, "preview": data, "hasFullPreview": True}
    return Sample(label, name, data.encode, "json" if name.endswith("json") else "text", mime_type, found)


def _model(label: str, make: Callable[[], bytes]) -> Sample:
    ending = label.lower()
    return Sample(label, f"a.{ending}", make, "document", f"application/x-{ending}", {})


_LONG = "ü" * 600
_STL = {"vertexCount": 324, "hasNormals": True}
_TURNED = {"hasSkeleton": True, "hasAnimations": True, "boneCount": 1, "animationFrameCount": 24}
SAMPLES = [
    *(_image(format, partial(picture, format), 320, 240) for format in FORMATS),
    *(_image(format, partial(animation, format), 80, 60, nbFrames=6) for format in ("gif", "webp")),
    _image("jpeg", partial(rotated_jpeg, 60, 40, 6), 40, 60),
    Sample(
        "SVG",
        "a.svg",
        lambda: drawing('<rect width="45" height="60" fill="red"/>'),
        "image",
        "image/svg+xml",
        {"width": 90, "height": 60},
        (1024, 683),
    ),
    *map(_video, VIDEOS),
    *map(_sound, SOUNDS),
    *(_mesh(ending, partial(mesh, ending)) for ending in ("glb", "gltf", "obj", "ply")),
    _mesh("ply", partial(mesh, "ply-text")),
    _mesh("stl", partial(mesh, "stl"), **_STL),
    _mesh("stl", partial(mesh, "stl-text"), **_STL),
    _mesh("glb", painted_glb, faceCount=14, vertexCount=12, materialCount=1, hasUVs=True, dimensions=[4.5, 2, 1]),
    _mesh("glb", skinned_glb, faceCount=1, vertexCount=3, dimensions=[10, 10, 0], **_TURNED),
    _text("TXT", "a.txt", "text/plain", "Moss grows on stones, 世界 🎨.", 6),
    _text("Markdown", "a.md", "text/markdown", "# Moss\n\nIt grows.", 4),
    _text("CSV", "a.csv", "text/csv", "moss,stone\n1,2\n", 2),
    _text("JSON", "a.json", "application/json", '{"moss": [1, 2]}', 3),
    Sample(
        "TXT",
        "b.txt",
        _LONG.encode,
        "text",
        "text/plain",
        {"charCount": 600, "wordCount": 1, "preview": _LONG[:512], "hasFullPreview": False},
    ),
    Sample(
        "PDF",
        "a.pdf",
        document,
        "document",
        "application/pdf",
        {"pageCount": 3, "width": 595, "height": 842},
        (725, 1024),
    ),
    _model("safetensors", a_lora),
    _model("GGUF", a_gguf),
]

OTHERS = [
    Sample("HEIC", "a.heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "image", "image/heic", {}),
    Sample("PSD", "a.psd", lambda: b"8BPS\0\1" + bytes(40), "image", "image/vnd.adobe.photoshop", {}),
    Sample("EXR", "a.exr", lambda: b"\x76\x2f\x31\x01\2" + bytes(40), "image-hdr", "image/x-exr", {}),
    Sample("FBX", "a.fbx", lambda: b"Kaydara FBX Binary  \0" + bytes(40), "3d", "application/x-fbx", {}),
    Sample("ZIP", "a.zip", lambda: b"PK\3\4" + bytes(40), "document", "application/zip", {}),
]
"""Files that are kept unseen."""
