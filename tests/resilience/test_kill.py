"""A server that is killed while it writes: every answer it gave holds, and nothing is there by half."""

import base64
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import OpenDatabase, make_png
from servers import Place, Server, findings, make_place, ok, serving, start
from workers import Members, Names, Tags, Trash, Uploads, Worker

ROUNDS = 20
KINDS: tuple[type[Worker], ...] = (Members, Members, Trash, Tags, Names, Uploads, Uploads)
EACH = 120
PATIENCE_S = 30


@pytest.fixture
def place(tmp_path: Path, open_database: OpenDatabase) -> Iterator[Place]:
    with open_database() as url:
        yield make_place(tmp_path, EACH * len(KINDS), database_url=url)


def write_until_killed(server: Server, workers: list[Worker], seconds: float, is_patient: bool) -> None:
    """`is_patient`: wait first until each has written, because decoders take their time to start."""
    stop = threading.Event()
    before = [worker.writes for worker in workers]
    with ThreadPoolExecutor(len(workers)) as pool:
        running = [pool.submit(worker.run, server, stop) for worker in workers]
        until = time.monotonic() + PATIENCE_S
        while is_patient and any(worker.writes == n for worker, n in zip(workers, before, strict=True)):
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(seconds)
        server.kill()
        for one in running:
            one.result()


@pytest.mark.timeout(300)
def test_killed_again_and_again(place: Place) -> None:
    workers = [kind(number) for number, kind in enumerate(KINDS)]
    server = start(place, access_log="false")
    try:
        with server.client() as client:
            for worker in workers:
                worker.prepare(client, place.asset_ids[worker.number * EACH :][:EACH])
        for number in range(ROUNDS):
            write_until_killed(server, workers, random.Random(number).uniform(0.1, 0.9), number % 4 == 0)
            server = start(place, access_log="false")
            with server.client() as client:
                for worker in workers:
                    worker.compare(client)
            assert findings(place) == [], number
    finally:
        server.kill()
    # The test has seen something only if every kind of write was done, and answers were lost.
    assert all(worker.writes for worker in workers)
    assert sum(worker.in_flight for worker in workers) >= ROUNDS


def test_a_killed_server_leaves_no_decoders(place: Place) -> None:
    with serving(place) as server, server.client() as client:
        image = base64.b64encode(make_png(31, 33)).decode()
        ok(client.post("/assets", json={"name": "p.png", "image": image}))
        threads = Path(f"/proc/{server.process.pid}/task").iterdir()
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
        assert children
        server.kill()
        until = time.monotonic() + 10
        while any(is_running(child) for child in children):
            assert time.monotonic() < until
            time.sleep(0.05)


def is_running(pid: str) -> bool:
    """Whether there is such a process, other than one that only waits to be reaped."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
