"""Video and sound made by code, with the real encoders, in every container that is looked into."""

import io
import tempfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

RATE = 48_000

VIDEOS = {
    "mp4": ("mp4", "libx264", "aac"),
    "mov": ("mov", "mpeg4", "aac"),
    "webm": ("webm", "libvpx-vp9", "libopus"),
    "mkv": ("matroska", "libx265", "flac"),
    "avi": ("avi", "mpeg4", "libmp3lame"),
    "3gp": ("3gp", "h263", "amr_nb"),
    "ogv": ("ogg", "libvpx", "vorbis"),
}
"""Ending: muxer, codec of the pictures, codec of the sound."""

SOUNDS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg": ("ogg", "vorbis"),
    "opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
}
"""Ending: muxer, codec."""

CODECS = {"libx264": "h264", "libx265": "hevc", "libvpx-vp9": "vp9", "libvpx": "vp8", "libmp3lame": "mp3"}
CODECS |= {"libopus": "opus", "libsvtav1": "av1"}
"""Encoders that are not called as their codec is."""

_OPTIONS = {
    "ffv1": {"strict": "experimental"},
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12"},
    "vorbis": {"strict": "experimental"},
}

Painter = Callable[[int, int, int], np.ndarray]


def scene(number: int, width: int, height: int) -> np.ndarray:
    """A gradient that a bright square crosses as the frames go by."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 200 // width, y * 200 // height, (x + y) % 64], axis=2).astype(np.uint8)
    side = max(min(width, height) // 4, 1)
    left, top = number * 7 % (width - side + 1), (height - side) // 2
    picture[top : top + side, left : left + side] = 255
    return picture


def flat(*colour: int) -> Painter:
    return lambda _, width, height: np.full((height, width, 3), colour, np.uint8)


def tone(seconds: float, rate: int = RATE, channels: int = 2) -> np.ndarray:
    """Floats, a row for each channel: a note that swells from silence to its loudest and stops."""
    at = np.arange(int(seconds * rate)) / rate
    return np.tile(np.sin(at * 2 * np.pi * 440) * at / seconds * 0.8, (channels, 1)).astype(np.float32)


def video(
    ending: str,
    *,
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 240),
    rate: int = 25,
    paint: Painter = scene,
    codecs: tuple[str, str | None] | None = None,
    stream: dict[str, object] | None = None,
    turn: tuple[int, bool, bool] | None = None,
    options: dict[str, str] | None = None,
    texts: dict[str, str] | None = None,
) -> bytes:
    """A clip with sound, unless its codec is None. `turn`: degrees counter-clockwise, flips across and down."""
    muxer, *usual = VIDEOS[ending]
    picture_codec, sound_codec = codecs or usual

    def fill(output: OutputContainer) -> None:
        shown = cast(VideoStream, output.add_stream(picture_codec, rate=rate, options=_OPTIONS.get(picture_codec, {})))
        shown.width, shown.height, shown.pix_fmt = *size, "yuv420p"
        for name, value in {"thread_count": 1, **(stream or {})}.items():
            setattr(shown.codec_context, name, value)
        if turn:
            shown.set_display_rotation(*turn)
        heard = _add_sound(output, sound_codec) if sound_codec else None
        _encode_pictures(output, shown, (paint(number, *size) for number in range(round(seconds * rate))), rate)
        if heard:
            _encode_sound(output, heard, tone(seconds, heard.rate, heard.codec_context.channels))

    return _written(muxer, fill, options, texts)


def sound(
    ending: str = "wav",
    samples: np.ndarray | None = None,
    *,
    rate: int = RATE,
    muxer: str | None = None,
    codec: str | None = None,
    texts: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """`samples` as of `tone`: two seconds of it by default."""
    usual_muxer, usual_codec = SOUNDS[ending]
    samples = tone(2.0, rate) if samples is None else samples

    def fill(output: OutputContainer) -> None:
        _encode_sound(output, _add_sound(output, codec or usual_codec, rate, len(samples)), samples)

    return _written(muxer or usual_muxer, fill, options, texts)


def _written(
    muxer: str,
    fill: Callable[[OutputContainer], None],
    options: dict[str, str] | None = None,
    texts: dict[str, str] | None = None,
) -> bytes:
    """In a file of its own, which some muxers read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip")
        with av.open(str(path), "w", format=muxer, options=options or {}) as output:
            output.metadata.update(texts or {})
            fill(output)
            output.start_encoding()  # even if there is nothing in it
        return path.read_bytes()


def _encode_pictures(output: OutputContainer, stream: VideoStream, pictures: Iterable[np.ndarray], rate: int) -> None:
    for number, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def _add_sound(output: OutputContainer, codec: str, rate: int = RATE, channels: int = 2) -> AudioStream:
    if codec == "amr_nb":
        rate, channels = 8000, 1
    options = _OPTIONS.get(codec, {})
    layout = "mono" if channels == 1 else "stereo"
    return cast(AudioStream, output.add_stream(codec, rate=rate, layout=layout, options=options))


def _encode_sound(output: OutputContainer, stream: AudioStream, samples: np.ndarray) -> None:
    step = 4800
    for at in range(0, samples.shape[1], step):
        part = np.ascontiguousarray(samples[:, at : at + step])
        frame = AudioFrame.from_ndarray(part, format="fltp", layout="mono" if len(part) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = stream.rate, at, Fraction(1, stream.rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


@cache
def clip(ending: str) -> bytes:
    """The usual clip of a container: two seconds, of sound for those that hold sound."""
    return video(ending, size=(352, 288)) if ending in VIDEOS else sound(ending)


def with_cover(song: bytes, picture: bytes) -> bytes:
    """An MP3 with the first frame of a clip as its cover."""

    def fill(output: OutputContainer) -> None:
        with av.open(io.BytesIO(song), "r") as sounds, av.open(io.BytesIO(picture), "r") as pictures:
            heard = output.add_stream_from_template(sounds.streams.audio[0])
            shown = output.add_stream_from_template(pictures.streams.video[0])
            shown.disposition = Disposition.attached_pic
            for container, stream in ((pictures, shown), (sounds, heard)):
                for packet in container.demux(container.streams[0]):
                    if packet.size:
                        packet.stream = stream
                        output.mux(packet)

    return _written("mp3", fill)
