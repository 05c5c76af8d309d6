"""How long pinakes takes to start, and the memory it has then and after many requests."""

import time
from http.client import HTTPConnection
from statistics import median
from typing import Any, NamedTuple

from bench.load import CONNECTIONS, measure
from bench.services import Service

STARTS, REQUESTS = 5, 100_000


class Start(NamedTuple):
    """`ms` from the start of the process until it says that it is ready; MB of memory of its process then."""

    ms: float
    memory: float


def measure_starts(service: Service) -> dict[str, Any]:
    """Medians of some starts on the library that it has, and the memory in MB after many requests of `get`."""
    starts = [_start(service) for _ in range(STARTS)]
    with service.running():
        answered = 0
        while answered < REQUESTS:
            sample = measure(service, "get", 1, answered)
            answered += sample.requests
    return {
        "ms": round(median(start.ms for start in starts), 1),
        "memory": round(median(start.memory for start in starts), 1),
        "memoryAfter": round(sample.memory, 1),
        "requests": answered,
        "connections": CONNECTIONS,
        "samples": [start._asdict() for start in starts],
    }


def told(found: dict[str, Any]) -> str:
    """For people."""
    return (
        f"start: ready after {found['ms']:,.0f} ms with {found['memory']:.0f} MB;"
        f" {found['memoryAfter']:.0f} MB after {found['requests']:,} requests of one collection"
    )


def _start(service: Service) -> Start:
    begun = time.perf_counter()
    with service.running():
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        ms = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{service.name} is not ready: {answer.status} {answer.read()!r}")
        return Start(ms, service.memory_mb())
