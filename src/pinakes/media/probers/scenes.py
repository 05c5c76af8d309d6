"""What a glTF file holds, and its triangles where its scene puts them. Imported in a child process only.

It is described by its JSON alone, so a file of any size is, and one whose arrays are elsewhere or packed.
"""

from collections.abc import Iterator

import numpy as np
import pyvips

from pinakes.asset_types import Facts
from pinakes.media import kinds
from pinakes.media.probers.gltf import AbsentError, DamagedError, Gltf, Material, Node, Primitive, Tree, at, data_uri
from pinakes.media.probers.render import Array, Part

_STRIP, _FAN = 5, 6
_TEXTURE_SIDE = 1024
_TEXELS = 16 * _TEXTURE_SIDE**2
"""That many are kept of all textures together: with more than 16, each is smaller."""
_SKINNED_AT_ONCE = 65_536


def facts(tree: Tree) -> Facts:
    """Points and triangles are counted as stored: once, however often the scene shows them."""
    primitives = [primitive for mesh in tree.meshes for primitive in mesh.primitives]
    positions = {primitive.attributes["POSITION"] for primitive in primitives if "POSITION" in primitive.attributes}
    frames = [
        at(tree.accessors, sampler.input).count for animation in tree.animations for sampler in animation.samplers
    ]
    return Facts(
        face_count=sum(triangle_count(tree, primitive) for primitive in primitives),
        vertex_count=sum(at(tree.accessors, number).count for number in positions),
        material_count=len(tree.materials),
        has_normals=any("NORMAL" in primitive.attributes for primitive in primitives),
        has_uvs=any("TEXCOORD_0" in primitive.attributes for primitive in primitives),
        has_skeleton=bool(tree.skins),
        bone_count=len({joint for skin in tree.skins for joint in skin.joints}),
        has_animations=bool(tree.animations),
        animation_frame_count=max(frames, default=0),
    )


