"""One large file in parts to a server that is killed twice: while parts arrive, and while they are joined.

`python tests/resilience/large_upload.py --gigabytes 5` does it with as much as is asked for, and tells figures. It
takes twice that much of the disk, for as long as it runs.
"""

import argparse
import hashlib
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))  # where pytest finds `conftest`

from servers import Place, Server, findings, make_place, ok, serving

MIB = 1 << 20
PART_SIZE = 16 * MIB
SENDERS = 4
PATIENCE_S = 600


class Figures(NamedTuple):
    """What was measured. `memory_mb`: most that a server's own process took, and most that one of its children took."""

    size: int
    sending_s: float
    joining_s: float
    lease_s: float
    reading_s: float
    memory_mb: tuple[int, int]


class Source:
    """A file that is nowhere: its parts are made when they are asked for, each different."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = -(-size // PART_SIZE)
        self._grain = random.Random(7).randbytes(MIB)

    def part(self, number: int) -> Iterator[bytes]:
        """The chunks of a part; numbers begin with 1."""
        left = min(PART_SIZE, self.size - (number - 1) * PART_SIZE)
        while left:
            chunk = (number.to_bytes(4, "big") + left.to_bytes(8, "big") + self._grain)[: min(left, MIB)]
            left -= len(chunk)
            yield chunk

    def sha256(self, *numbers: int) -> str:
        """The hash of these parts one after another."""
        digest = hashlib.sha256()
        for number in numbers:
            for chunk in self.part(number):
                digest.update(chunk)
        return digest.hexdigest()


class Memory:
    """The most that servers have taken, as the kernel kept it; to be asked before a server is killed."""

    def __init__(self) -> None:
        self.own = self.children = 0

    def look(self, server: Server) -> None:
        pid = server.process.pid
        threads = Path(f"/proc/{pid}/task").iterdir()
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
        self.own = max(self.own, _peak_mb(str(pid)))
        self.children = max([self.children, *map(_peak_mb, children)])


def _peak_mb(pid: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0  # it has ended meanwhile
    return next((int(line.split()[1]) // 1000 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def send_through_two_kills(folder: Path, size: int) -> tuple[Place, Figures]:
    """Send a file of `size` bytes to a server that is killed twice; assert all that must hold."""
    place, source, memory = make_place(folder), Source(size), Memory()
    acknowledged: dict[int, str] = {}
    with serving(place, access_log="false") as server, server.client() as client:
        new = {"fileName": "large.bin", "fileSize": size, "kind": "asset", "parts": source.count}
        upload = ok(client.post("/uploads", json=new))["upload"]
        begun = time.monotonic()
        numbers = iter(random.Random(7).sample(range(1, source.count + 1), source.count))
        _send(upload, source, numbers, acknowledged, lambda: _kill(server, memory))
        sending_s = time.monotonic() - begun
    assert source.count // 2 <= len(acknowledged) < source.count

    with serving(place, access_log="false") as server, server.client() as client:
        upload = ok(client.get(f"/uploads/{upload['id']}"))["upload"]
        there = {part["number"]: part["sha256"] for part in upload["parts"] if "sha256" in part}
        assert acknowledged.items() <= there.items()
        begun = time.monotonic()
        _send(upload, source, iter([n for n in range(1, source.count + 1) if n not in there]), acknowledged)
        sending_s += time.monotonic() - begun
        assert ok(client.post(f"/uploads/{upload['id']}/action", json={"action": "complete"}))["upload"]["status"]
        wait_for(lambda: joined(place, upload["id"]) > size // 4)
        assert _status(client, upload) == "validating"
        _kill(server, memory)

    begun = time.monotonic()
    with serving(place, access_log="false") as server, server.client() as client:
        left = unfinished(place, upload["id"])
        wait_for(lambda: unfinished(place, upload["id"]) != left or _status(client, upload) == "imported")
        lease_s, begun = time.monotonic() - begun, time.monotonic()
        wait_for(lambda: _status(client, upload) in ("imported", "failed"))
        joining_s = time.monotonic() - begun
        upload = ok(client.get(f"/uploads/{upload['id']}"))["upload"]
        assert upload["status"] == "imported", upload
        asset = ok(client.get(f"/assets/{upload['entityId']}"))["asset"]
        begun = time.monotonic()
        assert _sha256_at(asset["url"]) == source.sha256(*range(1, source.count + 1))
        reading_s = time.monotonic() - begun
        wait_for(lambda: not list((place.data / "blobs/uploads").iterdir()), most_s=10)
        assert findings(place) == []
        memory.look(server)
    return place, Figures(size, sending_s, joining_s, lease_s, reading_s, (memory.own, memory.children))


def _send(
    upload: dict[str, Any],
    source: Source,
    numbers: Iterator[int],
    acknowledged: dict[int, str],
    kill: Callable[[], None] | None = None,
) -> None:
    """Send parts, several at a time, and kill the server when it has half of them."""
    door, is_over = threading.Lock(), threading.Event()

    def send_some() -> None:
        with httpx.Client(timeout=120) as client:
            while not is_over.is_set():
                with door:
                    number = next(numbers, None)
                if number is None:
                    return
                try:
                    answer = client.put(upload["parts"][number - 1]["url"], content=source.part(number))
                except httpx.TransportError:
                    assert is_over.is_set()
                    return
                acknowledged[number] = ok(answer)["sha256"]
                with door:
                    if kill and not is_over.is_set() and len(acknowledged) >= source.count // 2:
                        is_over.set()
                        kill()

    with ThreadPoolExecutor(SENDERS) as pool:
        for running in [pool.submit(send_some) for _ in range(SENDERS)]:
            running.result()
    assert all(acknowledged[number] == source.sha256(number) for number in list(acknowledged)[:3])


def _kill(server: Server, memory: Memory) -> None:
    memory.look(server)
    server.kill()


def _status(client: httpx.Client, upload: dict[str, Any]) -> str:
    return str(ok(client.get(f"/uploads/{upload['id']}"))["upload"]["status"])


def unfinished(place: Place, upload_id: str) -> set[str]:
    """What is being written beside the parts of an upload, or was when the server was killed."""
    folder = place.data / "blobs/uploads" / upload_id
    return {path.name for path in folder.glob("part-*")} if folder.exists() else set()


def joined(place: Place, upload_id: str) -> int:
    """How many bytes have been put together."""
    folder = place.data / "blobs/uploads" / upload_id
    return sum((folder / name).stat().st_size for name in unfinished(place, upload_id))


def _sha256_at(url: str) -> str:
    digest = hashlib.sha256()
    with httpx.stream("GET", url, timeout=120) as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    return digest.hexdigest()


def wait_for(condition: Callable[[], bool], most_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5.0, help="size of the file (5)")
    parser.add_argument("--folder", type=Path, help="where to work; a folder of its own is made there, and removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="large-upload-", dir=options.folder) as folder:
        _, found = send_through_two_kills(Path(folder), int(options.gigabytes * 1e9))
    megabytes = found.size / 1e6
    own, children = found.memory_mb
    print(f"{megabytes:,.0f} MB in parts of {PART_SIZE // MIB} MiB, {SENDERS} at a time")
    print(f"sent      in {found.sending_s:.1f} s: {megabytes / found.sending_s:.0f} MB/s")
    print(f"taken up  {found.lease_s:.1f} s after the second kill")
    print(f"joined    and imported in {found.joining_s:.1f} s: {megabytes / found.joining_s:.0f} MB/s")
    print(f"read back in {found.reading_s:.1f} s: {megabytes / found.reading_s:.0f} MB/s")
    print(f"memory    at most {own} MB (server), {children} MB (each child)")


if __name__ == "__main__":
    main()
