"""3D files through the whole of it: what they hold, how they look, and what hostile ones cannot do."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from pictures import open_webp, picture
from shapes import MESHES, Looker, bracket, corners, export, glb, indices, mesh, painted_glb, ply, skinned_glb, tree

from pinakes.media import THUMBNAIL_SIZES, Examined


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("files"))
    yield looker
    looker.media.close()


def name_of(format: str) -> str:
    return f"bracket.{format.partition('-')[0]}"


def colours(examined: Examined) -> set[str]:
    """The primary colours that are clearly seen."""
    image = open_webp(examined.thumbnails[256])
    pixels = np.frombuffer(image.write_to_memory(), np.uint8).reshape(-1, image.bands).astype(int)
    seen = pixels[pixels[:, 3] > 250, :3]
    names = ("red", "green", "blue")
    return {name for at, name in enumerate(names) if (2 * seen[:, at] - seen.sum(axis=1) > 80).mean() > 0.02}


@pytest.mark.parametrize("format", MESHES)
def test_each_format(look: Looker, format: str) -> None:
    examined, shape = look(mesh(format), name_of(format)), bracket()
    points = 3 * len(shape.faces) if format.startswith("stl") else len(shape.vertices)
    assert (examined.kind, examined.width, examined.is_probed) == ("3d", None, True)
    assert (examined.facts.face_count, examined.facts.vertex_count) == (len(shape.faces), points)
    assert examined.facts.dimensions == pytest.approx(shape.extents, abs=1e-5)
    assert examined.facts.has_uvs is False
    assert sorted(examined.thumbnails) == sorted(THUMBNAIL_SIZES)
    assert examined.look is not None


@pytest.mark.parametrize("format", MESHES)
def test_a_picture_of_each_size_with_nothing_behind(look: Looker, format: str) -> None:
    for size, data in look(mesh(format), name_of(format)).thumbnails.items():
        image = open_webp(data)
        assert (image.width, image.height, image.bands) == (size, size, 4)
        assert image.getpoint(1, 1)[3] == 0
        assert 0.2 < (image[3] > 128).avg() / 255 < 0.9


def test_textures_colours_and_places(look: Looker) -> None:
    examined = look(painted_glb(), "painted.glb")
    assert colours(examined) == {"red", "green", "blue"}
    assert examined.facts.dimensions == pytest.approx([4.5, 2, 1])
    assert (examined.facts.has_uvs, examined.facts.material_count) == (True, 1)


def test_colours_of_points(look: Looker) -> None:
    shape = trimesh.creation.box((1, 1, 1))
    shape.visual.vertex_colors = [255, 0, 0, 255]
    assert colours(look(export(shape, "ply"), "a.ply")) == {"red"}
    assert colours(look(export(shape, "obj"), "a.obj")) == {"red"}


def test_polygons_of_many_sides(look: Looker) -> None:
    """What Blender writes: a cube's bottom as a square, beside triangles, in one file."""
    points = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], "<f4")
    polygons = ((0, 1, 3, 2), (4, 5, 7), (4, 7, 6), (0, 4, 5, 1), (2, 3, 7), (2, 7, 6))
    header = "element vertex 8\nproperty float x\nproperty float y\nproperty float z\nelement face 6\n"
    header += "property list uchar int vertex_indices"
    binary = b"".join(struct.pack(f"<B{len(one)}i", len(one), *one) for one in polygons)
    text = "\n".join(" ".join(map(str, (len(one), *one))) for one in polygons)
    rows = "\n".join(" ".join(map(str, point)) for point in points)
    obj = "\n".join("v " + " ".join(map(str, point)) for point in points)
    obj += "\n" + "\n".join("f " + " ".join(f"{at - 8}//1" for at in one) for one in polygons)
    looks = {
        look(ply(header, points.tobytes() + binary), "a.ply").look,
        look(ply(header, f"{rows}\n{text}\n".encode(), "ascii"), "a.ply").look,
        look(obj.encode(), "a.obj").look,
    }
    assert len(looks) == 1
    assert look(obj.encode(), "a.obj").facts.face_count == 8


def test_an_obj_with_a_material_file(look: Looker, tmp_path: Path) -> None:
    """It is not opened, wherever it is: only its name counts."""
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\n")
    text = (
        f"mtllib {tmp_path}/a.mtl\nmtllib a.mtl\nusemtl red\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nf 1 2 \\\n3\n"
    )
    examined = look(text.encode(), "a.obj")
    assert (examined.facts.face_count, examined.facts.material_count) == (1, 1)
    assert (examined.facts.has_uvs, examined.facts.has_normals) == (True, True)
    assert colours(examined) == set()


