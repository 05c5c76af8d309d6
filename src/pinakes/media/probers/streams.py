"""Files of video and sound opened with FFmpeg, and what of their claims is to be believed. Imported in a child only.

Bounded: the demuxer is the one of the type, so that a playlist is never read as one; FFmpeg reads from a Python file
and can open nothing else; decoding is single-threaded; no frame has more pixels than allowed; and whatever takes long
is held to a share of the child's clock.
"""

import io
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn, cast

import av
import msgspec
import pyvips
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from msgspec import UNSET

from pinakes.asset_types import Facts, Generation
from pinakes.media.probers import av_containers
from pinakes.media.probers.generation import of_texts as generation_of_texts
from pinakes.media.protocol import Answer, Limits, Refused, Source

FORMATS = {
    **dict.fromkeys(("mp4", "mov", "3gp", "m4a"), "mov"),
    **dict.fromkeys(("webm", "mkv"), "matroska"),
    **dict.fromkeys(("ogg", "ogv"), "ogg"),
    **{name: name for name in ("avi", "wav", "flac", "mp3", "aac")},
}
"""The demuxer of each type."""

MAX_STREAMS = 200  # films come with dozens of subtitles and fonts
MAX_DURATION_S = 10_000_000.0
DAMAGED = Refused("is damaged or truncated.")
_FAR = 1 << 43  # bytes; no file system that has files ends before that
_MAX_BARREN = 100  # packets in a row without a frame: more than any decoder holds back


class Opened(msgspec.Struct, frozen=True):
    """`size` is that of the file in bytes; `began` is when it was opened, on the monotonic clock."""

    type: str
    container: InputContainer
    size: int
    limits: Limits
    began: float

    def is_late(self, share: float = 0.5) -> bool:
        """Whether more than a share of the time limit is over."""
        return time.monotonic() - self.began > self.limits.time_limit_s * share


def examine(type: str, source: Source, limits: Limits, look: Callable[[Opened], Answer]) -> Answer:
    """Open a file, have `look` look into it, and answer for what goes wrong."""
    try:
        with io.BytesIO(source.data) if source.path is None else _File(source.path) as opened:
            file = cast(BinaryIO, opened)
            if not av_containers.is_whole(FORMATS[type], file):
                return DAMAGED
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            with _open(FORMATS[type], file) as container:
                return look(Opened(type, container, size, limits, time.monotonic()))
    except (MemoryError, pyvips.Error):  # FFmpeg's own too; nothing else can be wrong with a picture made of its frames
        return Refused(f"needs more than {limits.memory_limit_bytes >> 20:,} MiB of memory to decode.")
    except av.FFmpegError:
        return DAMAGED


