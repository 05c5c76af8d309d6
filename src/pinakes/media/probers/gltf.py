"""The parts of a glTF 2.0 file, JSON or GLB, read no further than needed. Imported in a child process only.

Every number that says where something is, or how much of it, is checked against the rest of the file before anything is
allocated. What is not inside the file is never looked for. Numbers of sections are those of the glTF 2.0 specification.
"""

import base64
import binascii
import struct
from typing import Annotated, Any, BinaryIO, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Index = Annotated[int, Meta(ge=0, lt=1 << 32)]
Size = Annotated[int, Meta(ge=0, lt=1 << 40)]
T = TypeVar("T")
Extensions = dict[str, msgspec.Raw]
TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


class DamagedError(Exception):
    """The text continues a sentence: "the GLB …"."""


class AbsentError(Exception):
    """An array is not in the file, or packed in a way that is not read here."""


class Struct(msgspec.Struct, rename="camel"):
    """A JSON object, of which only what is used here is read."""


class Accessor(Struct):
    component_type: int
    count: Index
    type: str
    buffer_view: Index | None = None
    byte_offset: Size = 0
    normalized: bool = False
    min: list[float] = []
    max: list[float] = []
    sparse: msgspec.Raw | None = None


class View(Struct):
    buffer: Index
    byte_length: Size
    byte_offset: Size = 0
    byte_stride: Annotated[int, Meta(ge=4, le=252)] | None = None
    extensions: Extensions = {}


class Buffer(Struct):
    byte_length: Size
    uri: str | None = None


class Primitive(Struct):
    attributes: dict[str, Index]
    indices: Index | None = None
    material: Index | None = None
    mode: int = 4
    extensions: Extensions = {}


class Mesh(Struct):
    primitives: list[Primitive]


class Node(Struct):
    children: list[Index] = []
    mesh: Index | None = None
    skin: Index | None = None
    matrix: Annotated[list[float], Meta(min_length=16, max_length=16)] | None = None
    translation: tuple[float, float, float] = (0, 0, 0)
    rotation: tuple[float, float, float, float] = (0, 0, 0, 1)
    scale: tuple[float, float, float] = (1, 1, 1)


class Scene(Struct):
    nodes: list[Index] = []


class Skin(Struct):
    joints: list[Index]
    inverse_bind_matrices: Index | None = None


class Sampler(Struct):
    input: Index


class Animation(Struct):
    samplers: list[Sampler]


class TextureUse(Struct):
    index: Index
    tex_coord: Index = 0


class Surface(Struct):
    base_color_factor: tuple[float, float, float, float] = (1, 1, 1, 1)
    base_color_texture: TextureUse | None = None


class Material(Struct):
    pbr_metallic_roughness: Surface = msgspec.field(default_factory=Surface)
    alpha_mode: str = "OPAQUE"
    alpha_cutoff: float = 0.5


class WebpTexture(Struct):
    source: Index | None = None


class TextureExtensions(Struct):
    webp: WebpTexture = msgspec.field(default_factory=WebpTexture, name="EXT_texture_webp")


class Texture(Struct):
    source: Index | None = None
    extensions: TextureExtensions = msgspec.field(default_factory=TextureExtensions)


class Image(Struct):
    buffer_view: Index | None = None
    uri: str | None = None


class Asset(Struct):
    version: str


class Tree(Struct):
    """The whole of the JSON (5.17)."""

    asset: Asset
    scene: Index | None = None
    scenes: list[Scene] = []
    nodes: list[Node] = []
    meshes: list[Mesh] = []
    accessors: list[Accessor] = []
    buffer_views: list[View] = []
    buffers: list[Buffer] = []
    materials: list[Material] = []
    textures: list[Texture] = []
    images: list[Image] = []
    skins: list[Skin] = []
    animations: list[Animation] = []