def triangle_count(tree: Tree, primitive: Primitive) -> int:
    if "POSITION" not in primitive.attributes:
        return 0
    corners = primitive.attributes["POSITION"] if primitive.indices is None else primitive.indices
    count = at(tree.accessors, corners).count
    return {4: count // 3, _STRIP: max(count - 2, 0), _FAN: max(count - 2, 0)}.get(primitive.mode, 0)


def shown(tree: Tree) -> list[tuple[Node, Array, Primitive]]:
    """What the scene shows and what puts each there."""
    places = _places(tree)
    nodes = [tree.nodes[number] for number in places]
    return [
        (node, place, primitive)
        for node, place in zip(nodes, places.values(), strict=True)
        if node.mesh is not None
        for primitive in at(tree.meshes, node.mesh).primitives
        if triangle_count(tree, primitive)
    ]


def drawn(tree: Tree) -> int:
    """Triangles, or points if they are more, that drawing the scene takes."""
    primitives = shown(tree)
    points = [tree.accessors[primitive.attributes["POSITION"]].count for _, _, primitive in primitives]
    return max(sum(points), sum(triangle_count(tree, primitive) for _, _, primitive in primitives))


def _places(tree: Tree) -> dict[int, Array]:
    """Every node of the scene by its number. A file without scenes shows all of its nodes."""
    if tree.scenes:
        roots = at(tree.scenes, tree.scene or 0).nodes
    else:
        children = {child for node in tree.nodes for child in node.children}
        roots = [number for number in range(len(tree.nodes)) if number not in children]
    places: dict[int, Array] = {}
    waiting = [(number, np.eye(4)) for number in roots]
    while waiting:
        number, parent = waiting.pop()
        node = at(tree.nodes, number)
        if number in places:
            raise DamagedError("has a node with two parents.")
        with np.errstate(all="ignore"):
            places[number] = parent @ _own_place(node)
        waiting += [(child, places[number]) for child in node.children]
    return places


def _own_place(node: Node) -> Array:
    """5.25: a matrix column by column, or a translation, a rotation (a quaternion) and a scale."""
    if node.matrix is not None:
        return np.array(node.matrix).reshape(4, 4).T
    x, y, z, w = node.rotation
    place = np.eye(4)
    place[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    place[:3, :3] *= node.scale
    place[:3, 3] = node.translation
    return place


def parts(gltf: Gltf, most_pixels: int) -> list[Part]:
    """Everything the scene shows, at rest. Raises AbsentError when some of it is not in the file, and DamagedError."""
    tree, places = gltf.tree, _places(gltf.tree)
    textures: dict[int, Array | None] = {}
    found = []
    for node, place, primitive in shown(tree):
        if any("draco" in name for name in primitive.extensions):
            raise AbsentError
        material = Material() if primitive.material is None else at(tree.materials, primitive.material)
        points, normals = _placed(gltf, node, place, places, primitive)
        part = Part(points, _triangles(gltf, primitive, len(points)), normals, _colours(gltf, primitive, len(points)))
        found.append(_painted(gltf, part, primitive, material, textures, most_pixels))
    return found


def _attribute(gltf: Gltf, primitive: Primitive, name: str, count: int, *columns: int) -> Array | None:
    """A row for each point."""
    number = primitive.attributes.get(name)
    if number is None:
        return None
    if at(gltf.tree.accessors, number).count != count:
        raise DamagedError(f"has {name} for other than its {count:,} points.")
    return gltf.floats(number, *columns)


def _placed(
    gltf: Gltf, node: Node, place: Array, places: dict[int, Array], primitive: Primitive
) -> tuple[Array, Array | None]:
    """Points and normals. A skinned mesh is where its bones are, wherever its node is (3.7.3.3)."""
    number = primitive.attributes["POSITION"]
    points = gltf.floats(number, 3)
    normals = _attribute(gltf, primitive, "NORMAL", len(points), 3)
    with np.errstate(all="ignore"):
        if node.skin is not None and "JOINTS_0" in primitive.attributes:
            return _skinned(gltf, node.skin, places, primitive, points, normals)
        turn = place[:3, :3]
        points = (points @ turn.T + place[:3, 3]).astype(np.float32)
        return points, None if normals is None else (normals @ _for_normals(turn).T).astype(np.float32)


def _for_normals(turn: Array) -> Array:
    """The cofactors: what a normal turns by, up to its length, also where a scale of 0 has no inverse."""
    return np.stack([np.cross(turn[1], turn[2]), np.cross(turn[2], turn[0]), np.cross(turn[0], turn[1])])


def _skinned(
    gltf: Gltf,
    skin_number: int,
    places: dict[int, Array],
    primitive: Primitive,
    points: Array,
    normals: Array | None,
) -> tuple[Array, Array | None]:
    skin = at(gltf.tree.skins, skin_number)
    bones = np.array([places.get(joint, np.eye(4)) for joint in skin.joints])
    if skin.inverse_bind_matrices is not None:
        rest = gltf.floats(skin.inverse_bind_matrices, 16).reshape(-1, 4, 4).transpose(0, 2, 1)
        if len(rest) < len(bones):
            raise DamagedError("has fewer bind matrices than bones.")
        bones = bones @ rest[: len(bones)]
    joints = gltf.array(primitive.attributes["JOINTS_0"], 4)
    weights = _attribute(gltf, primitive, "WEIGHTS_0", len(points), 4)
    if weights is None or len(joints) != len(points) or (joints.size and int(joints.max()) >= len(bones)):
        raise DamagedError("has points that hang on bones it does not have.")
    moved, turned = np.empty_like(points), None if normals is None else np.empty_like(normals)
    for start in range(0, len(points), _SKINNED_AT_ONCE):
        some = slice(start, start + _SKINNED_AT_ONCE)
        pose = np.einsum("nj,njab->nab", weights[some], bones.astype(np.float32)[joints[some].astype(np.intp)])
        moved[some] = np.einsum("nab,nb->na", pose[:, :3, :3], points[some]) + pose[:, :3, 3]
        if normals is not None and turned is not None:
            turned[some] = np.einsum("nab,nb->na", pose[:, :3, :3], normals[some])
    return moved, turned


def _triangles(gltf: Gltf, primitive: Primitive, count: int) -> Array:
    if primitive.indices is None:
        corners = np.arange(count, dtype=np.int32)
    else:
        found = gltf.array(primitive.indices, 1).reshape(-1)
        if found.dtype.kind != "u" or (found.size and int(found.max()) >= count):
            raise DamagedError("has triangles between points it does not have.")
        corners = found.astype(np.int32)
    if primitive.mode == _STRIP:
        return np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    if primitive.mode == _FAN:
        return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)
    return corners[: len(corners) // 3 * 3].reshape(-1, 3)


def _colours(gltf: Gltf, primitive: Primitive, count: int) -> Array | None:
    colours = _attribute(gltf, primitive, "COLOR_0", count, 3, 4)
    return None if colours is None else np.clip(np.nan_to_num(colours[:, :3]), 0, 1)


def _painted(
    gltf: Gltf,
    part: Part,
    primitive: Primitive,
    material: Material,
    textures: dict[int, Array | None],
    most_pixels: int,
) -> Part:
    surface = material.pbr_metallic_roughness
    red, green, blue, _ = np.clip(surface.base_color_factor, 0, 1)
    part = part._replace(tint=(float(red), float(green), float(blue)))
    if surface.base_color_texture is None:
        return part
    uvs = _attribute(gltf, primitive, f"TEXCOORD_{surface.base_color_texture.tex_coord}", len(part.points), 2)
    number = surface.base_color_texture.index
    if number not in textures:
        textures[number] = _texture(gltf, number, most_pixels)
    cutout = {"MASK": material.alpha_cutoff, "BLEND": 0.5}.get(material.alpha_mode, 0.0)
    return part._replace(uvs=uvs, texture=textures[number], cutout=cutout)


def _texture(gltf: Gltf, number: int, most_pixels: int) -> Array | None:
    """sRGB and alpha; None when it is not in the file, or cannot be read: the mesh is worth seeing without."""
    texture = at(gltf.tree.textures, number)
    source = texture.extensions.webp.source if texture.source is None else texture.source
    if source is None:
        return None
    image = at(gltf.tree.images, source)
    try:
        if image.buffer_view is not None:
            at(gltf.tree.buffer_views, image.buffer_view)
            return _pixels(gltf.part(image.buffer_view), len(gltf.tree.textures), most_pixels)
        if image.uri is not None and image.uri.startswith("data:"):
            return _pixels(data_uri(image.uri), len(gltf.tree.textures), most_pixels)
    except (AbsentError, pyvips.Error):
        return None
    return None


def _pixels(data: bytes, textures: int, most_pixels: int) -> Array | None:
    type = kinds.sniff(data[:64])
    if type is None or type.name not in ("png", "jpeg", "webp"):
        return None
    image = pyvips.Image.new_from_buffer(data, "", access="sequential")
    if image.width * image.height > most_pixels:
        return None
    side = min(_TEXTURE_SIDE, max(int((_TEXELS / textures) ** 0.5), 1))
    image = image.thumbnail_image(side, height=side, size="down").colourspace("srgb")
    image = image if image.hasalpha() else image.addalpha()
    pixels = np.frombuffer(image.extract_band(0, n=4).cast("uchar").write_to_memory(), np.uint8)
    return pixels.reshape(image.height, image.width, 4)


def sides(tree: Tree) -> list[float] | None:
    """Of the box around what the scene shows, by what each array says are its least and greatest values."""
    corners = [corner for _, place, primitive in shown(tree) for corner in _corners(tree, place, primitive)]
    if not corners:
        return None
    extents: list[float] = np.ptp(np.array(corners), axis=0).tolist()
    return extents if np.isfinite(extents).all() else None


def _corners(tree: Tree, place: Array, primitive: Primitive) -> Iterator[Array]:
    accessor = tree.accessors[primitive.attributes["POSITION"]]
    if len(accessor.min) == len(accessor.max) == 3:
        low_high = (accessor.min, accessor.max)
        for corner in range(8):
            point = [low_high[corner >> axis & 1][axis] for axis in range(3)]
            yield place[:3, :3] @ point + place[:3, 3]
