"""What a file is: its first bytes decide, then the ending of its name. Nothing is decoded here."""

import re
from collections.abc import Iterator

import msgspec

from pinakes.asset_types import Kind
from pinakes.errors import bad_request


class Type(msgspec.Struct, frozen=True):
    """`family` is what first bytes can tell; types of one family (MP4 and MOV) differ by the name alone.

    `has_magic`: such files always start with bytes `sniff` knows, so a name that claims this type can be found a lie.
    """

    name: str
    kind: Kind
    mime_type: str
    endings: tuple[str, ...]
    family: str
    has_magic: bool = False

    @property
    def label(self) -> str:
        return "WebP" if self.name == "webp" else self.name.upper()


def _types() -> Iterator[Type]:
    def magic(name: str, kind: Kind, mime_type: str, endings: str, family: str = "") -> Type:
        return Type(name, kind, mime_type, tuple(endings.split()), family or name, True)

    def loose(name: str, kind: Kind, mime_type: str, endings: str, family: str = "") -> Type:
        return Type(name, kind, mime_type, tuple(endings.split()), family or name)

    yield magic("png", "image", "image/png", "png apng")
    yield magic("jpeg", "image", "image/jpeg", "jpg jpeg jfif jpe")
    yield magic("webp", "image", "image/webp", "webp")
    yield magic("gif", "image", "image/gif", "gif")
    yield magic("avif", "image", "image/avif", "avif avifs")
    yield magic("tiff", "image", "image/tiff", "tif tiff")
    # Camera files look like TIFF from the outside; what is inside only their maker's program knows.
    yield loose("raw", "image", "image/x-dcraw", "dng nef nrw cr2 arw srf sr2 pef srw 3fr iiq", "tiff")

    yield magic("heic", "image", "image/heic", "heic heif hif")
    yield magic("bmp", "image", "image/bmp", "bmp dib")
    yield magic("psd", "image", "image/vnd.adobe.photoshop", "psd psb")
    yield magic("jxl", "image", "image/jxl", "jxl")
    yield loose("tga", "image", "image/x-tga", "tga")
    yield loose("svg", "image", "image/svg+xml", "svg")
    yield magic("exr", "image-hdr", "image/x-exr", "exr")
    yield magic("hdr", "image-hdr", "image/vnd.radiance", "hdr rgbe pic")

    yield magic("mp4", "video", "video/mp4", "mp4 m4v", "isobmff")
    yield loose("mov", "video", "video/quicktime", "mov qt", "isobmff")  # old ones start without `ftyp`
    yield magic("3gp", "video", "video/3gpp", "3gp 3g2", "isobmff")
    yield magic("m4a", "audio", "audio/mp4", "m4a m4b", "isobmff")
    yield magic("webm", "video", "video/webm", "webm", "matroska")
    yield magic("mkv", "video", "video/x-matroska", "mkv mka", "matroska")
    yield magic("avi", "video", "video/x-msvideo", "avi")

    yield magic("wav", "audio", "audio/wav", "wav wave")
    yield magic("flac", "audio", "audio/flac", "flac")
    yield magic("ogg", "audio", "audio/ogg", "ogg oga opus spx", "ogg")
    yield magic("ogv", "video", "video/ogg", "ogv", "ogg")
    yield loose("mp3", "audio", "audio/mpeg", "mp3")
    yield loose("aac", "audio", "audio/aac", "aac", "mp3")  # either may start with an ID3 tag

    yield magic("glb", "3d", "model/gltf-binary", "glb")
    yield loose("gltf", "3d", "model/gltf+json", "gltf")
    yield loose("obj", "3d", "model/obj", "obj")
    yield magic("ply", "3d", "application/x-ply", "ply")
    yield loose("stl", "3d", "model/stl", "stl")
    yield loose("fbx", "3d", "application/x-fbx", "fbx")
    yield magic("zip", "document", "application/zip", "zip", "zip")
    yield magic("usdz", "3d", "model/vnd.usdz+zip", "usdz", "zip")
    yield magic("3mf", "3d", "model/3mf", "3mf", "zip")

    yield loose("pdf", "document", "application/pdf", "pdf")  # may start with other bytes
    yield loose("json", "json", "application/json", "json")
    yield loose("txt", "text", "text/plain", "txt text log")
    yield loose("md", "text", "text/markdown", "md markdown")
    yield loose("csv", "text", "text/csv", "csv")

    yield magic("safetensors", "document", "application/x-safetensors", "safetensors")
    yield magic("gguf", "document", "application/x-gguf", "gguf")
    # To read a pickle is to run it: nobody does. Newer ones are within a ZIP.
    yield loose("pickle", "document", "application/octet-stream", "ckpt pt pth", "zip")


