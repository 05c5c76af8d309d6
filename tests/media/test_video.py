"""Video through the whole of it: typed here, looked into in a child process."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import clips
import numpy as np
import pytest
import pyvips
from clips import CODECS, VIDEOS, clip, flat, scene
from msgspec import UNSET

from pinakes.errors import PinakesError
from pinakes.media import Examined, Media
from pinakes.media.kinds import ENDINGS

Look = Callable[[bytes, str], Examined]


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media(processes=1)
    yield media
    media.close()


@pytest.fixture
def look(media: Media, tmp_path: Path) -> Look:
    def examine(data: bytes, name: str) -> Examined:
        path = tmp_path / "file"
        path.write_bytes(data)
        return media.examine_file("file", path, name)

    return examine


def thumbnail(examined: Examined, size: int = 1024) -> pyvips.Image:
    return pyvips.Image.webpload_buffer(examined.thumbnails[size])


def preview(examined: Examined) -> pyvips.Image:
    assert examined.preview is not None
    return pyvips.Image.webpload_buffer(examined.preview, n=-1).extract_band(0, n=3)


@pytest.mark.parametrize("ending", VIDEOS)
def test_each_container(look: Look, ending: str) -> None:
    data, (_, picture_codec, sound_codec) = clip(ending), VIDEOS[ending]
    found = look(data, f"Clip.{ending.upper()}")
    assert (found.kind, found.mime_type, found.format) == ("video", ENDINGS[ending].mime_type, ending)
    # H.263 has pixels that are wider than high (12:11).
    assert (found.width, found.height) == ((384, 288) if ending == "3gp" else (352, 288))
    assert found.frames == pytest.approx(50, abs=1)
    facts = found.facts
    assert facts.codec_name == CODECS.get(picture_codec, picture_codec)
    assert facts.audio_codec_name == CODECS.get(sound_codec, sound_codec)
    assert facts.duration == pytest.approx(2, abs=0.1)
    assert facts.frame_rate == pytest.approx(25, abs=0.01)
    assert facts.bitrate == pytest.approx(len(data) * 8 / 2, rel=0.05)
    assert (facts.sample_rate, facts.channels) == ((8000, 1) if ending == "3gp" else (48_000, 2))
    assert sorted(found.thumbnails) == [256, 512, 1024]
    assert found.look is not None


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "libsvtav1"), ("mov", "prores_ks"), ("avi", "mjpeg"), ("mkv", "ffv1")]
)
def test_other_codecs(look: Look, ending: str, codec: str) -> None:
    formats = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p", "ffv1": "yuv444p"}
    stream: dict[str, object] = {"pix_fmt": formats.get(codec, "yuv420p")}
    found = look(clips.video(ending, seconds=1, codecs=(codec, None), stream=stream), f"a.{ending}")
    assert found.facts.codec_name == CODECS.get(codec, codec.removesuffix("_ks"))
    assert (found.width, found.height, found.facts.audio_codec_name) == (320, 240, UNSET)
    shown = thumbnail(found)
    assert min((shown - pyvips.Image.new_from_array(scene(at, 320, 240))).abs().avg() for at in range(25)) < 6


def test_the_picture_is_a_frame_in_its_colours(look: Look) -> None:
    shown = thumbnail(look(clip("mp4"), "a.mp4"))
    assert (shown.width, shown.height) == (352, 288)
    frames = [pyvips.Image.new_from_array(scene(at, 352, 288)) for at in range(50)]
    assert min((shown - frame).abs().avg() for frame in frames) < 5


def test_large_ones_fit_their_squares(look: Look) -> None:
    found = look(clips.video("mp4", seconds=0.4, size=(2560, 1080)), "a.mp4")
    assert (found.width, found.height) == (2560, 1080)
    made = {size: (thumbnail(found, size).width, thumbnail(found, size).height) for size in (256, 512, 1024)}
    assert made == {256: (256, 108), 512: (512, 216), 1024: (1024, 432)}
    assert (preview(found).width, preview(found).get("page-height")) == (320, 135)


def test_the_preview_moves_as_fast_as_a_short_clip(look: Look) -> None:
    shown = preview(look(clip("mp4"), "a.mp4"))
    assert shown.get("n-pages") == 16
    assert sum(shown.get("delay")) == pytest.approx(2000, abs=20)
    pages = [shown.crop(0, at * shown.get("page-height"), shown.width, shown.get("page-height")) for at in range(16)]
    assert all((one - other).abs().avg() > 0.5 for one, other in pairwise(pages))


def test_the_preview_of_a_long_clip_is_short_and_spread_over_it(look: Look) -> None:
    def count(number: int, width: int, height: int) -> np.ndarray:
        return scene(0, width, height) // 2 + np.uint8(number // 10)

    data = clips.video("mp4", seconds=120, rate=10, size=(128, 96), paint=count)
    shown = preview(look(data, "a.mp4"))
    height, delays = shown.get("page-height"), shown.get("delay")
    assert (len(delays) <= 24, sum(delays) <= 3000) == (True, True)
    brightness = [shown.crop(0, at * height, shown.width, height).avg() for at in range(len(delays))]
    assert brightness == sorted(brightness)
    assert brightness[-1] - brightness[0] == pytest.approx(112, abs=8)  # from the first to the last sixteenth


@pytest.mark.parametrize("opening", [flat(0, 0, 0), flat(255, 255, 255), flat(40, 90, 160)])
def test_the_picture_shows_something(look: Look, opening: clips.Painter) -> None:
    """The clip starts with two thirds of one colour."""

    def paint(number: int, width: int, height: int) -> np.ndarray:
        return opening(number, width, height) if number < 34 else scene(number, width, height)

    assert thumbnail(look(clips.video("mp4", paint=paint), "a.mp4")).colourspace("b-w").deviate() > 30


def test_all_black(look: Look) -> None:
    found = look(clips.video("mp4", paint=flat(0, 0, 0)), "a.mp4")
    assert thumbnail(found).max() < 5


@pytest.mark.parametrize(
    ("turn", "corner", "size"),
    [
        ((0, False, False), (0, 0), (320, 240)),
        ((90, False, False), (0, -1), (240, 320)),
        ((180, False, False), (-1, -1), (320, 240)),
        ((270, False, False), (-1, 0), (240, 320)),
        ((0, True, False), (-1, 0), (320, 240)),
        ((0, False, True), (0, -1), (320, 240)),
    ],
)
def test_turned(look: Look, turn: tuple[int, bool, bool], corner: tuple[int, int], size: tuple[int, int]) -> None:
    """A red square is in the top left corner as it is stored; `corner` is where it is seen."""

    def paint(number: int, width: int, height: int) -> np.ndarray:
        picture = np.full((height, width, 3), (0, 0, 100 + 4 * number), np.uint8)
        picture[:60, :60] = (255, 0, 0)
        return picture

    found = look(clips.video("mp4", seconds=0.4, paint=paint, turn=turn), "a.mp4")
    shown = thumbnail(found)
    assert (found.width, found.height) == (shown.width, shown.height) == size
    assert (preview(found).width, preview(found).get("page-height")) == size
    x, y = (20 if at == 0 else side - 20 for at, side in zip(corner, size, strict=True))
    red, _, blue = shown.getpoint(x, y)
    assert (red > 200, blue < 60) == (True, True)


def test_pixels_that_are_not_square(look: Look) -> None:
    data = clips.video("mkv", seconds=0.4, size=(720, 576), stream={"sample_aspect_ratio": Fraction(64, 45)})
    found = look(data, "a.mkv")
    assert (found.width, found.height) == (1024, 576)
    assert (thumbnail(found).width, thumbnail(found).height) == (1024, 576)


def test_one_frame(look: Look) -> None:
    found = look(clips.video("mp4", seconds=0.04), "a.mp4")
    assert (found.frames, found.preview) == (1, None)
    assert sorted(found.thumbnails) == [256, 512, 1024]


def test_tiny(look: Look) -> None:
    found = look(clips.video("mp4", seconds=0.4, size=(2, 2), codecs=("libx264", None)), "a.mp4")
    assert (found.width, found.height, found.frames) == (2, 2, 10)


def test_without_sound(look: Look) -> None:
    found = look(clips.video("mp4", codecs=("libx264", None)), "a.mp4").facts
    assert (found.audio_codec_name, found.channels, found.sample_rate) == (UNSET,) * 3


@pytest.mark.parametrize(("ending", "muxer", "codec"), [("mp4", "mp4", "aac"), ("webm", "webm", "libopus")])
def test_sound_alone_in_a_container_of_video(look: Look, ending: str, muxer: str, codec: str) -> None:
    found = look(clips.sound(muxer=muxer, codec=codec), f"a.{ending}")
    assert (found.kind, found.format, found.width, found.preview) == ("video", ending, None, None)
    assert found.facts.codec_name == CODECS.get(codec, codec)
    assert found.facts.duration == pytest.approx(2, abs=0.1)
    assert sorted(found.thumbnails) == [256, 512, 1024]


@pytest.mark.parametrize("ending", ["mp4", "webm", "mkv"])
def test_written_as_a_stream(look: Look, ending: str) -> None:
    """What has no length at its start, as browsers and ffmpeg write what they send at once."""
    options = {"movflags": "frag_keyframe+empty_moov"} if ending == "mp4" else {"live": "1"}
    found = look(clips.video(ending, options=options, stream={"gop_size": 10}), f"a.{ending}")
    assert found.facts.duration == pytest.approx(2, abs=0.1)
    assert found.frames == pytest.approx(50, abs=2)
    assert preview(found).get("n-pages") > 8


def graph() -> str:
    sampler = {"seed": 77, "steps": 20, "cfg": 3.5, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    sampler |= {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0]}
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "wan2.2.safetensors"}),
        "2": ("CLIPTextEncode", {"text": "a red fox in the snow", "clip": ["1", 1]}),
        "3": ("CLIPTextEncode", {"text": "blurry", "clip": ["1", 1]}),
        "4": ("KSampler", sampler),
    }
    return json.dumps({id: {"class_type": type, "inputs": inputs} for id, (type, inputs) in nodes.items()})


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm", "mkv"])
@pytest.mark.parametrize("is_inside", [False, True], ids=["prompt", "comment"])
def test_how_it_was_made(look: Look, ending: str, is_inside: bool) -> None:
    """ComfyUI writes `prompt`; its Video Helper Suite writes a comment with it inside."""
    texts = {"comment": json.dumps({"prompt": graph()})} if is_inside else {"prompt": graph()}
    options = {"movflags": "use_metadata_tags"} if ending in ("mp4", "mov") else {}
    found = look(clips.video(ending, seconds=0.4, texts=texts, options=options), f"a.{ending}")
    assert found.generation is not None
    assert (found.generation.prompt, found.generation.negative_prompt) == ("a red fox in the snow", "blurry")
    assert (found.generation.seed, found.generation.num_inference_steps) == ("77", 20)


def test_it_need_not_say_how_it_was_made(look: Look) -> None:
    assert look(clips.video("mp4", texts={"title": "Holiday", "comment": "nice"}), "a.mp4").generation is None


def test_more_pixels_than_allowed(tmp_path: Path) -> None:
    media = Media(max_pixels=320 * 240 - 1, processes=1)
    try:
        for ending in VIDEOS:
            (tmp_path / "file").write_bytes(clip(ending))
            with pytest.raises(PinakesError) as caught:
                media.examine_file("file", tmp_path / "file", f"a.{ending}")
            assert "is 352 x 288 pixels; at most 76,799 in all" in caught.value.message
    finally:
        media.close()


def test_an_hour_takes_no_longer_than_a_minute(look: Look) -> None:
    data = clips.video("mp4", seconds=3600, rate=5, size=(64, 48), codecs=("libx264", None), stream={"gop_size": 50})
    found = look(data, "a.mp4")
    assert (found.facts.duration, found.frames, preview(found).get("n-pages")) == (3600, 18_000, 16)