class Gltf(NamedTuple):
    """A file whose numbers fit each other. `binary` is where a GLB's own buffer begins, and its length."""

    tree: Tree
    file: BinaryIO
    binary: tuple[int, int] | None
    embedded: dict[int, bytes]

    def part(self, view_number: int, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a buffer view; all that follow the offset, unless a length is given. Raises AbsentError."""
        view = self.tree.buffer_views[view_number]
        start, length = view.byte_offset + offset, view.byte_length - offset if length is None else length
        if any("meshopt" in name for name in view.extensions):
            raise AbsentError
        if view.buffer in self.embedded:
            return self.embedded[view.buffer][start : start + length]
        if self.binary is None or view.buffer != 0:
            raise AbsentError
        self.file.seek(self.binary[0] + start)
        return self.file.read(length)

    def array(self, number: int, columns: int | None = None) -> NDArray[Any]:
        """An accessor's elements, a row each. Raises AbsentError, and DamagedError for other columns than asked for."""
        accessor = self.tree.accessors[number]
        if columns not in (None, COLUMNS[accessor.type]):
            raise DamagedError(f"has an accessor of type {accessor.type} where it cannot be.")
        if accessor.buffer_view is None or accessor.sparse is not None:
            raise AbsentError
        dtype, shape = np.dtype(TYPES[accessor.component_type]), (accessor.count, COLUMNS[accessor.type])
        data = self.part(accessor.buffer_view, accessor.byte_offset, _span(self.tree, accessor))
        return np.ndarray(shape, dtype, data, strides=(_stride(self.tree, accessor), dtype.itemsize))

    def floats(self, number: int, *columns: int) -> NDArray[Any]:
        """As `array`, with normalized integers (3.6.2.2) from 0 or -1 to 1."""
        accessor = self.tree.accessors[number]
        width = COLUMNS[accessor.type]
        values = self.array(number, width if width in columns else columns[0])
        found = values.astype(np.float32)
        if accessor.normalized and values.dtype.kind in "iu":
            found = np.maximum(found / np.float32(np.iinfo(values.dtype).max), np.float32(-1))
        return found


def read(file: BinaryIO, size: int, is_binary: bool, most_json: int) -> Gltf:
    """Raises DamagedError."""
    at, length, binary = _chunks(file, size) if is_binary else (0, size, None)
    if length > most_json:
        raise DamagedError(f"has {length >> 20:,} MiB of JSON; at most {most_json >> 20:,} MiB are read.")
    file.seek(at)
    try:
        tree = msgspec.json.decode(file.read(length).removeprefix(b"\xef\xbb\xbf"), type=Tree, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise DamagedError(f"is not valid glTF: {error}.") from error
        raise DamagedError("is damaged or truncated.") from error
    if not tree.asset.version.startswith("2."):
        raise DamagedError("is not of version 2 of glTF; export it again.")
    gltf = Gltf(tree, file, binary, _embedded(tree))
    _check(gltf)
    return gltf


def _chunks(file: BinaryIO, size: int) -> tuple[int, int, tuple[int, int] | None]:
    """GLB (4.4): where the JSON is and its length, and the same of the binary chunk if there is one."""
    header = file.read(20)
    if len(header) < 20:
        raise DamagedError("is damaged or truncated.")
    _, version, total, length, kind = struct.unpack("<4sIII4s", header)
    if version != 2:
        raise DamagedError("is not of version 2 of glTF; export it again.")
    if total > size or kind != b"JSON" or 20 + length > total:
        raise DamagedError("is damaged or truncated.")
    file.seek(20 + length)
    header = file.read(8) if 28 + length <= total else b""
    if header[4:] != b"BIN\0":
        return 20, length, None
    binary = 28 + length, int.from_bytes(header[:4], "little")
    if sum(binary) > total:
        raise DamagedError("is damaged or truncated.")
    return 20, length, binary


def _embedded(tree: Tree) -> dict[int, bytes]:
    """Buffers by number that are written into the JSON."""
    return {
        number: data_uri(buffer.uri)
        for number, buffer in enumerate(tree.buffers)
        if buffer.uri is not None and buffer.uri.startswith("data:")
    }


def data_uri(uri: str) -> bytes:
    header, _, data = uri.partition(",")
    try:
        if not header.endswith(";base64"):
            raise DamagedError("has a data URI that is not base64.")
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedError("has a data URI that is not base64.") from error


def _check(gltf: Gltf) -> None:
    """Every array lies inside what it says it lies in. Other numbers are checked where they are used."""
    tree = gltf.tree
    for number, buffer in enumerate(tree.buffers):
        held = len(gltf.embedded[number]) if number in gltf.embedded else None
        if number == 0 and buffer.uri is None and gltf.binary is not None:
            held = gltf.binary[1]
        if held is not None and buffer.byte_length > held:
            raise DamagedError(f"has a buffer of {buffer.byte_length:,} bytes, of which it holds {held:,}.")
    for view in tree.buffer_views:
        if view.byte_offset + view.byte_length > at(tree.buffers, view.buffer).byte_length:
            raise DamagedError("has a buffer view that ends after its buffer.")
    for accessor in tree.accessors:
        if accessor.component_type not in TYPES or accessor.type not in COLUMNS:
            raise DamagedError("has an accessor of an unknown type.")
        if accessor.buffer_view is not None:
            view = at(tree.buffer_views, accessor.buffer_view)
            if accessor.byte_offset + _span(tree, accessor) > view.byte_length:
                raise DamagedError(f"has an accessor of {accessor.count:,} elements that ends after its buffer view.")


def at(values: list[T], number: int) -> T:
    """One of a list. Raises DamagedError when it is not so long."""
    if number >= len(values):
        raise DamagedError("names a part of itself that it does not have.")
    return values[number]


def _stride(tree: Tree, accessor: Accessor) -> int:
    view = tree.buffer_views[accessor.buffer_view] if accessor.buffer_view is not None else None
    element = np.dtype(TYPES[accessor.component_type]).itemsize * COLUMNS[accessor.type]
    return view.byte_stride if view and view.byte_stride is not None else element


def _span(tree: Tree, accessor: Accessor) -> int:
    """Bytes from the start of the first element to the end of the last."""
    element = np.dtype(TYPES[accessor.component_type]).itemsize * COLUMNS[accessor.type]
    return (accessor.count - 1) * _stride(tree, accessor) + element if accessor.count else 0