TYPES = {type.name: type for type in _types()}
ENDINGS = {ending: type for type in TYPES.values() for ending in type.endings}
DECODED = frozenset({"png", "jpeg", "webp", "gif", "avif", "tiff"})
"""The pictures we decode: quick enough to be done while the upload waits, and refused when they are damaged."""

PROBERS = {
    **dict.fromkeys(("safetensors", "gguf"), "weights"),
    **dict.fromkeys(DECODED, "images"),
    **dict.fromkeys(("mp4", "mov", "3gp", "webm", "mkv", "avi", "ogv"), "video"),
    **dict.fromkeys(("m4a", "wav", "flac", "ogg", "mp3", "aac"), "audio"),
    **dict.fromkeys(("glb", "gltf", "obj", "ply", "stl"), "meshes"),
    **dict.fromkeys(("txt", "md", "csv", "json"), "texts"),
    "svg": "drawings",
    "pdf": "documents",
}
"""The module of `probers` that looks into files of a type, in a child process. Other types are stored unseen."""

HEADS = dict.fromkeys(("safetensors", "gguf"), 128 << 20)
"""How much of a file may be its header, where that is all that its prober reads."""

UNKNOWN = Type("unknown", "document", "application/octet-stream", (), "unknown")

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"8BPS", "psd"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"glTF", "glb"),
    (b"Kaydara FBX Binary", "fbx"),
    (b"ply\n", "ply"),
    (b"ply\r", "ply"),
    (b"PK\3\4", "zip"),
    (b"%PDF-", "pdf"),
    (b"GGUF", "gguf"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "pickle"),  # torch.save's, before it wrote ZIPs
)
_MOST_SAFETENSORS_HEADER = 100_000_000
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def of(field: str, data: bytes, name: str) -> Type:
    """The type of a file by its first bytes. BAD_REQUEST, naming `field`, for a name that claims another type."""
    by_bytes, by_name = sniff(data), _by_name(name)
    if by_bytes is None or by_name is None:
        if by_name and by_name.name in DECODED:
            raise bad_request(field, f"the name says {by_name.label} but the bytes are not; send the right file.")
        return by_bytes or by_name or UNKNOWN
    if by_bytes.family == by_name.family:
        return by_name
    if by_name.has_magic or by_bytes.name in DECODED:
        advice = "rename it or send the right file."
        raise bad_request(field, f"the name says {by_name.label} but the bytes are {by_bytes.label}; {advice}")
    return by_bytes


def guess(data: bytes, name: str) -> Type:
    """The type that `of` tells, if it tells one."""
    return sniff(data) or _by_name(name) or UNKNOWN


def _by_name(name: str) -> Type | None:
    return ENDINGS.get(name.rpartition(".")[2].lower() if "." in name else "")


def ending_of(format: str | None, name: str) -> str:
    """The ending for a file of a format, as its name has it if that fits; of no known format, if it is plain at all."""
    own = name.rpartition(".")[2].lower() if "." in name else ""
    type = TYPES.get(format or "")
    if type is None:
        return own if re.fullmatch("[a-z0-9]{1,10}", own) else "bin"
    return own if own in type.endings else type.endings[0]


def sniff(data: bytes) -> Type | None:
    """The type the first bytes tell; None when they tell nothing."""
    name = next((name for start, name in _STARTS if data.startswith(start)), None) or _container(data) or _text(data)
    return TYPES[name] if name else None


def _container(data: bytes) -> str | None:
    if _is_safetensors(data):
        return "safetensors"
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _brand(data)
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in data[:64] else "mkv"
    # BMP's two letters alone could be any text: ask for its reserved zeros and a header size that exists as well.
    if (
        data.startswith(b"BM")
        and data[6:10] == bytes(4)
        and data[14:15] in (b"\x0c", b"\x28", b"\x34", b"\x38", b"\x6c", b"\x7c")
    ):
        return "bmp"
    return None


def _is_safetensors(data: bytes) -> bool:
    """The length of the header, then the header, which is JSON. The length may be the only thing wrong with it."""
    length = int.from_bytes(data[:8], "little")
    return length <= _MOST_SAFETENSORS_HEADER and data[8:9] == b"{" and data[9:10] in (b'"', b"}", b" ")


def _brand(data: bytes) -> str:
    """ISO/IEC 14496-12, 4.3: box size, `ftyp`, the major brand, its version, then the compatible brands."""
    box = data[: min(int.from_bytes(data[:4], "big"), 256)]
    major, brands = data[8:12], {data[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}
    if brands & {b"avif", b"avis"}:
        return "avif"
    if brands & _HEIC_BRANDS:
        return "heic"
    names = {b"qt  ": "mov", b"M4A ": "m4a", b"M4B ": "m4a"}
    return names.get(major, "3gp" if major.startswith(b"3g") else "mp4")


def _text(data: bytes) -> str | None:
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    is_svg = start.startswith((b"<svg", b"<?xml", b"<!--")) and b"<svg" in start
    return "svg" if is_svg else None
