"""Damaged and hostile 3D files: each is refused or described by the same child, which none of them ends."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from shapes import MESHES, Looker, corners, glb, indices, mesh, ply, stl, tree

from pinakes.media import THUMBNAIL_SIZES


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("files"))
    yield looker
    looker.media.close()


@pytest.mark.parametrize("format", MESHES)
def test_cut_short_anywhere(look: Looker, format: str) -> None:
    """Text has no length to be compared with: an OBJ cut between two lines is an OBJ."""
    ending, data = format.partition("-")[0], mesh(format)
    for tenth in range(1, 10):
        cut = data[: len(data) * tenth // 10]
        if format == "obj":
            cut = cut[: cut.rfind(b"\n")].rpartition(b" ")[0]
        message = look.refusal(cut, f"bracket.{ending}")
        assert any(words in message for words in ("damaged", "truncated", "promises")), message


def changed(**more: Any) -> bytes:
    """A GLB of one triangle with some of its JSON replaced."""
    return glb(*tree(corners(), indices(), **more))


def changed_in(name: str, at: int, **more: Any) -> bytes:
    """The same with something replaced in one of a list."""
    made, _ = tree(corners(), indices())
    made[name][at] |= more
    return changed(**{name: made[name]})


def with_buffer(**more: Any) -> bytes:
    return changed_in("buffers", 0, **more)


def with_view(**more: Any) -> bytes:
    return changed_in("bufferViews", 0, **more)


def with_accessor(at: int, **more: Any) -> bytes:
    return changed_in("accessors", at, **more)


def with_node(**more: Any) -> bytes:
    return changed_in("nodes", 0, **more)


def with_primitive(**more: Any) -> bytes:
    return changed(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, **more}]}])


def with_data_uri(uri: str, length: int) -> bytes:
    return json.dumps({"asset": {"version": "2.0"}, "buffers": [{"byteLength": length, "uri": uri}]}).encode()


def glb_of(total: int, length: int, kind: bytes = b"JSON") -> bytes:
    """A GLB whose header says what it likes."""
    return struct.pack("<4sIII4s", b"glTF", 2, total, length, kind) + b"{}"


def with_face(row: bytes, list_type: str = "uchar int") -> bytes:
    """A PLY of three points and one polygon."""
    return ply(f"element vertex 3\n{XYZ}element face 1\nproperty list {list_type} vertex_index", TRIANGLE + row)


XYZ = "property float x\nproperty float y\nproperty float z\n"
FACES = "property list uchar int vertex_indices"
TRIANGLE = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
DEEP = b"[" * 100_000
HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "GLB, magic alone": ("a.glb", b"glTF", "is damaged"),
    "GLB of version 1": ("a.glb", struct.pack("<4sII", b"glTF", 1, 20) + bytes(8), "not of version 2"),
    "GLB of 4 GB": ("a.glb", glb_of(2**32 - 1, 2), "is damaged"),
    "GLB, JSON chunk of 4 GB": ("a.glb", glb_of(22, 2**32 - 1), "is damaged"),
    "GLB, other chunk first": ("a.glb", glb_of(22, 2, b"BIN\0"), "is damaged"),
    "GLB, no JSON": ("a.glb", glb(b"not json"), "is damaged"),
    "GLB, JSON of a list": ("a.glb", glb(b"[]"), "is not valid glTF: Expected `object`"),
    "GLB, deep JSON": ("a.glb", glb(b'{"asset":{"version":"2.0"},"extras":' + DEEP), "is damaged"),
    "glTF, deep JSON": ("a.gltf", b'{"asset":{"version":"2.0"},"nodes":' + DEEP, "is not valid glTF"),
    "glTF, no asset": ("a.gltf", b"{}", "is not valid glTF: Object missing required field `asset`"),
    "buffer of 10 GB": ("a.glb", with_buffer(byteLength=10**10), "of which it holds"),
    "buffer of 10^30 bytes": ("a.glb", with_buffer(byteLength=10**30), "is not valid glTF"),
    "buffer of -1 bytes": ("a.glb", with_buffer(byteLength=-1), "is not valid glTF"),
    "view of 10 GB": ("a.glb", with_view(byteLength=10**10), "ends after its buffer."),
    "view of no buffer": ("a.glb", with_view(buffer=7), "does not have"),
    "view of stride 0": ("a.glb", with_view(byteStride=0), "is not valid glTF"),
    "accessor of 4 billion": ("a.glb", with_accessor(0, count=4 * 10**9), "ends after its buffer view"),
    "accessor of -3": ("a.glb", with_accessor(0, count=-3), "is not valid glTF"),
    "accessor of no view": ("a.glb", with_accessor(0, bufferView=99), "does not have"),
    "accessor far off": ("a.glb", with_accessor(0, byteOffset=10**11), "ends after its buffer view"),
    "accessor of words": ("a.glb", with_accessor(0, type="WORDS"), "of an unknown type"),
    "accessor of type 1": ("a.glb", with_accessor(0, componentType=1), "of an unknown type"),
    "points of one column": ("a.glb", with_accessor(0, type="SCALAR"), "where it cannot be"),
    "indices out of range": ("a.glb", glb(*tree(corners(), indices(0, 1, 3))), "points it does not have"),
    "indices of 2^32 - 1": ("a.glb", glb(*tree(corners(), indices(0, 1, 2**32 - 1))), "points it does not have"),
    "indices that are floats": ("a.glb", with_accessor(1, componentType=5126), "points it does not have"),
    "normals of other points": ("a.glb", with_primitive(attributes={"POSITION": 0, "NORMAL": 2}), "does not have"),
    "normals of two": (
        "a.glb",
        with_primitive(attributes={"POSITION": 0, "TEXCOORD_0": 0, "NORMAL": 1}),
        "where it cannot be",
    ),
    "no such accessor": ("a.glb", with_primitive(indices=9), "does not have"),
    "no such mesh": ("a.glb", with_node(mesh=9), "does not have"),
    "no such scene": ("a.glb", changed(scene=9), "does not have"),
    "no such material": ("a.glb", with_primitive(material=9), "does not have"),
    "no such skin": (
        "a.glb",
        changed(
            nodes=[{"mesh": 0, "skin": 9}], meshes=[{"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 0}}]}]
        ),
        "does not have",
    ),
    "a node in itself": ("a.glb", with_node(children=[0]), "a node with two parents"),
    "a matrix of two": ("a.glb", with_node(matrix=[1, 2]), "is not valid glTF"),
    "a data URI that is none": ("a.gltf", with_data_uri("data:;base64,%%%", 9), "not base64"),
    "a data URI too short": (
        "a.gltf",
        with_data_uri("data:;base64," + base64.b64encode(b"abc").decode(), 10**10),
        "of which it holds 3",
    ),
    "STL of 10 GB": ("a.stl", stl(214_748_364, 1), "is damaged"),
    "STL of 4 billion triangles": ("a.stl", stl(2**32 - 1, 2), "is damaged"),
    "STL without triangles": ("a.stl", stl(0, 0), "is damaged"),
    "STL of zeros": ("a.stl", bytes(50), "is damaged"),
    "STL, text of no numbers": ("a.stl", b"solid a\nvertex a b c\nvertex a b c\nvertex a b c\nendsolid", "is damaged"),
    "STL, text of half a triangle": ("a.stl", b"solid a\nvertex 0 0 0\nendsolid", "is damaged"),
    "STL, text in one line": ("a.stl", b"solid " + b"a" * 9_000_000, "is damaged"),
    "PLY, magic alone": ("a.ply", b"ply\n", "header that does not end"),
    "PLY, header without an end": ("a.ply", b"ply\n" + b"comment\n" * 100_000, "header that does not end"),
    "PLY of 10 billion points": (
        "a.ply",
        ply(f"element vertex {10**10}\n{XYZ}", TRIANGLE),
        "promises 120,000,000,000 bytes",
    ),
    "PLY, text of 10^14 nothings": (
        "a.ply",
        ply(f"element nothing {10**14}\nelement vertex 1\n{XYZ}", b"0 0 0\n", "ascii"),
        "promises",
    ),
    "PLY of -1 points": ("a.ply", ply(f"element vertex -1\n{XYZ}"), "cannot be understood"),
    "PLY of 10^40 points": ("a.ply", ply(f"element vertex {10**40}\n{XYZ}"), "cannot be understood"),
    "PLY of words": ("a.ply", ply("element vertex 3\nproperty word x"), "cannot be understood"),
    "PLY without points": ("a.ply", ply(f"element face 1\n{FACES}", bytes(9)), "no points with x, y and z"),
    "PLY, a property twice": ("a.ply", ply(f"element vertex 1\n{XYZ}{XYZ}", bytes(24)), "two properties of one name"),
    "PLY, a list of 255": ("a.ply", with_face(b"\xff" + bytes(12)), "is damaged"),
    "PLY, a list of 4 billion": ("a.ply", with_face(b"\xff" * 16, "uint int"), "is damaged"),
    "PLY, a list of -1": ("a.ply", with_face(b"\xff" * 16, "int int"), "is damaged"),
    "PLY, faces out of range": ("a.ply", with_face(struct.pack("<B3i", 3, 0, 1, 3)), "points it does not have"),
    "PLY, faces below 0": ("a.ply", with_face(struct.pack("<B3i", 3, 0, 1, -1)), "points it does not have"),
    "PLY, text of words": (
        "a.ply",
        ply(f"element vertex 1\n{XYZ}element face 1\n{FACES}", b"a b c\n3 0 0 0\n", "ascii"),
        "is damaged",
    ),
    "OBJ of nothing": ("a.obj", b"# nothing\n", "holds no points"),
    "OBJ of bytes": ("a.obj", bytes(range(256)) * 100, "holds no points"),
    "OBJ, faces out of range": ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "points it does not have"),
    "OBJ, faces of 0": ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "points it does not have"),
    "OBJ, faces of 10^30": (
        "a.obj",
        b"v 0 0 0\nf 1 1 1000000000000000000000000000000\n",
        "damaged or truncated at line 2",
    ),
    "OBJ, faces of words": ("a.obj", b"v 0 0 0\nf a b c\n", "damaged or truncated at line 2"),
    "OBJ, a point of two": ("a.obj", b"v 0 0\n", "damaged or truncated at line 1"),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_hostile(look: Looker, which: str) -> None:
    name, data, words = HOSTILE[which]
    assert words in look.refusal(data, name)


def test_a_list_of_nothings_takes_no_time(look: Looker) -> None:
    header = f"element nothing {10**14}\nelement vertex 3\n{XYZ}element face 1\n{FACES}"
    found = look(ply(header, TRIANGLE + struct.pack("<B3i", 3, 0, 1, 2)), "a.ply")
    assert found.facts.dimensions == [1, 1, 0]


NAN, INF = float("nan"), float("inf")
ODD = {
    "all NaN": corners((NAN, 0, 0), (1, NAN, 0), (0, 1, NAN)),
    "all infinite": corners((INF, 0, 0), (1, INF, 0), (0, -INF, 0)),
    "as large as floats go": corners((3e38, 0, 0), (-3e38, 0, 0), (0, 3e38, -3e38)),
    "as small as floats go": corners((1e-45, 0, 0), (0, 1e-45, 0), (0, 0, 1e-45)),
    "one point": corners((5, 5, 5), (5, 5, 5), (5, 5, 5)),
    "a line": corners((0, 0, 0), (1, 1, 1), (2, 2, 2)),
}


@pytest.mark.parametrize("which", ODD)
def test_odd_points(look: Looker, which: str) -> None:
    facts = look(glb(*tree(ODD[which], indices())), "a.glb").facts
    assert facts.face_count == 1
    assert not facts.dimensions or np.isfinite(facts.dimensions).all()


def test_what_is_finite_is_drawn(look: Looker) -> None:
    points = corners((0, 0, 0), (1, 0, 0), (0, 1, 0), (NAN, 0, 0), (INF, 0, 0), (0, 0, 0))
    examined = look(glb(*tree(points, indices(0, 1, 2, 3, 4, 5))), "a.glb")
    assert (examined.facts.dimensions, sorted(examined.thumbnails)) == ([1, 1, 0], sorted(THUMBNAIL_SIZES))


@pytest.mark.parametrize("node", [{"scale": [0, 0, 0]}, {"scale": [1e300, 1, 1]}, {"rotation": [9, 9, 9, 1e200]}])
def test_nodes_that_lead_nowhere(look: Looker, node: dict[str, Any]) -> None:
    json_, binary = tree(corners(), indices())
    json_["nodes"] = [{"mesh": 0, **node}]
    assert look(glb(json_, binary), "a.glb").facts.face_count == 1


def test_one_mesh_a_thousand_times_over_is_described(look: Looker) -> None:
    """100,000 triangles in the file, a hundred million in the scene."""
    json_, binary = tree(corners(), (np.zeros(300_000, np.uint8), "SCALAR"))
    json_["nodes"] = [{"mesh": 0}] * 1_000
    json_["scenes"] = [{"nodes": list(range(1_000))}]
    examined = look(glb(json_, binary), "a.glb")
    assert (examined.facts.face_count, examined.thumbnails) == (100_000, {})
