"""Sound through the whole of it: typed here, looked into in a child process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import clips
import numpy as np
import pytest
import pyvips
from clips import CODECS, RATE, SOUNDS, clip, sound, tone

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


def heights(examined: Examined, size: int = 1024) -> list[float]:
    """How high each bar of the waveform is, as a share of the picture."""
    image = pyvips.Image.webpload_buffer(examined.thumbnails[size])
    alpha = np.frombuffer(image.extract_band(3).write_to_memory(), np.uint8).reshape(image.height, -1)
    middles = alpha[:, image.width // 256 :: image.width // 128]
    return [float(share) for share in (middles > 128).mean(axis=0)]


@pytest.mark.parametrize("ending", SOUNDS)
def test_each_container(look: Look, ending: str) -> None:
    data, (_, codec) = clip(ending), SOUNDS[ending]
    found = look(data, f"Song.{ending.upper()}")
    type = ENDINGS[ending]
    assert (found.kind, found.mime_type, found.format) == ("audio", type.mime_type, type.name)
    assert (found.width, found.height, found.frames, found.preview, found.look) == (None, None, 1, None, None)
    facts = found.facts
    assert facts.codec_name == CODECS.get(codec, codec)
    assert facts.duration == pytest.approx(2, abs=0.1)  # AAC and MP3 begin and end with whole frames
    assert facts.bitrate == pytest.approx(len(data) * 8 / 2, rel=0.05)
    assert (facts.sample_rate, facts.channels) == (RATE, 2)


@pytest.mark.parametrize("ending", SOUNDS)
def test_the_waveform_swells_as_the_sound_does(look: Look, ending: str) -> None:
    found = look(clip(ending), f"a.{ending}")
    assert sorted(found.thumbnails) == [256, 512, 1024]
    image = pyvips.Image.webpload_buffer(found.thumbnails[1024])
    assert (image.width, image.height, image.bands) == (1024, 320, 4)
    bars = np.array(heights(found))
    assert bars[:110] == pytest.approx(np.arange(0.5, 110.5) / 128, abs=0.06)
    assert image.getpoint(4, 2)[3] == 0


@pytest.mark.parametrize(
    "codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "adpcm_ms"]
)
def test_each_kind_of_samples(look: Look, codec: str) -> None:
    found = look(sound("wav", tone(1.0, 44_100, 1), rate=44_100, codec=codec), "a.wav")
    assert (found.facts.codec_name, found.facts.sample_rate, found.facts.channels) == (codec, 44_100, 1)
    assert np.array(heights(found))[:110] == pytest.approx(np.arange(0.5, 110.5) / 128, abs=0.06)


def test_the_loudest_channel_is_drawn(look: Look) -> None:
    left, right = tone(2.0)
    found = look(sound("flac", np.stack([left * 0, right])), "a.flac")
    assert heights(found)[100] == pytest.approx(0.8, abs=0.05)


def test_silence_is_a_line(look: Look) -> None:
    bars = heights(look(sound("wav", tone(2.0) * 0), "a.wav"))
    assert all(0 < bar < 0.03 for bar in bars)


def test_what_is_quiet_looks_quiet(look: Look) -> None:
    assert max(heights(look(sound("wav", tone(2.0) / 80), "a.wav"))) < 0.15


def test_what_is_no_number_is_silence(look: Look) -> None:
    samples = tone(1.0)
    samples[:, 20_000:30_000] = np.nan
    bars = heights(look(sound("wav", samples, codec="pcm_f32le"), "a.wav"))
    assert (bars[60] < 0.05, bars[30] > 0.2) == (True, True)


@pytest.mark.parametrize(("rate", "samples"), [(8000, 1), (8000, 100), (96_000, 5)])
def test_a_moment(look: Look, rate: int, samples: int) -> None:
    found = look(sound("wav", np.full((1, samples), 0.5, np.float32), rate=rate), "a.wav")
    assert found.facts.duration == pytest.approx(samples / rate, abs=0.001)
    assert sorted(found.thumbnails) == [256, 512, 1024]


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "aac", "opus", "m4a"])
def test_a_long_one_is_heard_in_places(look: Look, ending: str) -> None:
    """Seven minutes, of which the fourth is silent and the last is loud."""
    minute = tone(60.0, 16_000, 1)
    minute /= np.maximum(np.abs(minute).max(), 1) * 2
    minutes = [minute, minute, minute, minute * 0, minute, minute, np.clip(minute * 9, -0.9, 0.9)]
    found = look(sound(ending, np.concatenate(minutes, axis=1), rate=16_000), f"a.{ending}")
    assert found.facts.duration == pytest.approx(420, abs=0.2)
    bars = heights(found)
    assert max(bars[57:71]) < 0.03
    assert 0.3 < max(bars[:54]) < 0.7
    assert max(bars[112:]) > 0.9


@pytest.mark.parametrize("ending", ["flac", "ogg", "opus", "mp3"])
def test_how_it_was_made(look: Look, ending: str) -> None:
    nodes = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "ace_step_v1.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "slow piano in the rain", "clip": ["1", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {"seed": 9, "steps": 50, "cfg": 5, "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0]},
        },
    }
    found = look(sound(ending, texts={"prompt": json.dumps(nodes)}), f"a.{ending}")
    assert found.generation is not None
    assert (found.generation.prompt, found.generation.seed) == ("slow piano in the rain", "9")


def test_a_cover_is_no_video(look: Look) -> None:
    cover = clips.video("avi", seconds=0.04, codecs=("mjpeg", None), stream={"pix_fmt": "yuvj420p"})
    found = look(clips.with_cover(sound("mp3"), cover), "a.mp3")
    assert (found.kind, found.width, found.facts.codec_name) == ("audio", None, "mp3")
    assert max(heights(found)) > 0.9


def test_a_length_that_nobody_knew_when_it_was_written(look: Look) -> None:
    """As programs write a WAV into a pipe: lengths of all ones."""
    data = bytearray(clip("wav"))
    data[4:8] = b"\xff" * 4
    at = data.index(b"data")
    data[at + 4 : at + 8] = b"\xff" * 4
    assert look(bytes(data), "a.wav").facts.duration == pytest.approx(2, abs=0.01)