def test_bones_and_animation(look: Looker) -> None:
    """A skinned mesh is drawn where its bones are: here ten times as large as its points say."""
    facts = look(skinned_glb(), "a.glb").facts
    assert (facts.has_skeleton, facts.bone_count, facts.has_animations, facts.animation_frame_count) == (
        True,
        1,
        True,
        24,
    )
    assert facts.dimensions == [10, 10, 0]


def test_strips_fans_and_integers(look: Looker) -> None:
    square = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0))
    for mode in (5, 6):
        json_, binary = tree(corners(*square), indices(0, 1, 2, 3))
        json_["meshes"][0]["primitives"][0]["mode"] = mode
        assert look(glb(json_, binary), "a.glb").facts.face_count == 2
    packed = (np.array(square, np.uint16) * 65_535, "VEC3")
    json_, binary = tree(packed, indices(0, 1, 2))
    json_["accessors"][0]["normalized"] = True
    assert look(glb(json_, binary), "a.glb").facts.dimensions == [1, 1, 0]


@pytest.mark.parametrize(
    "uri", ["mesh.bin", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/a", "\0" * 4096]
)
def test_a_gltf_whose_buffers_are_elsewhere_is_described(look: Looker, tmp_path: Path, uri: str) -> None:
    json_, binary = tree(corners(), indices())
    (tmp_path / "mesh.bin").write_bytes(binary)
    json_["buffers"][0]["uri"] = uri
    json_["accessors"][0] |= {"min": [0, 0, 0], "max": [1, 1, 0]}
    examined = look(json.dumps(json_).encode(), "a.gltf")
    assert (examined.facts.face_count, examined.facts.dimensions, examined.thumbnails) == (1, [1, 1, 0], {})


@pytest.mark.parametrize("uri", ["texture.png", "../../../etc/passwd", "http://127.0.0.1:1/a.png", "x" * 4096])
def test_a_texture_elsewhere_is_not_looked_for(look: Looker, tmp_path: Path, uri: str) -> None:
    (tmp_path / "texture.png").write_bytes(picture("png"))
    uvs = (np.zeros((3, 2), np.float32), "VEC2")
    json_, binary = tree(corners(), indices(), uvs, images=[{"uri": uri}], textures=[{"source": 0}])
    json_["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    json_["meshes"][0]["primitives"][0] |= {"material": 0, "attributes": {"POSITION": 0, "TEXCOORD_0": 2}}
    examined = look(glb(json_, binary), "a.glb")
    assert sorted(examined.thumbnails) == sorted(THUMBNAIL_SIZES)
    assert colours(examined) == set()


def test_packed_arrays_are_described(look: Looker) -> None:
    json_, binary = tree(corners(), indices(), extensionsUsed=["KHR_draco_mesh_compression"])
    json_["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
    for accessor in json_["accessors"]:
        del accessor["bufferView"]
    examined = look(glb(json_, binary), "a.glb")
    assert (examined.facts.face_count, examined.thumbnails) == (1, {})


def test_points_alone_are_described(look: Looker) -> None:
    header = "element vertex 2\nproperty float x\nproperty float y\nproperty float z"
    examined = look(ply(header, bytes(24)), "cloud.ply")
    assert (examined.facts.vertex_count, examined.facts.face_count, examined.thumbnails) == (2, 0, {})


@pytest.mark.parametrize("format", ["stl", "ply", "obj", "glb", "stl-text"])
def test_more_than_fits_the_memory_is_counted_without_a_picture(tmp_path: Path, format: str) -> None:
    """A limit of 400 MiB of memory draws 409,600 triangles."""
    side = 460
    rows = np.arange(side * side, dtype=np.uint32).reshape(side, side)
    quads = (rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:], rows[1:, :-1])
    faces = np.stack([quads[0], quads[1], quads[2], quads[0], quads[2], quads[3]], axis=2).reshape(-1, 3)
    y, x = np.mgrid[:side, :side].reshape(2, -1)
    shape = trimesh.Trimesh(np.stack([x, y, x * 0], axis=1), faces, process=False)
    data = export(shape, "stl_ascii" if format == "stl-text" else format)
    look = Looker(tmp_path, memory_limit_bytes=400 << 20)
    try:
        examined = look(data, name_of(format))
    finally:
        look.media.close()
    assert (examined.facts.face_count, examined.thumbnails) == (2 * 459 * 459, {})
