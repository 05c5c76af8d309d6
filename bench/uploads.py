"""python -m bench.uploads URL AUTHORIZATION CLIENTS FILE…: send pictures, each with a fetch of its thumbnail.

Prints one line of JSON. A picture is sent as base64 in one request, whose answer names the thumbnail.
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rich import box
from rich.table import Table

from bench import libvips, usage
from bench.services import BENCH, Service

CLIENTS = 8
A_SECOND = 25
"""Pictures for each second that is asked for, which is about what two cores do."""
_WARM_UP = 2 * CLIENTS


class Sent(NamedTuple):
    """One round: pictures a second and the ms from the first byte of each to the last of its thumbnail.

    `cpu_ms` is CPU time a picture in ms: of the server's process, of those it has started, and of who sends. `alone` is
    what libvips does with the same pictures: pictures a second, and CPU ms a picture.
    """

    per_second: float
    latencies: list[float]
    cpu_ms: dict[str, float]
    alone: tuple[float, float]


def measure_uploads(service: Service, folder: Path, rounds: int, seconds: int) -> dict[str, Any]:
    """On all cores, and libvips in as many processes as the server decodes with, in turn. `folder` is for pictures."""
    from bench import pictures  # takes libvips into this process

    made = pictures.of_a_megabyte()
    with service.running(core=None):
        _send(service, _written(islice(made, _WARM_UP), folder))
        taken = [_round(service, _written(islice(made, A_SECOND * seconds), folder)) for _ in range(rounds)]
    return _summary(taken)


def _written(pictures: Iterator[bytes], folder: Path) -> list[Path]:
    """As files, in place of those before them."""
    paths = []
    for number, data in enumerate(pictures):
        paths.append(folder / f"{number:05}.png")
        paths[-1].write_bytes(data)
    return paths


def _round(service: Service, pictures: list[Path]) -> Sent:
    before, count = usage.cpu_s(service.pid), len(pictures)
    seen = _send(service, pictures)
    own, children = ((now - then) * 1000 / count for now, then in zip(usage.cpu_s(service.pid), before, strict=True))
    alone_s, alone_cpu_s = libvips.alone(pictures, service.config.decode_processes * service.config.workers)
    cpu_ms = {"server": own, "children": children, "client": seen["cpuMs"] / count}
    return Sent(count / seen["seconds"], seen["latencies"], cpu_ms, (count / alone_s, alone_cpu_s * 1000 / count))


def _send(service: Service, pictures: list[Path]) -> dict[str, Any]:
    program = [sys.executable, "-m", "bench.uploads", service.url, service.authorization, str(CLIENTS)]
    run = subprocess.run([*program, *map(str, pictures)], cwd=BENCH.parent, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"sending pictures failed; {service.log}\n{run.stderr}")
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


def _summary(rounds: list[Sent]) -> dict[str, Any]:
    """Medians of the rounds, and percentiles of all pictures."""
    latencies = sorted(ms for one in rounds for ms in one.latencies)
    percentiles = quantiles(latencies, n=100, method="inclusive")
    return {
        "clients": CLIENTS,
        "pictures": len(latencies),
        "perSecond": round(median(one.per_second for one in rounds), 2),
        "p50": round(percentiles[49], 1),
        "p99": round(percentiles[98], 1),
        "longest": round(latencies[-1], 1),
        "cpuMs": {who: round(median(one.cpu_ms[who] for one in rounds), 2) for who in rounds[0].cpu_ms},
        "libvips": {
            "perSecond": round(median(one.alone[0] for one in rounds), 2),
            "cpuMs": round(median(one.alone[1] for one in rounds), 2),
        },
        "ofLibvips": round(median(one.per_second / one.alone[0] for one in rounds), 3),
        "samples": [one._asdict() for one in rounds],
    }


def table(found: dict[str, Any]) -> Table:
    """For people."""
    heads = ("pictures/s", "p50 ms", "p99 ms", "longest", "CPU ms: server", "children", "client", "of libvips")
    made = Table("upload of 1 MB", *heads, box=box.SIMPLE, padding=(0, 0, 0, 1))
    for column in made.columns[1:]:
        column.justify = "right"
    times = (f"{found[name]:,.0f}" for name in ("p50", "p99", "longest"))
    cpu = (f"{ms:.1f}" for ms in found["cpuMs"].values())
    made.add_row("pinakes", f"{found['perSecond']:.1f}", *times, *cpu, f"{found['ofLibvips']:.0%}")
    alone = found["libvips"]
    made.add_row("libvips", f"{alone['perSecond']:.1f}", "", "", "", "", f"{alone['cpuMs']:.1f}", "", "")
    return made


def main() -> None:
    url, authorization, clients, *paths = sys.argv[1:]
    place = urlsplit(url).netloc
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    bodies = [_body(Path(path)) for path in paths]
    waiting = iter(bodies)

    def client(_: int) -> list[float]:
        connection = HTTPConnection(place, timeout=60)
        return [_add(connection, body, headers) for body in waiting]

    begun, cpu_begun = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(int(clients)) as threads:
        latencies = [ms for one in threads.map(client, range(int(clients))) for ms in one]
    seconds, cpu_ms = time.perf_counter() - begun, (time.process_time() - cpu_begun) * 1000
    print(json.dumps({"seconds": seconds, "latencies": latencies, "cpuMs": cpu_ms}))


def _body(picture: Path) -> bytes:
    image = base64.b64encode(picture.read_bytes()).decode()
    return json.dumps({"name": picture.name, "image": image}).encode()


def _add(connection: HTTPConnection, body: bytes, headers: dict[str, str]) -> float:
    """Send a picture and fetch its thumbnail; in ms."""
    begun = time.perf_counter()
    asset = json.loads(_answer(connection, "POST", "/v1/assets", body, headers))["asset"]
    link = urlsplit(asset["thumbnail"]["url"])
    thumbnail = _answer(connection, "GET", f"{link.path}?{link.query}")
    took = (time.perf_counter() - begun) * 1000
    if thumbnail[:4] != b"RIFF":
        raise ValueError(f"the thumbnail of {asset['id']} is no WebP: {thumbnail[:20]!r}")
    return took


def _answer(
    connection: HTTPConnection, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise ValueError(f"{method} {path} was answered with {answer.status}: {data[:300]!r}")
    return data


if __name__ == "__main__":
    main()
