"""Sound: what it is, and a picture of how loud it is over its length. Imported in a child process only."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
import pyvips
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from pinakes.media.probers import streams, thumbnails
from pinakes.media.probers.streams import Opened
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

Floats = np.ndarray[Any, np.dtype[np.float32]]

BARS = 128
BAR_STEP = 8
BAR_RADIUS = 2.5
HEIGHT = 320
COLOUR = (86, 124, 158)  # is seen on white and on black; what is not a bar is transparent
QUIET = 0.1  # what is never louder than this is not blown up to the full height
CELLS = 2 * BARS
DECODED_S = 300
"""What is longer is heard in `CELLS` places only."""
_FRAMES_PER_CELL = 12  # a quarter of a second of Opus, half of one of AAC
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def probe(type: str, source: Source, limits: Limits) -> Answer:
    """What is in a file of sound. Its cover is left alone, and so is a video beside it."""
    return streams.examine(type, source, limits, look)


def look(opened: Opened) -> Answer:
    """What is in the first stream of sound, and its waveform."""
    found = streams.streams_of(opened, "audio")
    if not found:
        return Refused("holds nothing that can be played.")
    stream = cast(AudioStream, found[0])
    seconds = streams.length(opened)
    streams.prepare(opened, stream)
    peaks = _peaks(opened, stream, seconds)
    if peaks is None or (opened.type == "flac" and seconds < streams.claimed(opened) - 0.1):
        return streams.DAMAGED
    facts = streams.sound(streams.facts(opened, seconds), stream, "codec_name")
    made = thumbnails.make(_draw(peaks), opened.limits.thumbnail_sizes)
    return Decoded(thumbnails=made, facts=facts, generation=streams.generation(opened, stream))


def _peaks(opened: Opened, stream: AudioStream, seconds: float) -> Floats | None:
    """The loudest of each of `CELLS` parts of it, 0 to 1; None when nothing can be heard at all."""
    heard = _everything if seconds <= DECODED_S else _places
    peaks, is_heard = np.zeros(CELLS, np.float32), False
    with np.errstate(all="ignore"):  # a sample can be any number, and none
        for cells, loudness in heard(opened, stream, seconds):
            np.fmax.at(peaks, np.clip(cells, 0, CELLS - 1), loudness)
            is_heard = True
    return peaks.clip(0, 1) if is_heard else None


def _everything(opened: Opened, stream: AudioStream, seconds: float) -> Iterator[tuple[Any, Floats]]:
    """How loud each sample is, and the cell it belongs to."""
    streams.seek(opened, stream, streams.start(opened))
    per_second, position = CELLS / seconds if seconds else 0.0, 0.0
    for frame in _frames(opened, stream):
        loudness, rate = _loudness(frame), max(frame.sample_rate, 1)
        begin = position if frame.time is None else frame.time - streams.start(opened)
        position = begin + len(loudness) / rate
        yield ((begin + np.arange(len(loudness)) / rate) * per_second).astype(np.int64), loudness


def _places(opened: Opened, stream: AudioStream, seconds: float) -> Iterator[tuple[Any, Floats]]:
    """The same for the start of each cell."""
    for cell in range(CELLS):
        if opened.is_late() or not streams.seek(opened, stream, streams.start(opened) + seconds * cell / CELLS):
            return
        for frame in islice(_frames(opened, stream), _FRAMES_PER_CELL):
            yield cell, np.fmax.reduce(_loudness(frame), initial=0)


def _frames(opened: Opened, stream: AudioStream) -> Iterator[AudioFrame]:
    return cast(Iterator[AudioFrame], streams.decoded(opened, stream))


def _loudness(frame: AudioFrame) -> Floats:
    """How far each sample is from silence, in the channel where it is furthest: up to 1, unless it is no number."""
    dtype = np.dtype(_DTYPES[frame.format.name.removesuffix("p")])
    channels = np.stack([np.frombuffer(memoryview(plane), dtype) for plane in frame.planes])
    if frame.format.is_packed:
        count = frame.layout.nb_channels
        channels = channels[:, : frame.samples * count].reshape(-1, count).T
    values = channels[:, : frame.samples].astype(np.float32)
    if dtype.kind != "f":
        half = 2.0 ** (8 * dtype.itemsize - 1)
        values = values / half - (1 if dtype.kind == "u" else 0)
    loudness: Floats = np.fmax.reduce(np.abs(values), axis=0)
    return loudness


def _draw(peaks: Floats) -> pyvips.Image:
    """A row of bars with round ends around the middle, the loudest as high as the picture."""
    loudness = peaks.reshape(BARS, -1).mean(axis=1) / max(float(peaks.max()), QUIET)
    reach = loudness * (HEIGHT / 2 - BAR_RADIUS)  # from the middle to the centre of the round end
    x = np.abs(np.arange(BAR_STEP) - (BAR_STEP - 1) / 2)[None, None, :]
    y = np.abs(np.arange(HEIGHT) - (HEIGHT - 1) / 2)[:, None, None]
    distance = np.hypot(x, np.maximum(y - reach[None, :, None], 0))
    alpha = np.clip(BAR_RADIUS + 0.5 - distance, 0, 1) * 255
    picture = np.empty((HEIGHT, BARS * BAR_STEP, 4), np.uint8)
    picture[..., :3] = COLOUR
    picture[..., 3] = alpha.reshape(HEIGHT, -1)
    image = pyvips.Image.new_from_memory(picture.tobytes(), BARS * BAR_STEP, HEIGHT, 4, "uchar")
    return image.copy(interpretation="srgb")
