"""Damaged and hostile video and sound: each ends in an answer of ours, in time, within the memory, in one child."""

import io
import random
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from clips import SOUNDS, VIDEOS, clip, sound, video

from pinakes.errors import PinakesError
from pinakes.media import Examined, Media, pool
from pinakes.media.probers import streams

ALL = (*VIDEOS, *SOUNDS)
DAMAGED = "is damaged or truncated."
SECONDS = 10  # half the clock is for decoding; nothing here should come near it


class Looker:
    """Has one child, which must survive all it is given."""

    def __init__(self, folder: Path) -> None:
        self.media = Media(processes=1)
        self.path = folder / "file"
        self.pid = 0

    def __call__(self, data: bytes, name: str) -> Examined | str:
        """What was found, or why it was refused."""
        self.path.write_bytes(data)
        start = time.monotonic()
        found = self.examine(name)
        before, self.pid = self.pid, self.child()
        assert time.monotonic() - start < SECONDS
        assert self.pid in (before, before or self.pid)
        return found

    def examine(self, name: str) -> Examined | str:
        try:
            return self.media.examine_file("file", self.path, name)
        except PinakesError as error:
            return error.message

    def child(self) -> int:
        """Its id; it is not asked when the type alone was enough."""
        slots = self.media._background._slots
        child = slots.get()
        slots.put(child)
        return child._process.pid if child else self.pid


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("hostile"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "FILES_PER_CHILD", 1_000_000)  # it is not replaced as long as it lives
        yield looker
    status = Path(f"/proc/{looker.pid}/status").read_text()
    looker.media.close()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 256 << 10, "it keeps memory that it took for a file"


def is_refused(found: Examined | str) -> bool:
    return isinstance(found, str) and found.endswith(DAMAGED)


