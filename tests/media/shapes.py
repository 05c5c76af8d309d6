"""3D files, drawings and documents made by code: with trimesh and PDFium, and by hand where they are to be wrong."""

import io
import json
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pypdfium2
import pytest
import trimesh
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from pinakes.errors import PinakesError
from pinakes.media import Examined, Media

MESHES = ("glb", "gltf", "obj", "ply", "ply-text", "stl", "stl-text")
SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


class Looker:
    """Looks into files with one child, which must survive all but those that take too long."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.media = Media(processes=1, **limits)
        self.path = folder / "bytes"
        self._pid: int | None = None

    def __call__(self, data: bytes, name: str) -> Examined:
        self.path.write_bytes(data)
        found = self.media.examine_file("file", self.path, name)
        self._same_child()
        return found

    def refusal(self, data: bytes, name: str) -> str:
        """Why a file is refused."""
        self.path.write_bytes(data)
        with pytest.raises(PinakesError) as caught:
            self.media.examine_file("file", self.path, name)
        self._same_child()
        assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "file")
        return caught.value.message

    def _same_child(self) -> None:
        slots = self.media._background._slots
        child = slots.get()
        slots.put(child)
        if child is None or not child.is_usable():  # it was late
            self._pid = None
            return
        assert self._pid in (None, child._process.pid), "a child died"
        self._pid = child._process.pid


@cache
def bracket() -> trimesh.Trimesh:
    """A flat base with a pillar: 2 wide, 3 deep and 1.5 high."""
    base, pillar = trimesh.creation.box((2, 3, 1)), trimesh.creation.cylinder(0.4, 1, sections=24)
    points = np.concatenate([base.vertices, np.add(pillar.vertices, (0.3, 0, 0.5))])
    return trimesh.Trimesh(points, np.concatenate([base.faces, pillar.faces + len(base.vertices)]), process=False)


@cache
def mesh(format: str) -> bytes:
    """The bracket, in each format that is looked into."""
    if format == "gltf":
        return export(trimesh.Scene(bracket()), "gltf", embed_buffers=True)
    if format == "ply-text":
        return export(bracket(), "ply", encoding="ascii")
    return export(bracket(), "stl_ascii" if format == "stl-text" else format)


def export(shape: Any, format: str, **options: Any) -> bytes:
    exported = shape.export(file_type=format, **options)
    if isinstance(exported, dict):
        exported = exported["model.gltf"]
    return exported.encode() if isinstance(exported, str) else bytes(exported)


@cache
def painted_glb() -> bytes:
    """A red and blue textured plate, seen from the front, beside a green box of vertex colours turned by its node."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 2] = 255, 255
    plate = trimesh.Trimesh([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    made: Any = PBRMaterial, TextureVisuals  # untyped
    material = made[0](baseColorTexture=PIL.Image.fromarray(pixels))
    plate.visual = made[1](uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), material=material)
    box = trimesh.creation.box((1, 1, 1))
    box.visual.vertex_colors = [0, 255, 0, 255]
    scene = trimesh.Scene(plate)
    place = np.eye(4)
    place[:3, 3] = (4, 1, 0)
    scene.add_geometry(box, transform=place)
    return export(scene, "glb")


def glb(tree: dict[str, Any] | bytes, binary: bytes = b"") -> bytes:
    """A GLB by hand, of whatever JSON."""
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def tree(*arrays: tuple[np.ndarray, str], **more: Any) -> tuple[dict[str, Any], bytes]:
    """The JSON of a scene of one triangle mesh, and its buffer. Accessor 0 is its POSITION, and 1 its indices."""
    types = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
    views, accessors, binary = [], [], b""
    for values, type in arrays:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes})
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": types[values.dtype.name],
                "type": type,
                "count": len(values),
            }
        )
        binary += values.tobytes() + bytes(-values.nbytes % 4)
    made = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return {**made, **more}, binary


def skinned_glb() -> bytes:
    """A triangle of which a bone makes one ten times as large, in an animation of 24 frames."""
    joints, weights = np.zeros((3, 4), np.uint8), np.array([[1, 0, 0, 0]] * 3, np.float32)
    json_, binary = tree(
        corners(),
        indices(),
        (joints, "VEC4"),
        (weights, "VEC4"),
        (np.eye(4, dtype=np.float32).reshape(1, 16), "MAT4"),
        (np.arange(24, dtype=np.float32), "SCALAR"),
    )
    primitive = {"attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3}, "indices": 1}
    json_ |= {
        "meshes": [{"primitives": [primitive]}],
        "nodes": [{"mesh": 0, "skin": 0}, {"scale": [10, 10, 10], "rotation": [0, 0, 0, 1]}],
        "scenes": [{"nodes": [0, 1]}],
        "skins": [{"joints": [1], "inverseBindMatrices": 4}],
        "animations": [{"samplers": [{"input": 5, "output": 0}], "channels": []}],
    }
    return glb(json_, binary)


def corners(*points: tuple[float, float, float]) -> tuple[np.ndarray, str]:
    return np.array(points or ((0, 0, 0), (1, 0, 0), (0, 1, 0)), np.float32), "VEC3"


def indices(*numbers: int) -> tuple[np.ndarray, str]:
    return np.array(numbers or (0, 1, 2), np.uint32), "SCALAR"


def ply(header: str, body: bytes = b"", format: str = "binary_little_endian") -> bytes:
    return f"ply\nformat {format} 1.0\n{header}\nend_header\n".encode() + body


def stl(count: int, triangles: int) -> bytes:
    """A binary STL that says it has `count` triangles, and has so many."""
    row = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    return bytes(80) + struct.pack("<I", count) + row * triangles


def drawing(inside: str, size: str = 'width="90" height="60"', before: str = "") -> bytes:
    return f"{before}<svg {SVG} {size}>{inside}</svg>".encode()


def png_of_zeros(side: int) -> bytes:
    """Black, in a thousandth of its size."""
    compressor = zlib.compressobj(9)
    rows = b"".join(compressor.compress(bytes(side + 1)) for _ in range(side)) + compressor.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def document(pages: int = 3) -> bytes:
    """A PDF by PDFium: portrait pages of A4."""
    made, file = pypdfium2.PdfDocument.new(), io.BytesIO()
    for _ in range(pages):
        made.new_page(595.2, 841.8)
    made.save(file)
    return file.getvalue()


def pdf(*objects: str | bytes, trailer: str = "") -> bytes:
    """A PDF by hand. Object 1 is its catalog, the others are numbered from 2."""
    out, places = io.BytesIO(b"%PDF-1.7\n"), []
    out.seek(0, io.SEEK_END)
    for number, held in enumerate(("<< /Type /Catalog /Pages 2 0 R >>", *objects), 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, held.encode() if isinstance(held, str) else held))
    start = out.tell()
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out.write(b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(places) + 1, table))
    out.write(f"trailer << /Size {len(places) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def pdf_page(
    content: bytes, *more: bytes, box: str = "[0 0 400 300]", resources: str = "<< >>", trailer: str = ""
) -> bytes:
    """One page; `more` are objects from 5 on."""
    kids = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources {resources} >>"
    return pdf(kids, page, pdf_stream(content), *more, trailer=trailer)


def pdf_stream(data: bytes, extra: str = "") -> bytes:
    packed = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(packed), extra.encode(), packed)
