"""The write-ahead log stays small whatever is written and read, and nobody waits for it to be folded."""

import base64
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from servers import Place, Server, findings, make_place, new_collection, ok, serving

WRITERS = 8
SECONDS = 8.0
MOST_LOG_BYTES = 64 << 20
PATIENCE_S = 5.0
"""Far more than was ever seen (see the printed figures), because a machine may be busy with other things."""

# Every snapshot keeps the log from being started anew for as long as it is held.
READ = """
import sys, time, apsw
connection = apsw.Connection(sys.argv[1])
while True:
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM collection_asset").fetchall()
    time.sleep(1)
    connection.execute("COMMIT")
    time.sleep(0.2)
"""


class Turn(NamedTuple):
    """One request of one kind, and when it was answered."""

    kind: str
    seconds: float


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path, 2000)


def writes(client: httpx.Client, number: int, place: Place) -> Iterator[Callable[[], httpx.Response]]:
    """Adds of 49, and descriptions of 100 kB, which make the log grow as fast as anything can."""
    chance = random.Random(number)
    collection_id = new_collection(client)
    text = '{"description":"' + base64.b64encode(os.urandom(74_000)).decode() + '"}'
    path = f"/collections/{collection_id}/assets"
    while True:
        ids = {"assetIds": chance.sample(place.asset_ids, 49)}
        yield partial(client.put, path, json=ids)
        yield partial(client.put, f"/assets/{chance.choice(place.asset_ids)}", content=text)
        yield partial(client.request, "DELETE", path, json=ids)


def uploads(client: httpx.Client, _number: int, _place: Place) -> Iterator[Callable[[], httpx.Response]]:
    """8 MB each, one after the other."""
    image = base64.b64encode(b"glTF\2\0\0\0" + (8 << 20).to_bytes(4, "little") + os.urandom((8 << 20) - 12)).decode()
    while True:
        yield lambda: client.post("/assets", json={"name": "model.glb", "image": image})


def reads(client: httpx.Client, _number: int, _place: Place) -> Iterator[Callable[[], httpx.Response]]:
    """What another client does meanwhile."""
    while True:
        yield lambda: client.get("/collections", params={"pageSize": 100})
        time.sleep(0.01)


def renames(client: httpx.Client, _number: int, _place: Place) -> Iterator[Callable[[], httpx.Response]]:
    """What another client changes meanwhile."""
    path = f"/collections/{new_collection(client)}"
    while True:
        yield lambda: client.put(path, json={"name": "other"})
        time.sleep(0.01)


KINDS = [*[writes] * WRITERS, uploads, reads, renames]


def run(server: Server, number: int, until: float) -> list[Turn]:
    kind, turns = KINDS[number], []
    with server.client(timeout=60) as client:
        for request in kind(client, number, server.place):
            begun = time.monotonic()
            ok(request())
            turns.append(Turn(kind.__name__, time.monotonic() - begun))
            if time.monotonic() > until:
                break
    return turns


def figures(turns: list[Turn], kind: str) -> tuple[float, str]:
    """The longest time, and how many there were, their median, p99 and longest time in ms."""
    times = sorted(turn.seconds * 1000 for turn in turns if turn.kind == kind)
    median, p99, longest = times[len(times) // 2], times[len(times) * 99 // 100], times[-1]
    return longest / 1000, f"{kind}: {len(times)}, median {median:.0f}, p99 {p99:.0f}, longest {longest:.0f} ms"


def test_the_log_stays_small(place: Place) -> None:
    sizes: list[int] = []
    with serving(place, access_log="false") as server, ThreadPoolExecutor(len(KINDS)) as pool:
        with subprocess.Popen([sys.executable, "-c", READ, str(place.database)]) as reader:
            until = time.monotonic() + SECONDS
            running = [pool.submit(run, server, number, until) for number in range(len(KINDS))]
            while not all(one.done() for one in running):
                sizes.append(place.log_of_database.stat().st_size)
                time.sleep(0.02)
            reader.kill()
        turns = [turn for one in running for turn in one.result()]
        assert server.stop() == 0
    print(f"log at most {max(sizes) / 2**20:.1f} MB")
    for kind in dict.fromkeys(turn.kind for turn in turns):
        longest, shown = figures(turns, kind)
        print(shown)
        assert longest < PATIENCE_S
    assert max(sizes) < MOST_LOG_BYTES
    assert not place.log_of_database.exists() or place.log_of_database.stat().st_size == 0
    assert findings(place) == []
