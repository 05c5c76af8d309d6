"""`python -m pinakes.media.child LIMITS`: looks into the files it is sent on stdin until stdin ends.

It is told apart from the server by limits of the kernel: memory, no files written, no core dump, and a clock.
"""

import importlib
import os
import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from pinakes.media.kinds import PROBERS
from pinakes.media.probers import convert, images
from pinakes.media.protocol import READY, Answer, Limits, Request, Source, receive, send


def serve(requests: BinaryIO, answers: BinaryIO, limits: Limits) -> None:
    """Answer requests until there are no more."""
    send(answers, READY)
    while (request := receive(requests)) is not None and (data := receive(requests)) is not None:
        # The server ends a child that takes too long. If the server is gone the kernel has to: the default action of
        # SIGALRM needs no code to run here. (PR_SET_PDEATHSIG would do so too early, when a thread of the server ends.)
        signal.setitimer(signal.ITIMER_REAL, limits.time_limit_s + 1)
        answer = _answer(msgspec.msgpack.decode(request, type=Request), data, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(answers, msgspec.msgpack.encode(answer))


def _answer(request: Request, data: bytes, limits: Limits) -> Answer:
    """What the prober of the type finds; each is imported when its first file comes."""
    source = Source(request.path, data)
    if request.target is not None:
        return convert.convert(request.type, source, request.target, limits)
    prober = importlib.import_module(f"pinakes.media.probers.{PROBERS[request.type]}")
    answer: Answer = prober.probe(request.type, source, limits)
    return answer


def confine(limits: Limits) -> None:
    """Let the kernel hold this process to its limits, and leave the end of it to the server."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_limit_bytes, limits.memory_limit_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_IGN)


def main() -> None:
    limits = msgspec.json.decode(sys.argv[1], type=Limits)
    confine(limits)
    images.set_up()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints must not end up among the answers
    serve(sys.stdin.buffer, answers, limits)


if __name__ == "__main__":
    main()
