"""Decoding children that crash, hang, misbehave, or are killed: one answer is lost, never the next one."""

import fcntl
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest
from pictures import FORMATS, encode, photo, picture, png

from pinakes.background import NICE, stand_back
from pinakes.errors import PinakesError
from pinakes.media import Media, child, pool
from pinakes.media.protocol import READY, Answer, Decoded, Limits, Refused, Request, receive, send

LIMITS = Limits(268_000_000, 20.0, 1 << 30, (256, 512))


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media()
    yield media
    media.close()


@pytest.fixture
def one() -> Iterator[Media]:
    media = Media(processes=1)
    yield media
    media.close()


def children() -> set[int]:
    """The decoding children of this process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it ended while we looked
            continue
        if parent == os.getpid() and b"pinakes.media.child" in command:
            found.add(int(folder.name))
    return found


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def started_by(media: Media) -> int:
    before = children()
    media.examine(picture("png"), "")
    (pid,) = children() - before
    return pid


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PinakesError) as caught:
        call()
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "image")
    return caught.value.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_dies_at_work_is_not_the_images_fault(one: Media, number: signal.Signals) -> None:
    with dying(started_by(one), number):
        assert one.examine(picture("png"), "").width == 320


def test_an_image_that_ends_two_children_is_refused(one: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    first = started_by(one)
    begin = pool.Child.__init__

    def start_and_die(child: pool.Child, limits: Limits) -> None:
        begin(child, limits)
        os.kill(child._process.pid, signal.SIGKILL)

    monkeypatch.setattr(pool.Child, "__init__", start_and_die)
    with dying(first, signal.SIGKILL):
        assert refusal(lambda: one.examine(picture("png"), "")) == "image: the PNG could not be decoded."
    monkeypatch.undo()
    assert one.examine(picture("png"), "").width == 320


@contextmanager
def dying(pid: int, number: signal.Signals) -> Iterator[None]:
    """Stops a child, so that it is at work until it dies of the signal half a second later."""
    os.kill(pid, signal.SIGSTOP)

    def end() -> None:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    clock = threading.Timer(0.5, end)
    clock.start()
    yield
    clock.join()


def test_a_child_that_dies_idle_is_not_noticed(one: Media) -> None:
    pid = started_by(one)
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_gone(pid))
    assert one.examine(picture("png"), "").width == 320


def test_the_signals_that_stop_a_server_leave_its_children_at_work(one: Media) -> None:
    pid = started_by(one)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert one.examine(picture("png"), "").width == 320
    assert pid in children()


def test_the_time_limit() -> None:
    slow = encode(photo(500, 500).replicate(12, 12), "jpeg", interlace=True)  # half a second
    media = Media(processes=1, time_limit_s=0.15)
    try:
        assert media.examine(picture("png", 8, 8), "").width == 8
        start = time.monotonic()
        assert refusal(lambda: media.examine(slow, "")) == "image: the JPEG took longer than 0.15 s to decode."
        assert time.monotonic() - start < 5
        assert media.examine(picture("png", 8, 8), "").width == 8
    finally:
        media.close()


def test_a_stopped_child_is_held_to_the_time_limit_while_it_is_sent_the_image() -> None:
    media = Media(processes=1, time_limit_s=0.5)
    try:
        pid = started_by(media)
        os.kill(pid, signal.SIGSTOP)
        noise = os.urandom(4 << 20)  # more than a pipe holds
        message = refusal(lambda: media.examine(b"\x89PNG\r\n\x1a\n" + noise, ""))
        assert message == "image: the PNG took longer than 0.5 s to decode."
        assert pid not in children()
    finally:
        media.close()


def test_eight_threads(media: Media) -> None:
    work = [(picture(format), format) for format in FORMATS] * 6
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda item: media.examine(item[0], ""), work))
    assert [examined.format for examined in found] == [format for _, format in work]
    for format in FORMATS:
        assert len({tuple(examined.thumbnails.items()) for examined in found if examined.format == format}) == 1


def test_no_more_children_than_allowed_and_none_for_what_is_no_image() -> None:
    before = children()
    media = Media(processes=2)
    media.examine(b"hello", "a.txt")
    assert children() == before
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: media.examine(picture("jpeg"), ""), range(24)))
    assert len(children() - before) <= 2
    media.close()
    assert children() == before
    with pytest.raises(PinakesError) as caught:
        media.examine(picture("png"), "")
    assert caught.value.code == "UNAVAILABLE"


def test_a_child_is_replaced_after_so_many_files(one: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "FILES_PER_CHILD", 3)
    pid = started_by(one)
    for _ in range(2):
        one.examine(picture("png"), "")
    assert pid in children()
    assert one.examine(picture("png"), "").width == 320
    assert pid not in children()


@pytest.mark.parametrize("program", ["/bin/false", "/no/such/program"])
def test_a_decoder_that_cannot_start_is_not_the_files_fault(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    media = Media(processes=1)
    try:
        with pytest.raises(PinakesError, match="does not start") as caught:
            media.examine(picture("png"), "")
        assert caught.value.code == "UNAVAILABLE"
    finally:
        media.close()


def test_children_end_with_their_server_and_libvips_stays_out_of_it() -> None:
    code = (
        "import os, sys\n"
        "from pinakes.media import Media\n"
        "media = Media(processes=1)\n"
        "media.examine(sys.stdin.buffer.read(), '')\n"
        "assert not [name for name in sys.modules if 'vips' in name]\n"
        "print(media._pool._slots.get()._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=picture("png"), capture_output=True, timeout=60)
    pid = int(done.stdout)
    until(lambda: is_gone(pid))


def request(type: str) -> bytes:
    return msgspec.msgpack.encode(Request(type))


def served(*messages: bytes) -> list[bytes]:
    requests, answers = io.BytesIO(), io.BytesIO()
    for message in messages:
        send(requests, message)
    requests.seek(0)
    child.serve(requests, answers, LIMITS)
    answers.seek(0)
    return list(iter(lambda: receive(answers) or b"", b""))


def answers(*messages: bytes) -> list[Answer]:
    ready, *said = served(*messages)
    assert ready == READY
    return [msgspec.msgpack.decode(answer, type=Decoded | Refused) for answer in said]


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_child_says(format: str) -> None:
    data = picture(format, 4000, 900) if format in ("jpeg", "webp") else picture(format)
    wanted = request(format)
    decoded, cut, header = answers(wanted, data, wanted, data[:-9], wanted, data[:60])
    assert isinstance(decoded, Decoded)
    assert (decoded.width in (320, 4000), decoded.frames, sorted(decoded.thumbnails)) == (True, 1, [256, 512])
    assert cut == header == Refused("is damaged or truncated.")


def test_a_child_refuses_before_it_decodes() -> None:
    (refused,) = answers(request("png"), png(100_000, 100_000, b""))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("is 100,000 x 100,000 pixels; ")


def test_a_child_stops_when_its_server_does() -> None:
    assert answers(request("png")) == []


@pytest.mark.parametrize("said", [b"", b"\0\0\0", (9).to_bytes(8, "big") + b"short", b"\xff" * 8 + b"a flood"])
def test_nothing_but_whole_messages_is_believed(said: bytes) -> None:
    assert receive(io.BytesIO(said), 1000) is None


def test_confined(tmp_path: Path) -> None:
    """In a process of its own, since limits cannot be lifted again."""
    code = (
        "import msgspec, os, sys\n"
        "from pinakes.media import child\n"
        "from pinakes.media.protocol import Limits\n"
        "child.confine(Limits(1, 1.0, 1 << 30, (256,)))\n"
        "file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
        "for attempt in (lambda: bytearray(2 << 30), lambda: os.write(file, b'x')):\n"
        "    try:\n"
        "        attempt()\n"
        "    except (MemoryError, OSError) as error:\n"
        "        print(type(error).__name__, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["MemoryError", "OSError"]


def test_a_child_starts_where_its_pipes_stay_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system lets a user have only so many wide pipes."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    media = Media(processes=1)
    try:
        assert media.examine(encode(photo(300, 200), "png"), "a.png").width == 300
    finally:
        media.close()


def test_children_stand_back_whoever_starts_them() -> None:
    for initializer in (stand_back, None):
        media = Media(processes=1)
        try:
            with ThreadPoolExecutor(1, initializer=initializer) as thread:
                thread.submit(media.examine, encode(photo(30, 20), "png"), "a.png").result()
            mine = [one for one in psutil.Process().children() if "pinakes.media.child" in one.cmdline()]
            assert {one.nice() for one in mine} == {NICE}
        finally:
            media.close()
