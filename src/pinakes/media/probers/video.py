"""A video: what it is, a frame that shows something, and a short animation. Imported in a child process only.

Frames are taken at moments spread over the whole of it. Between two of them only so much is decoded, so that an hour
costs about what a minute does.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast

import msgspec
import pyvips
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream
from msgspec import UNSET

from pinakes.asset_types import Facts
from pinakes.media.probers import audio, looks, streams, thumbnails
from pinakes.media.probers.streams import Opened
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

MAX_SIDE = 65_535
MAX_FRAME_RATE = 1000
MOMENTS = 16
PREVIEW_SIDE = 320
PREVIEW_MS = 2900
_DECODED_PIXELS = 1_200_000_000  # for all moments together: 600 frames of 1080p
_GAP_S = 2.0  # where there is no index, what is further away than that is sought
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED


class Picture(msgspec.Struct, frozen=True):
    """A frame made small and upright, and the sides in pixels that the whole one is displayed with."""

    image: pyvips.Image
    width: int
    height: int


def probe(type: str, source: Source, limits: Limits) -> Answer:
    """What is in a video file. One without pictures is described as the sound that it is."""
    return streams.examine(type, source, limits, _look)


def _look(opened: Opened) -> Answer:
    found = streams.streams_of(opened, "video")
    if not found:
        return audio.look(opened)
    stream, limits = cast(VideoStream, found[0]), opened.limits
    codec = stream.codec_context
    if codec.width * codec.height > limits.max_pixels or max(codec.width, codec.height) > MAX_SIDE:
        at_most = f"at most {limits.max_pixels:,} in all and {MAX_SIDE:,} a side are accepted"
        return Refused(f"is {codec.width:,} x {codec.height:,} pixels; {at_most}.")
    seconds = streams.length(opened)
    facts, generation = _facts(opened, stream, seconds), streams.generation(opened, stream)
    frames = _count(stream, seconds, facts)
    pictures = _pictures(opened, stream, seconds)
    opened.container.close()  # a decoder can hold most of the memory there is
    if not pictures:
        return streams.DAMAGED
    decoded = Decoded(pictures[0].width, pictures[0].height, frames, facts=facts, generation=generation)
    return _shown([picture.image for picture in pictures], seconds, decoded, limits)


def _shown(images: list[pyvips.Image], seconds: float, decoded: Decoded, limits: Limits) -> Decoded:
    """With the pictures that stand for it."""
    small = [image.thumbnail_image(PREVIEW_SIDE, height=PREVIEW_SIDE, size="down").copy_memory() for image in images]
    made, kept = thumbnails.make_and_keep(images[_poster(small)], limits.thumbnail_sizes)
    preview = _preview(small, seconds)
    return msgspec.structs.replace(decoded, thumbnails=made, preview=preview, look=looks.of(kept))


def _facts(opened: Opened, stream: VideoStream, seconds: float) -> Facts:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    facts = msgspec.structs.replace(
        streams.facts(opened, seconds),
        codec_name=stream.codec_context.codec.canonical_name,
        frame_rate=round(rate, 3) if 0 < rate <= MAX_FRAME_RATE else UNSET,
    )
    sounds = streams.streams_of(opened, "audio")
    return streams.sound(facts, sounds[0], "audio_codec_name") if sounds else facts


def _count(stream: VideoStream, seconds: float, facts: Facts) -> int:
    """How many frames the container says there are, if there can be; else as many as their rate gives."""
    if 0 < stream.frames <= (seconds or 1) * MAX_FRAME_RATE:
        return stream.frames
    return max(round(seconds * (facts.frame_rate or 0)), 1)


def _pictures(opened: Opened, stream: VideoStream, seconds: float) -> list[Picture]:
    """Of all moments, as far as there is memory."""
    pictures: list[Picture] = []
    try:
        for frame in _moments(opened, stream, seconds):
            pictures.append(_picture(frame, stream, max(opened.limits.thumbnail_sizes)))
            del frame
    except MemoryError:
        if not pictures:
            raise
    return pictures


def _moments(opened: Opened, stream: VideoStream, seconds: float) -> Iterator[VideoFrame]:
    """Up to `MOMENTS` different frames, in order of time."""
    streams.prepare(opened, stream)
    pixels = max(stream.codec_context.width * stream.codec_context.height, 1)
    most = max(_DECODED_PIXELS // pixels // MOMENTS, 1)
    frames, position = cast(Iterator[VideoFrame], iter(())), -math.inf
    for moment in range(MOMENTS):
        at = streams.start(opened) + seconds * (moment + 0.5) / MOMENTS
        if _key_frame(stream, at) > position and streams.seek(opened, stream, at):
            frames = cast(Iterator[VideoFrame], streams.decoded(opened, stream))
        frame = _frame_at(islice(frames, most), at)
        if frame is not None and _time(frame) > position:
            position = _time(frame)
            yield frame
        del frame  # the next one may need its memory
        if opened.is_late():
            return


def _frame_at(frames: Iterator[VideoFrame], at: float) -> VideoFrame | None:
    """The first frame of that time or later, else the last one there is."""
    last = None
    for last in frames:
        if _time(last) >= at:
            break
    return last


def _time(frame: VideoFrame) -> float:
    time: float | None = frame.time
    return time or 0.0


def _key_frame(stream: VideoStream, at: float) -> float:
    """When the frame is shown from which decoding must start to get at another."""
    if not stream.time_base:
        return at - _GAP_S
    entry = stream.index_entries.search_timestamp(int(at / stream.time_base))
    return float(stream.index_entries[entry].timestamp * stream.time_base) if entry >= 0 else at - _GAP_S


def _picture(frame: VideoFrame, stream: VideoStream, size: int) -> Picture:
    ratio = float(stream.sample_aspect_ratio or 1)
    width, height = round(frame.width * (ratio if 1 / 16 < ratio < 16 else 1)) or 1, frame.height
    scale = min(size / max(width, height), 1)
    small = frame.reformat(
        width=round(width * scale) or 1,
        height=round(height * scale) or 1,
        format="rgb24",
        interpolation=Interpolation.AREA,
        src_colorspace=_colours(frame),
        threads=1,
    )
    pixels = small.to_ndarray().tobytes()
    image = pyvips.Image.new_from_memory(pixels, small.width, small.height, 3, "uchar").copy(interpretation="srgb")
    a, b, c, d = _turn(frame)
    if abs(b) > abs(a):
        image, width, height, a, d = image.rot90().fliphor(), height, width, c, b
    image = image.fliphor() if a < 0 else image
    image = image.flipver() if d < 0 else image
    return Picture(image.copy_memory(), width, height)


def _colours(frame: VideoFrame) -> int | None:
    """What does not say is taken as every player does: high definition as BT.709, the rest as BT.601."""
    return Colorspace.ITU709 if frame.colorspace == _UNSPECIFIED and frame.height >= 720 else None


def _turn(frame: VideoFrame) -> tuple[float, float, float, float]:
    """ISO/IEC 14496-12, 6.2.2: where x goes in x and y, then where y goes."""
    try:
        matrix = cast(Mapping[str, Buffer], frame.side_data).get("DISPLAYMATRIX")
    except ValueError:  # beside it is data of a kind that PyAV does not know; this much it tells all the same
        turn = math.radians(frame.rotation)
        return math.cos(turn), -math.sin(turn), math.sin(turn), math.cos(turn)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
    return a, b, c, d


def _poster(images: list[pyvips.Image]) -> int:
    """Which image shows something: the first with at least half of the contrast of the one that has most."""
    contrasts = [image.colourspace("b-w").deviate() for image in images]
    return next(at for at, contrast in enumerate(contrasts) if contrast >= max(contrasts) / 2)


def _preview(images: list[pyvips.Image], seconds: float) -> bytes | None:
    """As fast as it is if it is short, else in `PREVIEW_MS`; None for what does not move."""
    if len(images) < 2:
        return None
    first = images[0]
    alike = [image for image in images if (image.width, image.height) == (first.width, first.height)]
    whole_ms = min(seconds * 1000, PREVIEW_MS)
    return thumbnails.animate(alike, max(round(whole_ms / len(alike)), 40))