def tenths(data: bytes) -> list[bytes]:
    return [data[: len(data) * tenth // 10] for tenth in range(1, 10)]


@pytest.mark.parametrize("ending", [ending for ending in ALL if ending != "aac"])
def test_cut_short_anywhere(look: Looker, ending: str) -> None:
    for part in tenths(clip(ending)):
        assert is_refused(look(part, f"a.{ending}")), len(part)


@pytest.mark.parametrize("ending", [ending for ending in ALL if ending not in ("aac", "flac", "mp3")])
def test_the_last_byte_is_missing(look: Looker, ending: str) -> None:
    assert is_refused(look(clip(ending)[:-1], f"a.{ending}"))


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_cut_short_with_its_index_at_the_start(look: Looker, ending: str, flags: str) -> None:
    data = video(ending, options={"movflags": flags}, stream={"gop_size": 9})
    for part in [*tenths(data), data[:-1]]:
        assert is_refused(look(part, f"a.{ending}")), len(part)


def test_what_has_no_length_is_described_as_far_as_it_goes(look: Looker) -> None:
    """Raw AAC is frame after frame, and so is an MP3 without `Xing`: nobody can tell that there was more."""
    for ending, data in (("aac", clip("aac")), ("mp3", sound("mp3", options={"write_xing": "0"}))):
        for tenth, part in enumerate(tenths(data), 1):
            found = look(part, f"a.{ending}")
            assert isinstance(found, Examined)
            assert found.facts.duration == pytest.approx(0.2 * tenth, abs=0.1)


@pytest.mark.parametrize("ending", ["webm", "mkv"])
def test_a_recording_that_was_cut_off(look: Looker, ending: str) -> None:
    """Without lengths, as a browser records: what is there is described, once there is a frame."""
    data = video(ending, options={"live": "1"}, stream={"gop_size": 10})
    for part in tenths(data)[3:]:
        found = look(part, f"a.{ending}")
        assert isinstance(found, Examined)
        assert 0 < (found.facts.duration or 0) <= 2


@pytest.mark.parametrize("length", [1, 12, 16, 100])
@pytest.mark.parametrize("ending", ALL)
def test_its_first_bytes_alone(look: Looker, ending: str, length: int) -> None:
    found = look(clip(ending)[:length], f"a.{ending}")
    assert isinstance(found, str)


@pytest.mark.parametrize("ending", ALL)
def test_damage_anywhere(look: Looker, ending: str) -> None:
    chance = random.Random(ending)
    for _ in range(12):
        data = bytearray(clip(ending))
        for _ in range(chance.choice((1, 10, 200))):
            data[chance.randrange(16, chance.choice((400, len(data))))] = chance.randrange(256)
        found = look(bytes(data), f"a.{ending}")
        assert isinstance(found, Examined) or found.startswith("file: the ")


@pytest.mark.parametrize("ending", ALL)
def test_noise_in_the_middle(look: Looker, ending: str) -> None:
    chance, data = random.Random(ending), clip(ending)
    for size in (100, len(data) // 3):
        found = look(data[: len(data) // 3] + chance.randbytes(size) + data[len(data) // 3 + size :], f"a.{ending}")
        assert isinstance(found, Examined) or is_refused(found)


@pytest.mark.parametrize("ending", ALL)
def test_noise_behind_its_first_bytes(look: Looker, ending: str) -> None:
    found = look(clip(ending)[:16] + random.Random(ending).randbytes(300_000), f"a.{ending}")
    assert isinstance(found, str) or ending in ("mp3", "aac")


@pytest.mark.parametrize("ending", ALL)
@pytest.mark.parametrize("other", ALL)
def test_another_type_behind_the_name(look: Looker, ending: str, other: str) -> None:
    found = look(clip(other), f"a.{ending}")
    assert isinstance(found, Examined | str)


# What claims too much.


def patched(data: bytes, after: bytes, offset: int, value: bytes) -> bytes:
    """`value` put where it belongs, counted from the first `after`."""
    at = data.index(after) + offset
    return data[:at] + value + data[at + len(value) :]


CLAIMS: dict[str, tuple[str, Callable[[bytes], bytes], bool]] = {
    "a box of 10 GB": (
        "mp4",
        lambda data: patched(data, b"mdat", -4, struct.pack(">I4sQ", 1, b"mdat", 10 << 30)),
        False,
    ),
    "an index of 4 billion": ("mp4", lambda data: patched(data, b"stsz", 8, b"\0\0\0\0\xff\xff\xff\xff"), False),
    "4 billion frames": ("mp4", lambda data: patched(data, b"stsz", 8, b"\0\0\1\0\xff\xff\xff\xff"), False),
    "4 billion times": ("mp4", lambda data: patched(data, b"stts", 8, b"\xff" * 16), False),
    "4 billion chunks": ("mp4", lambda data: patched(data, b"stco", 8, b"\xff" * 8), False),
    "65,535 a side": ("mp4", lambda data: patched(data, b"avc1", 28, b"\xff\xff\xff\xff"), True),
    "136 years": ("mp4", lambda data: patched(data, b"mvhd", 16, b"\0\0\0\1\xff\xff\xff\xff"), True),
    "chunks at 2**62": (
        "mp4",
        lambda data: patched(data, b"stco", 0, struct.pack(">4sIIQQ", b"co64", 0, 2, 1 << 62, 1 << 62)),
        False,
    ),
    "a header of 2**55": ("mkv", lambda data: patched(data, b"\x1a\x45\xdf\xa3", 4, b"\x01" + b"\x7f" * 7), False),
    "a segment of 10 GB": ("mkv", lambda data: patched(data, b"\x18\x53\x80\x67", 4, b"\1\0\0\2\x80\0\0\0"), False),
    "a RIFF of 1.8 GB": ("wav", lambda data: patched(data, b"RIFF", 4, b"\xf0\xff\xff\x6f"), False),
    "2 GB of sound": ("wav", lambda data: patched(data, b"data", 4, b"\xff\xff\xff\x7f"), True),
    "65,535 channels": ("wav", lambda data: patched(data, b"fmt ", 10, b"\xff\xff"), False),
    "4 GHz": ("wav", lambda data: patched(data, b"fmt ", 12, b"\xff\xff\xff\xff"), False),
    "0 Hz": ("wav", lambda data: patched(data, b"fmt ", 12, bytes(4)), False),
    "blocks of nothing": ("wav", lambda data: patched(data, b"fmt ", 20, bytes(4)), False),
    "16 days": ("flac", lambda data: patched(data, b"fLaC", 21, b"\x7f\xff\xff\xff\xff"), False),
    "blocks of 65,535": ("flac", lambda data: patched(data, b"fLaC", 8, b"\xff\xff\xff\xff"), True),
    "100,000 a side": ("avi", lambda data: patched(data, b"strf", 12, struct.pack("<ii", 100_000, 100_000)), True),
    "2 billion frames": ("avi", lambda data: patched(data, b"avih", 24, b"\xff\xff\xff\x7f"), True),
    "a tag of 256 MB": ("mp3", lambda data: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + data, False),
    "a page after the last": ("ogg", lambda data: data + b"OggS" + bytes(22) + b"\xff" + b"\xff" * 255, False),
}
"""What is claimed; how; and whether the file can be described all the same, as what it is."""


@pytest.mark.parametrize("which", CLAIMS)
def test_claims(look: Looker, which: str) -> None:
    ending, change, is_described = CLAIMS[which]
    found = look(change(clip(ending)), f"a.{ending}")
    assert isinstance(found, Examined) == is_described, found
    if isinstance(found, Examined):
        assert found.facts.duration == pytest.approx(2, abs=0.1)
        assert (found.width, found.frames < 60) in ((None, True), (352, True))


def ebml(id: int, *contents: bytes) -> bytes:
    data = b"".join(contents)
    return id.to_bytes((id.bit_length() + 7) // 8, "big") + b"\x01" + len(data).to_bytes(7, "big") + data


def webm(width: int, height: int, block: bytes) -> bytes:
    """By hand: one frame in one cluster."""
    sides = ebml(0xE0, ebml(0xB0, width.to_bytes(4, "big")), ebml(0xBA, height.to_bytes(4, "big")))
    track = ebml(0xAE, ebml(0xD7, b"\1"), ebml(0x73C5, b"\1"), ebml(0x83, b"\1"), ebml(0x86, b"V_VP9"), sides)
    cluster = ebml(0x1F43B675, ebml(0xE7, b"\0"), ebml(0xA3, b"\x81\0\0\x80" + block))
    return ebml(0x1A45DFA3, ebml(0x4282, b"webm")) + ebml(0x18538067, ebml(0x1654AE6B, track), cluster)


def test_a_header_of_absurd_size(look: Looker) -> None:
    """FFmpeg forgets sides that no picture may have; those that one may have are counted here."""
    assert is_refused(look(webm(100_000, 100_000, bytes(100)), "bomb.webm"))
    found = look(webm(66_000, 3_000, bytes(100)), "bomb.webm")
    assert (
        found == "file: the WEBM is 66,000 x 3,000 pixels; at most 268,000,000 in all and 65,535 a side are accepted."
    )


def first_packet(data: bytes) -> bytes:
    with av.open(io.BytesIO(data), "r") as container:
        return bytes(next(container.demux(container.streams.video[0])))


def test_frames_larger_than_the_header_says(tmp_path: Path) -> None:
    large = first_packet(video("webm", seconds=0.04, size=(1280, 720), codecs=("libvpx-vp9", None)))
    media = Media(max_pixels=100_000, processes=1)
    try:
        (tmp_path / "a").write_bytes(webm(64, 64, large))
        with pytest.raises(PinakesError, match=r"is 1,280 x 720 pixels|is damaged"):
            media.examine_file("file", tmp_path / "a", "a.webm")
    finally:
        media.close()


def test_a_frame_of_sixteen_thousand_a_side(look: Looker) -> None:
    """By its header a VP9 frame of 16,000 x 16,000: 366 MiB at once, and a few of these if we let it."""
    data = video("webm", seconds=0.04, size=(64, 64), codecs=("libvpx-vp9", None))
    frame = bytearray(first_packet(data))
    bits = int.from_bytes(frame[:12], "big")
    place = 12 * 8 - 8 - 24 - 3 - 1 - 32  # VP9, 6.2: the marker and flags, the sync code, the colours, two sides
    sides = (15_999 << 16 | 15_999) << place
    frame[:12] = (bits & ~(0xFFFFFFFF << place) | sides).to_bytes(12, "big")
    found = look(webm(16_000, 16_000, bytes(frame)), "a.webm")
    assert isinstance(found, str)
    assert found.endswith((DAMAGED, "MiB of memory to decode."))


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm", "mkv", "avi", "wav", "flac", "mp3", "opus", "m4a", "aac"])
def test_nothing_in_it(look: Looker, ending: str) -> None:
    """A header, and then no frame. (The encoder of Vorbis does not end when it has nothing to do.)"""
    if ending in SOUNDS:
        data = sound(ending, np.zeros((2, 0), np.float32))
    else:
        data = video(ending, seconds=0, codecs=("mpeg4" if ending == "avi" else VIDEOS[ending][1], None))
    found = look(data, f"a.{ending}")
    assert isinstance(found, str)
    assert found.endswith((DAMAGED, "the file is empty.", "holds nothing that can be played."))


def test_a_thousand_streams(look: Looker) -> None:
    def tracks(count: int) -> bytes:
        entry = [
            ebml(0xAE, ebml(0xD7, at.to_bytes(2, "big")), ebml(0x83, b"\2"), ebml(0x86, b"A_OPUS"))
            for at in range(count)
        ]
        return ebml(0x1A45DFA3, ebml(0x4282, b"matroska")) + ebml(0x18538067, ebml(0x1654AE6B, *entry))

    for count in (100, 1000, 60_000):
        assert is_refused(look(tracks(count), "a.mkv"))


# What would reach out.

PLAYLISTS: dict[str, Callable[[str, Path], str]] = {
    "hls": lambda url, path: (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n"
    ),
    "concat": lambda url, path: f"ffconcat version 1.0\nfile '{path}'\nfile '{url}'\n",
    "dash": lambda url, path: (
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f"<AdaptationSet><Representation><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>{path}"
    ),
    "sdp": lambda *_: "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "sap": lambda url, path: f"rtsp://{url.removeprefix('http://')}\n{path}",
    "subs": lambda url, path: f"<smil><body><video src='{url}'/><video src='{path}'/></body></smil>",
}


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address, and what has knocked there."""
    knocks: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            knocks.append(str(self.client_address))

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_address[1]}/a.ts", knocks
        listener.shutdown()


@pytest.mark.parametrize("which", PLAYLISTS)
def test_a_playlist_reaches_nothing(look: Looker, server: tuple[str, list[str]], tmp_path: Path, which: str) -> None:
    url, knocks = server
    (tmp_path / "other.mp4").write_bytes(clip("mp4"))
    text = PLAYLISTS[which](url, tmp_path / "other.mp4").encode()
    for ending in ("mp4", "mov", "m4a", "mp3", "aac"):
        found = look(text, f"a.{ending}")
        assert isinstance(found, str), ending
    boxed = b"\0\0\0\x14ftypisom\0\0\2\0isom" + text
    for ending in ("mp4", "m4a"):
        assert isinstance(look(boxed, f"a.{ending}"), str)
    assert knocks == []


@pytest.mark.parametrize("format", ["hls", "concat", "dash"])
def test_even_a_demuxer_of_playlists_could_open_nothing(
    server: tuple[str, list[str]], tmp_path: Path, format: str
) -> None:
    """The second barrier, were the first one (the demuxer of the type) not there."""
    url, knocks = server
    other = tmp_path / "other.mp4"
    other.write_bytes(clip("mp4"))
    text = PLAYLISTS[format](url, other).encode()
    with pytest.raises((av.FFmpegError, PermissionError)), streams._open(format, io.BytesIO(text)) as container:
        list(container.demux())
    assert knocks == []
