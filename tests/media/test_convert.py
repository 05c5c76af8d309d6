"""Pictures in another format: whatever is uploaded, an answer in time and within the memory there is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pyvips
from pictures import animation, picture

from pinakes.errors import PinakesError
from pinakes.media import Media

FORMATS = ("avif", "gif", "jpeg", "png", "tiff", "webp")


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media(processes=1)
    yield media
    media.close()


Convert = Callable[..., "pyvips.Image | str"]


@pytest.fixture
def convert(media: Media, tmp_path: Path) -> Convert:
    """The picture in another format, or why not."""

    def convert(data: bytes, format: str, target: str, by: Media = media) -> "pyvips.Image | str":
        (tmp_path / "file").write_bytes(data)
        try:
            return pyvips.Image.new_from_buffer(by.convert("targetFormat", tmp_path / "file", format, target), "")
        except PinakesError as error:
            return f"{error.code} {error.message}"

    return convert


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_becomes_every_other(convert: Convert, format: str) -> None:
    for target in FORMATS:
        made = convert(picture(format, 300, 200), format, target)
        loader = "heif" if target == "avif" else target
        assert not isinstance(made, str), made
        assert (made.width, made.height, made.get("vips-loader")) == (300, 200, f"{loader}load_buffer")
        assert abs(made.avg() - pyvips.Image.new_from_buffer(picture(format, 300, 200), "").avg()) < 3


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_cut_short_is_refused_or_was_whole_before(convert: Convert, format: str) -> None:
    data = picture(format, 300, 200)
    for tenth in range(1, 10):
        made = convert(data[: len(data) * tenth // 10], format, "png")
        assert isinstance(made, str), tenth
        assert made.startswith("BAD_REQUEST targetFormat: ")
        assert "could not be converted to PNG" in made or "damaged" in made


def test_colours_keep_their_meaning(convert: Convert) -> None:
    """A profile is kept where there is room for it, and worked into the colours where there is none."""
    plain = pyvips.Image.new_from_buffer(picture("png", 300, 200), "")
    wide = plain.icc_transform("p3", input_profile="srgb")
    for target in FORMATS:
        made = convert(wide.pngsave_buffer(), "png", target)
        assert not isinstance(made, str)
        assert (made.get_typeof("icc-profile-data") != 0) == (target != "gif")
        seen = made.icc_transform("srgb", embedded=True) if target != "gif" else made
        assert (seen[:3] - plain[:3]).abs().avg() < 6


def test_print_becomes_light(convert: Convert) -> None:
    plain = pyvips.Image.new_from_buffer(picture("jpeg", 300, 200), "")
    printed = plain.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=95)
    for target in ("png", "webp", "avif", "gif"):
        made = convert(printed, "jpeg", target)
        assert not isinstance(made, str)
        assert (made.bands, made.interpretation) == (3, "srgb")
        assert abs(made.avg() - plain.avg()) < 25


def test_what_is_known_of_a_picture_stays_with_it(convert: Convert) -> None:
    image = pyvips.Image.new_from_buffer(picture("jpeg", 300, 200), "").copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Hypatia (Hypatia, ASCII, 8 components, 8 bytes)")
    for target in ("png", "webp", "avif"):
        made = convert(image.jpegsave_buffer(), "jpeg", target)
        assert not isinstance(made, str)
        assert made.get("exif-ifd0-Artist").startswith("Hypatia")


def test_a_film_of_many_frames_is_counted_as_a_whole(convert: Convert) -> None:
    small = Media(processes=1, max_pixels=80 * 60 * 5)
    try:
        told = convert(animation("gif"), "gif", "webp", small)
        assert told == (
            "BAD_REQUEST targetFormat: the GIF is 80 x 60 pixels in 6 frames; at most 24,000 in all are converted."
        )
        assert not isinstance(convert(animation("gif"), "gif", "png", small), str)
    finally:
        small.close()


def test_what_takes_too_long_is_given_up(convert: Convert) -> None:
    noise = pyvips.Image.gaussnoise(4000, 3000, sigma=60, mean=128).cast("uchar")
    data = noise.bandjoin([noise, noise]).copy(interpretation="srgb").jpegsave_buffer()
    hasty = Media(processes=1, time_limit_s=0.4)
    try:
        told = convert(data, "jpeg", "avif", hasty)
        assert told == "BAD_REQUEST targetFormat: the JPEG took longer than 0.4 s to convert."
        assert not isinstance(convert(picture("png"), "png", "jpeg", hasty), str)
    finally:
        hasty.close()


def test_what_takes_too_much_memory_is_refused(convert: Convert) -> None:
    """One that lies on its side has to be in memory as a whole."""
    image = pyvips.Image.black(15000, 12000, bands=3).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    poor = Media(processes=1, memory_limit_bytes=400 << 20)
    try:
        told = convert(image.jpegsave_buffer(), "jpeg", "png", poor)
        assert told == "BAD_REQUEST targetFormat: the JPEG needs more than 400 MiB of memory to decode."
        assert not isinstance(convert(picture("png"), "png", "jpeg", poor), str)
    finally:
        poor.close()


def test_a_large_picture_that_lies_on_its_side(convert: Convert) -> None:
    """Larger than what libvips would put into a file, which its process may not write."""
    image = pyvips.Image.black(9000, 6000, bands=3).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 8)
    made = convert(image.jpegsave_buffer(), "jpeg", "webp")
    assert not isinstance(made, str), made
    assert (made.width, made.height) == (6000, 9000)
