"""Images through the whole of it: sniffed here, decoded and shrunk in a child process."""

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvips
from pictures import (
    FORMATS,
    MIME_TYPES,
    animation,
    black_png,
    encode,
    open_webp,
    photo,
    picture,
    png,
    png_chunk,
    rotated_jpeg,
)

from pinakes.errors import PinakesError
from pinakes.media import THUMBNAIL_SIZES, Examined, Media


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media()
    yield media
    media.close()


def refusal(media: Media, data: bytes, name: str = "") -> str:
    with pytest.raises(PinakesError) as caught:
        media.examine(data, name)
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "image")
    return caught.value.message


def sizes(examined: Examined) -> dict[int, tuple[int, int]]:
    opened = {size: open_webp(data) for size, data in examined.thumbnails.items()}
    return {size: (image.width, image.height) for size, image in opened.items()}


@pytest.mark.parametrize("format", FORMATS)
def test_each_format(media: Media, format: str) -> None:
    examined = media.examine(picture(format), f"Holiday.{format.upper()}")
    assert (examined.kind, examined.mime_type, examined.format) == ("image", MIME_TYPES[format], format)
    assert (examined.width, examined.height, examined.frames) == (320, 240, 1)
    assert sizes(examined) == {256: (256, 192), 512: (320, 240), 1024: (320, 240)}


@pytest.mark.parametrize("format", FORMATS)
def test_large_ones_fit_their_squares(media: Media, format: str) -> None:
    examined = media.examine(picture(format, 1100, 2300), "")
    assert (examined.width, examined.height) == (1100, 2300)
    assert sizes(examined) == {256: (123, 256), 512: (245, 512), 1024: (490, 1024)}
    assert open_webp(examined.thumbnails[1024]).avg() == pytest.approx(photo(1100, 2300).avg(), abs=3)


def test_a_jpeg_decoded_at_a_fraction_of_its_size(media: Media) -> None:
    examined = media.examine(picture("jpeg", 9000, 1200), "panorama.jpg")
    assert (examined.width, examined.height) == (9000, 1200)
    assert sizes(examined)[1024] == (1024, 137)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(media: Media, width: int, height: int) -> None:
    examined = media.examine(picture("png", width, height), "")
    assert (examined.width, examined.height) == (width, height)
    assert sizes(examined)[256] == (min(width, 256), min(height, 256))


@pytest.mark.parametrize(
    ("format", "frames"), [("gif", 6), ("webp", 6), ("tiff", 1)]
)  # the pages of a TIFF do not move
def test_animations_show_their_first_frame(media: Media, format: str, frames: int) -> None:
    examined = media.examine(animation(format), "")
    assert (examined.width, examined.height, examined.frames) == (80, 60, frames)
    thumbnail = open_webp(examined.thumbnails[256])
    assert (thumbnail.width, thumbnail.height) == (80, 60)
    assert (thumbnail - photo(80, 60, 1)).abs().avg() < (thumbnail - photo(80, 60, 2)).abs().avg()


def test_animated_png(media: Media) -> None:
    pixels = zlib.compress(bytes(11 * 10))
    examined = media.examine(png(10, 10, pixels, png_chunk(b"acTL", struct.pack(">II", 7, 0))), "")
    assert (examined.format, examined.frames) == ("png", 7)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("width", "height"), [(60, 30), (6000, 3000)])
def test_exif_rotation(media: Media, orientation: int, width: int, height: int) -> None:
    examined = media.examine(rotated_jpeg(width, height, orientation), "")
    is_on_its_side = orientation >= 5
    assert (examined.width, examined.height) == ((height, width) if is_on_its_side else (width, height))
    thumbnail = open_webp(examined.thumbnails[256])
    assert (thumbnail.height > thumbnail.width) == is_on_its_side
    red, _, blue = thumbnail.getpoint(3, 3)
    is_red_first = orientation in (1, 4, 5, 6)  # where the stored left edge comes to lie: left or top
    assert (red > blue) == is_red_first
    assert not thumbnail.get_typeof("orientation")


@pytest.mark.parametrize("format", ["png", "webp", "gif", "avif", "tiff"])
def test_alpha_is_kept(media: Media, format: str) -> None:
    image = photo(400, 300).bandjoin((pyvips.Image.xyz(400, 300)[0] < 200).ifthenelse(255, 0).cast("uchar"))
    thumbnail = open_webp(media.examine(encode(image, format), "").thumbnails[256])
    assert thumbnail.bands == 4
    assert (thumbnail.getpoint(10, 10)[3], thumbnail.getpoint(250, 10)[3]) == (255, 0)


def test_thumbnails_are_srgb_and_say_nothing_about_the_camera(media: Media) -> None:
    image = photo(300, 200).icc_transform("p3", input_profile="srgb", depth=8).copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Model", "Secret Camera")
    data = encode(image, "jpeg", Q=95)
    thumbnail = open_webp(media.examine(data, "").thumbnails[1024])
    assert b"Secret Camera" in data
    assert [name for name in thumbnail.get_fields() if "exif" in name or "icc" in name or "xmp" in name] == []
    assert (thumbnail - photo(300, 200)).abs().avg() < 6


