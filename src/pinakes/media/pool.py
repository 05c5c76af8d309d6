"""Decoding children: started when first needed, replaced when they die, take too long, or have done enough."""

import builtins
import fcntl
import io
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import msgspec

from pinakes.background import stand_back
from pinakes.errors import PinakesError, bad_request
from pinakes.media.kinds import Type
from pinakes.media.protocol import (
    MAX_ANSWER,
    MAX_CONVERTED,
    READY,
    Answer,
    Converted,
    Decoded,
    Limits,
    Refused,
    Request,
    receive,
    send,
)

FILES_PER_CHILD = 500  # what a decoder leaks is gone after that
START_LIMIT_S = 60.0
_PIPE_BYTES = 1 << 20  # the most that a pipe may have as Linux is set up
_AROUND = 64  # what msgpack puts around converted bytes
# Nothing of the server's environment, which may hold secrets. One malloc arena per thread would spend address space.
_ENVIRONMENT = {
    "PATH": os.defpath,
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "VIPS_WARNING": "0",
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",  # each would reserve address space, of which a child has little
}
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
T = TypeVar("T")


class Pool:
    """Up to `processes` children, each busy with at most one file."""

    def __init__(self, processes: int, limits: Limits) -> None:
        self._limits = limits
        self._processes = processes
        self._is_closed = False
        # Last in, first out: the child used last is warm, and one that is not needed is never started.
        self._slots: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(processes):
            self._slots.put(None)

    def probe(self, field: str, type: Type, data: bytes, path: str | None = None) -> Decoded:
        """Waits for a free child, which looks into `data`, or the file at `path`.

        Raises BAD_REQUEST, naming `field`, for a file that cannot be decoded within the limits. When a child dies,
        another tries: only a file that ends two is to blame for it.
        """
        return self._expect(Decoded, field, type, Request(type.name, path), data)

    def convert(self, field: str, type: Type, path: str, target: str) -> bytes:
        """The file at `path` in the format `target`. Waits and raises as `probe` does."""
        return self._expect(Converted, field, type, Request(type.name, path, target), b"").data

    def _expect(self, kind: "builtins.type[T]", field: str, type: Type, request: Request, data: bytes) -> T:
        answer, was_late = self._ask(request, data)
        if answer is None and not was_late:
            answer, was_late = self._ask(request, data)
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, Refused):
            raise bad_request(field, f"the {type.label} {answer.reason}")
        do, done = ("decode", "decoded") if request.target is None else ("convert", "converted")
        took_long = f"took longer than {self._limits.time_limit_s:g} s to {do}."
        raise bad_request(field, f"the {type.label} {took_long if was_late else f'could not be {done}.'}")

    def _ask(self, request: Request, data: bytes) -> tuple[Answer | None, bool]:
        """A child's answer, None when it died; and whether that was because it was late."""
        child, answer = self._slots.get(), None
        try:
            if self._is_closed:
                raise PinakesError("UNAVAILABLE", "The server is shutting down: send the file again later.")
            if child is None or not child.is_usable():
                if child is not None:
                    child.end()
                child = None  # if the next one does not start, the slot is empty
                child = Child(self._limits)
            answer = child.ask(request, data)
            return answer, child.was_late
        finally:
            if child is not None and answer is None:
                child.end()
            self._slots.put(child)

    def close(self) -> None:
        self._is_closed = True
        children = [self._slots.get() for _ in range(self._processes)]
        for child in children:
            if child is not None:
                child.end()
            self._slots.put(None)


class Child:
    """One process. Raises UNAVAILABLE when it cannot be started; what it has to say about that is on stderr."""

    def __init__(self, limits: Limits) -> None:
        self.was_late = False
        self._time_limit_s = limits.time_limit_s
        self._files = 0
        command = [sys.executable, "-P", "-m", "pinakes.media.child", msgspec.json.encode(limits).decode()]
        # Unbuffered, so that closing a pipe nobody reads any more has nothing left to write.
        try:
            self._process = subprocess.Popen(  # noqa: S603 - nothing in the command comes from outside
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_ENVIRONMENT,
                bufsize=0,
            )
        except OSError as error:
            raise _no_decoder() from error
        stand_back(self._process.pid)
        self._requests = cast(BinaryIO, self._process.stdin)
        _widen(self._requests)
        self._answers = io.BufferedReader(cast(io.RawIOBase, self._process.stdout))
        _widen(self._answers)
        if self._talk([], START_LIMIT_S, len(READY)) != READY:
            self.end()
            raise _no_decoder()

    def is_usable(self) -> bool:
        return self._files < FILES_PER_CHILD and not self.was_late and self._process.poll() is None

    def ask(self, request: Request, data: bytes) -> Answer | None:
        """None when the process died or was late; it must not be used again then."""
        self._files += 1
        most = MAX_ANSWER if request.target is None else MAX_CONVERTED + _AROUND
        answer = self._talk([msgspec.msgpack.encode(request), data], self._time_limit_s, most)
        if answer is None:
            return None
        try:
            return _ANSWERS.decode(answer)
        except msgspec.MsgspecError:  # a decoder taken over by what it decoded
            return None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()

    def _talk(self, messages: list[bytes], limit_s: float, most: int) -> bytes | None:
        clock = threading.Timer(limit_s, self._late)
        clock.daemon = True
        clock.start()
        try:
            for message in messages:
                send(self._requests, message)
            return receive(self._answers, most)
        except OSError:  # it is gone
            return None
        finally:
            clock.cancel()
            clock.join()  # a clock that went off at the last moment has killed the process once this returns

    def _late(self) -> None:
        self.was_late = True
        self._process.kill()


def _widen(pipe: BinaryIO) -> None:
    """Let a pipe take most pictures at once, instead of 64 KiB in turns. Where the system does not, it is slower."""
    if sys.platform == "linux":
        with suppress(OSError):  # this user has many such pipes already
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _no_decoder() -> PinakesError:
    return PinakesError("UNAVAILABLE", "The image decoder does not start; the server's log says why.")
