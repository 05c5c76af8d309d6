"""Another process writes for longer than the server waits: changes are refused for a while, nothing else happens."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import Place, findings, make_place, new_collection, ok, serving, walk

HOLD = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(5000)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM collection").fetchall()
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@contextmanager
def held(place: Place, begin: str) -> Iterator[None]:
    """Another process in a transaction: with the write lock (`BEGIN IMMEDIATE`) or a snapshot (`BEGIN`)."""
    command = [sys.executable, "-c", HOLD, str(place.database), begin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(10) == 0


def test_locked_for_longer_than_the_server_waits(place: Place) -> None:
    with serving(place, busy_timeout_s=1) as server, server.client() as client:
        collection_id = new_collection(client)
        path = f"/collections/{collection_id}"
        with held(place, "BEGIN IMMEDIATE"), ThreadPoolExecutor(5) as pool:
            begun = time.monotonic()
            writing = [pool.submit(client.put, path, json={"name": f"name {n}"}) for n in range(5)]
            reads = 0
            while not all(one.done() for one in writing):
                assert ok(client.get(path))["collection"]["name"] == "A collection"
                reads += 1
            assert 0.9 < time.monotonic() - begun < 8
            assert reads > 20
            for one in writing:
                response = one.result()
                error = response.json()
                assert response.status_code == error["statusCode"] == 503
                assert response.headers["retry-after"] == "1"
                assert (error["status"], error["code"]) == ("error", "UNAVAILABLE")
                assert error["reason"] == error["message"]
                assert "busy" in error["reason"]
                assert error["traceId"] == response.headers["x-trace-id"]
            assert client.get(f"{server.url}/healthz").status_code == 200
            assert client.get(f"{server.url}/readyz").status_code == 200
        assert ok(client.get(path))["collection"]["name"] == "A collection"
        assert ok(client.put(path, json={"name": "healed"}))["collection"]["name"] == "healed"
    assert findings(place) == []


def test_locked_for_less_than_the_server_waits(place: Place) -> None:
    """Writes wait, and succeed."""
    with serving(place, busy_timeout_s=5) as server, server.client() as client, ThreadPoolExecutor(4) as pool:
        with held(place, "BEGIN IMMEDIATE"):
            writing = [pool.submit(client.post, "/collections", json={"name": f"{n}"}) for n in range(4)]
            time.sleep(0.7)
            assert not any(one.done() for one in writing)
        for one in writing:
            ok(one.result())
        assert len(walk(client, "collections")) == 4


def test_locked_while_it_stops(place: Place) -> None:
    """It does not hang, and what it could not write it has refused."""
    with (
        serving(place, busy_timeout_s=1) as server,
        server.client() as client,
        ThreadPoolExecutor(1) as pool,
        held(place, "BEGIN IMMEDIATE"),
    ):
        writing = pool.submit(client.post, "/collections", json={"name": "late"})
        time.sleep(0.3)
        assert server.stop() == 0
        assert writing.result().status_code == 503
    assert findings(place) == []


def test_a_command_beside_a_long_reader_holds_up_no_write(place: Place) -> None:
    """Folding the log as it ends must not wait for the reader, because all writers would wait with it."""
    with serving(place, busy_timeout_s=2) as server, server.client() as client, ThreadPoolExecutor(1) as pool:
        path = f"/collections/{new_collection(client)}"
        with held(place, "BEGIN"):
            ok(client.put(path, json={"name": "newer than what is read"}))
            listing = [sys.executable, "-m", "pinakes", "key", "list", "--data", str(place.data)]
            command = pool.submit(subprocess.run, listing, capture_output=True, timeout=60)
            longest = 0.0
            while not command.done():
                begun = time.monotonic()
                ok(client.put(path, json={"name": "again"}))
                longest = max(longest, time.monotonic() - begun)
            assert command.result().returncode == 0
            assert longest < 1.5
    assert findings(place) == []