@pytest.mark.parametrize(
    ("image", "format"),
    [
        (photo(90, 80).colourspace("b-w"), "png"),
        (photo(90, 80).colourspace("rgb16"), "png"),
        (photo(90, 80).colourspace("cmyk"), "jpeg"),
        (photo(90, 80).colourspace("lab"), "tiff"),
        (photo(90, 80).colourspace("scrgb"), "tiff"),
        (photo(90, 80).bandjoin(photo(90, 80, 2)).copy(interpretation="multiband"), "tiff"),
        (photo(90, 80)[0] > 100, "tiff"),
    ],
    ids=["grey", "16-bit", "CMYK", "Lab", "float", "six bands", "black and white"],
)
def test_unusual_colours(media: Media, image: pyvips.Image, format: str) -> None:
    thumbnail = open_webp(media.examine(encode(image, format), "").thumbnails[256])
    assert (thumbnail.width, thumbnail.height, thumbnail.bands, thumbnail.interpretation) in [
        (90, 80, 3, "srgb"),
        (90, 80, 4, "srgb"),
    ]


CUT = {
    **{f"{format}-large": picture(format, 1100, 700) for format in FORMATS},
    **{f"{format}-frames": animation(format) for format in ("gif", "webp", "tiff")},
    "png-interlaced": encode(photo(300, 200), "png", interlace=True),
    "jpeg-progressive": encode(photo(3000, 2900), "jpeg", interlace=True),
    "webp-lossless": encode(photo(1500, 900), "webp", lossless=True, effort=0),
    "tiff-tiles": encode(photo(600, 500), "tiff", tile=True, pyramid=True, compression="jpeg"),
    "tiff-big": encode(photo(300, 200), "tiff", bigtiff=True, compression="lzw"),
}


@pytest.mark.parametrize("which", CUT)
def test_cut_short_anywhere(media: Media, which: str) -> None:
    data, label = CUT[which], "WebP" if which.startswith("webp") else which.partition("-")[0].upper()
    assert media.examine(data, "").format == which.partition("-")[0]
    for length in [len(data) * tenth // 10 for tenth in range(1, 10)] + [len(data) - 1]:
        assert refusal(media, data[:length]) == f"image: the {label} is damaged or truncated.", length


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_seen_as_its_bytes_are(media: Media, tmp_path: Path, format: str) -> None:
    """What comes in parts is mapped into memory, not read."""
    path = tmp_path / "picture"
    for data in (picture(format), *([animation(format)] if format in ("gif", "webp", "tiff") else [])):
        path.write_bytes(data)
        assert media.examine_file("file", path, "") == media.examine(data, "")
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(PinakesError, match="is damaged or truncated"):
            media.examine_file("file", path, "")


@pytest.mark.parametrize("format", FORMATS)
def test_magic_alone(media: Media, format: str) -> None:
    message = refusal(media, picture(format)[:16])
    assert message.endswith("is damaged or truncated.")


@pytest.mark.parametrize("which", CUT)
def test_damage_anywhere(media: Media, which: str) -> None:
    """Whatever the decoder makes of it, a picture or an error, the answer is one of ours. Only PNG has checksums."""
    chance = random.Random(which)
    for _ in range(25):
        data = bytearray(CUT[which])
        for _ in range(chance.choice((1, 10))):
            data[chance.randrange(12, chance.choice((200, len(data))))] = chance.randrange(256)
        try:
            examined = media.examine(bytes(data), "")
        except PinakesError as error:
            if error.code != "BAD_REQUEST":
                raise
        else:
            assert sorted(examined.thumbnails) == sorted(THUMBNAIL_SIZES)


def test_a_png_changed_by_one_bit(media: Media) -> None:
    data = bytearray(picture("png"))
    data[len(data) // 2] ^= 1
    assert "is damaged" in refusal(media, bytes(data))


def test_a_header_of_absurd_size(media: Media) -> None:
    message = refusal(media, png(100_000, 100_000, zlib.compress(bytes(100))), "bomb.png")
    assert message.startswith(
        "image: the PNG is 100,000 x 100,000 pixels; at most 268,000,000 in all and 65,535 a side"
    )


def test_a_side_too_long(media: Media) -> None:
    assert "is 70,000 x 1 pixels" in refusal(media, black_png(70_000, 1))


def test_a_decompression_bomb(media: Media) -> None:
    data = black_png(20_000, 20_000)
    assert len(data) < 500_000
    assert "is 20,000 x 20,000 pixels" in refusal(media, data)


def test_a_large_image_within_the_limits(media: Media) -> None:
    examined = media.examine(black_png(12_000, 10_000), "")
    assert (examined.width, examined.height, len(examined.thumbnails)) == (12_000, 10_000, len(THUMBNAIL_SIZES))


def test_an_image_that_needs_too_much_memory() -> None:
    black = pyvips.Image.black(14_000, 14_000, bands=3).copy(interpretation="srgb")  # 561 MiB, needed all at once
    media = Media(memory_limit_bytes=700 << 20)
    try:
        message = refusal(media, encode(black, "png", interlace=True))
        assert message == "image: the PNG needs more than 700 MiB of memory to decode."
        assert media.examine(picture("png"), "").width == 320
    finally:
        media.close()
