"""What a file is, by its first bytes and its name."""

from collections.abc import Iterator

import pytest
from pictures import FORMATS, picture

from pinakes.errors import PinakesError
from pinakes.media import Examined, Media
from pinakes.media.kinds import PROBERS


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media()
    yield media
    media.close()


def box(brand: bytes, *brands: bytes) -> bytes:
    return (16 + 4 * len(brands)).to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + b"".join(brands) + bytes(40)


BMP = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0" + bytes(50)


@pytest.mark.parametrize(
    ("name", "data", "kind", "mime_type"),
    [
        ("a.mp4", box(b"isom", b"iso2", b"mp41"), "video", "video/mp4"),
        ("", box(b"isom", b"mp41"), "video", "video/mp4"),
        ("a.mov", box(b"qt  "), "video", "video/quicktime"),
        ("a", box(b"qt  "), "video", "video/quicktime"),
        ("a.MOV", b"\0\0\0\x08wide" + bytes(20), "video", "video/quicktime"),
        ("a.m4a", box(b"M4A ", b"isom"), "audio", "audio/mp4"),
        ("a", box(b"3gp5"), "video", "video/3gpp"),
        ("a.webm", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "video", "video/webm"),
        ("a", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "video", "video/x-matroska"),
        ("a.avi", b"RIFF\0\0\0\0AVI LIST", "video", "video/x-msvideo"),
        ("a.mp3", b"ID3\x04\0", "audio", "audio/mpeg"),
        ("a", b"\xff\xfb\x90\x64", "audio", "audio/mpeg"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio", "audio/wav"),
        ("a.flac", b"fLaC\0", "audio", "audio/flac"),
        ("a.ogg", b"OggS\0", "audio", "audio/ogg"),
        ("a.ogv", b"OggS\0", "video", "video/ogg"),
        ("a.glb", b"glTF\2\0\0\0", "3d", "model/gltf-binary"),
        ("a.gltf", b'{"asset": {"version": "2.0"}}', "3d", "model/gltf+json"),
        ("a.obj", b"v 0 0 0\n", "3d", "model/obj"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "3d", "application/x-ply"),
        ("a.stl", b"solid cube\n", "3d", "model/stl"),
        ("a.fbx", b"Kaydara FBX Binary  \0", "3d", "application/x-fbx"),
        ("a.usdz", b"PK\3\4", "3d", "model/vnd.usdz+zip"),
        ("a", b"PK\3\4", "document", "application/zip"),
        ("a.pdf", b"%PDF-1.7", "document", "application/pdf"),
        ("a.json", b"{}", "json", "application/json"),
        ("a.txt", b"hello", "text", "text/plain"),
        ("a.txt", b"BMW is a car maker", "text", "text/plain"),
        ("README.md", b"# hello", "text", "text/markdown"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image", "image/svg+xml"),
        ("a", b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "image", "image/svg+xml"),
        ("a.exr", b"\x76\x2f\x31\x01\2", "image-hdr", "image/x-exr"),
        ("a.hdr", b"#?RADIANCE\n", "image-hdr", "image/vnd.radiance"),
        ("a.bmp", BMP, "image", "image/bmp"),
        ("", BMP, "image", "image/bmp"),
        ("a.heic", box(b"mif1", b"heic"), "image", "image/heic"),
        ("a.psd", b"8BPS\0\1", "image", "image/vnd.adobe.photoshop"),
        ("a.dng", b"II*\0\x08\0\0\0", "image", "image/x-dcraw"),
        ("a.pdf", b"MZ", "document", "application/pdf"),
        ("a.txt", b"%PDF-1.7", "document", "application/pdf"),
        ("page.html", b"<script>alert(1)</script>", "document", "application/octet-stream"),
        ("a.exe", b"MZ", "document", "application/octet-stream"),
        ("", b"\0", "document", "application/octet-stream"),
        ("png", b"no dot, no ending", "document", "application/octet-stream"),
    ],
)
def test_stored_and_typed_only(media: Media, name: str, data: bytes, kind: str, mime_type: str) -> None:
    examined = media.examine(data, name)
    assert (examined.kind, examined.mime_type) == (kind, mime_type)
    only_typed = Examined(
        examined.kind, examined.mime_type, format=examined.format, is_probed=examined.format not in PROBERS
    )
    assert examined == only_typed  # nothing else is known of it


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", picture("jpeg"), "the name says PNG but the bytes are JPEG; rename it or send the right file."),
        ("a.JPG", picture("webp"), "the name says JPEG but the bytes are WebP; rename it or send the right file."),
        ("a.b.tif", picture("png"), "the name says TIFF but the bytes are PNG; rename it or send the right file."),
        ("a.mp4", picture("gif"), "the name says MP4 but the bytes are GIF; rename it or send the right file."),
        ("a.txt", picture("png"), "the name says TXT but the bytes are PNG; rename it or send the right file."),
        ("a.avif", box(b"heic"), "the name says AVIF but the bytes are HEIC; rename it or send the right file."),
        ("a.jpeg", b"%PDF-1.7", "the name says JPEG but the bytes are PDF; rename it or send the right file."),
        ("a.wav", b"fLaC\0", "the name says WAV but the bytes are FLAC; rename it or send the right file."),
        ("a.png", b"hello", "the name says PNG but the bytes are not; send the right file."),
        ("a.webp", b"RIFF\0\0\0\0WEBQ", "the name says WEBP but the bytes are not; send the right file."),
        ("a.gif", b"", "the file is empty."),
        ("", b"", "the file is empty."),
    ],
)
def test_lies(media: Media, name: str, data: bytes, message: str) -> None:
    with pytest.raises(PinakesError) as caught:
        media.examine(data, name)
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "image")
    assert caught.value.message.lower() == f"image: {message}".lower()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["", "picture", "picture.unknown", ".hidden", "v1.2", "a/b\\c", "x" * 5000])
def test_a_name_that_says_nothing(media: Media, format: str, name: str) -> None:
    assert media.examine(picture(format), name).format == format


@pytest.mark.parametrize(
    ("format", "ending"),
    [("jpeg", "jpg"), ("jpeg", "jpeg"), ("jpeg", "jfif"), ("jpeg", "JPE"), ("tiff", "tif"), ("tiff", "TIFF")],
)
def test_other_endings_of_the_same_type(media: Media, format: str, ending: str) -> None:
    assert media.examine(picture(format), f"a.{ending}").format == format