class _File(io.FileIO):
    """A file that may be read far after its end, where there is nothing: files say so, and the kernel has a limit."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(min(offset, _FAR), whence)


def _open(format: str, file: BinaryIO) -> InputContainer:
    return av.open(
        file,
        "r",
        format=format,
        options={"max_streams": str(MAX_STREAMS), "protocol_whitelist": "none"},
        metadata_errors="replace",
        io_open=_open_nothing,
    )


def _open_nothing(url: str, *_: object) -> NoReturn:
    """What a file refers to is never opened, neither a path nor an address."""
    raise av.error.PermissionError(13, "a file must not refer to another", url)


def streams_of(opened: Opened, kind: str) -> list[Stream]:
    """The streams of a kind that can be decoded. A cover is no video."""
    of_kind = [stream for stream in opened.container.streams if stream.type == kind]
    return [stream for stream in of_kind if _has_decoder(stream) and not stream.disposition & Disposition.attached_pic]


def _has_decoder(stream: Stream) -> bool:
    codec: CodecContext | None = stream.codec_context
    return codec is not None


def prepare(opened: Opened, stream: Stream) -> None:
    """Have packets of this stream alone, and decode them within the limits."""
    for other in opened.container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    stream.codec_context.thread_count = 1  # each would reserve address space, of which a child has little
    stream.codec_context.options = {"max_pixels": str(opened.limits.max_pixels)}


def generation(opened: Opened, stream: Stream) -> Generation | None:
    """How the file says it was made. Most containers say it of the whole, Ogg of a stream."""
    return generation_of_texts(stream.metadata | opened.container.metadata)


def start(opened: Opened) -> float:
    """The time of the first frame, in seconds."""
    at = (opened.container.start_time or 0) / av.time_base
    return at if abs(at) <= MAX_DURATION_S else 0.0


def claimed(opened: Opened) -> float:
    """Seconds of it as the header has it, or as FFmpeg guesses when there is none; 0 when that is absurd."""
    seconds = (opened.container.duration or 0) / av.time_base
    return seconds if 0 < seconds <= MAX_DURATION_S else 0.0


def length(opened: Opened) -> float:
    """Seconds of it: what is claimed if the last packets agree, else up to these; 0 when nothing tells."""
    found = _end(opened) - start(opened)
    if not 0 < found <= MAX_DURATION_S:
        return claimed(opened)
    is_precise = opened.type in ("mp3", "aac", "flac")  # and the claim may be FFmpeg's guess
    tolerance = 0.1 if is_precise else 0.5 + claimed(opened) / 50
    return found if abs(found - claimed(opened)) > tolerance else claimed(opened)


def _end(opened: Opened) -> float:
    """When the last packet ends; -1 if there are none, or too many to be read now."""
    end = -1.0
    found = streams_of(opened, "video") + streams_of(opened, "audio")
    try:
        if claimed(opened) > 1:  # else it is read from its start, where it is now
            opened.container.seek(int((start(opened) + claimed(opened) - 1) * av.time_base))
        for packet in opened.container.demux(found):
            at = packet.dts if packet.pts is None else packet.pts
            if at is not None and packet.time_base:
                end = max(end, float((at + (packet.duration or 0)) * packet.time_base))
            if opened.is_late(0.1):
                return -1.0
    except MemoryError:
        raise
    except av.FFmpegError:  # what comes after that cannot be read
        return end
    return end


def seek(opened: Opened, stream: Stream, at: float) -> bool:
    """Go on from the last frame before a time that can be decoded by itself. False when there is no way to."""
    try:
        opened.container.seek(int(at / stream.time_base) if stream.time_base else 0, stream=stream)
    except MemoryError:
        raise
    except av.FFmpegError:
        return False
    return True


def decoded(opened: Opened, stream: Stream) -> Iterator[VideoFrame | AudioFrame]:
    """Frames from where the file is read, over packets that are damaged. Ends when there is nothing but these."""
    barren = 0
    try:
        for packet in opened.container.demux(stream):
            barren += 1
            for frame in _decode(packet):
                barren = 0
                yield frame
            if barren > _MAX_BARREN or opened.is_late():
                return
    except MemoryError:
        raise
    except av.FFmpegError:  # it cannot be read any further
        return


def _decode(packet: "Packet[Any]") -> list[Any]:
    try:
        return list(packet.decode())
    except MemoryError:  # one of FFmpeg's errors too
        raise
    except av.FFmpegError:
        return []


def facts(opened: Opened, seconds: float) -> Facts:
    """What is said of video and of sound. The bit rate is that of the whole file."""
    if not seconds:
        return Facts()
    return Facts(duration=round(seconds, 3), bitrate=round(opened.size * 8 / seconds))


def sound(facts: Facts, stream: Stream, codec_field: str) -> Facts:
    """`facts` with those of a stream of sound; `codec_field` is for the name of its codec."""
    codec = cast(AudioCodecContext, stream.codec_context)
    codec_name = {codec_field: codec.codec.canonical_name}
    return msgspec.structs.replace(
        facts, sample_rate=codec.sample_rate or UNSET, channels=codec.channels or UNSET, **codec_name
    )
