"""`--workers N`: one address and one first key, none missed that dies, none left that should have stopped."""

import base64
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import make_png, new_database
from crews import behind, is_there, one_client_each, wait_for, worker_of, workers
from servers import Place, Server, command, environment, make_place, new_collection, ok, serving, walk

from local.postgres import PostgresServer

STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_database("postgres", request) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, url: str) -> Place:
    return make_place(tmp_path, database_url=url)


@pytest.fixture
def server(place: Place, url: str) -> Iterator[Server]:
    with serving(place, database_url=url, workers=2) as server:
        yield server


def test_one_url_and_one_first_key(tmp_path: Path, postgres: PostgresServer) -> None:
    """Also when all of them start on a database that is empty."""
    with postgres.fresh() as url:
        place = Place(tmp_path / "library", "", "", "", [])
        said = []
        for _ in range(2):
            process = subprocess.Popen(
                command(place.data), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=environment(database_url=url, workers=3),
            )  # fmt: skip
            assert process.stdout
            said.append(json.loads(process.stdout.readline()))
            wait_for(lambda process=process: len(psutil.Process(process.pid).children()) == 3)  # type: ignore[misc]
            process.terminate()
            rest, _ = process.communicate(timeout=30)
            assert (rest, process.returncode) == ("", 0)
        first, second = said
        assert first.keys() == {"url", "apiKey", "apiSecret", "projectId"}
        assert second.keys() == {"url"}
        listed = subprocess.run(
            [*command(place.data)[:3], "key", "list", "--database-url", url], capture_output=True, text=True
        )
        assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == [first["apiKey"]]


def test_connections_are_spread(server: Server) -> None:
    """Whoever comes; 64 of them end up as uneven as 16 and 48 once in 30,000 runs."""
    there = [HTTPConnection("127.0.0.1", httpx.URL(server.url).port) for _ in range(64)]
    found: Counter[str] = Counter()
    for connection in there:
        connection.request("GET", "/healthz")
        found[(connection.getresponse().headers["x-trace-id"] or "")[:12]] += 1
    for connection in there:
        connection.close()
    assert len(found) == 2
    assert min(found.values()) > 16, found


def test_who_dies_is_replaced_and_the_others_go_on(server: Server) -> None:
    before = workers(server)
    stop = threading.Event()

    def go_on(client: httpx.Client) -> Counter[str]:
        """Requests on one connection that is kept, and on ever new ones, of which the doomed worker may hold one."""
        done: Counter[str] = Counter()
        while not stop.is_set():
            ok(client.get("/collections"))
            done["kept"] += 1
            try:
                assert httpx.get(f"{server.url}/healthz").status_code == 200
            except httpx.TransportError:
                done["lost"] += 1
            else:
                done["new"] += 1
        return done

    with one_client_each(server, 2) as (doomed, other), ThreadPoolExecutor(1) as pool:
        running = pool.submit(go_on, other)
        time.sleep(0.2)
        killed = behind(doomed.get("/collections"), server)
        killed.kill()
        wait_for(lambda: not is_there(killed) and len(workers(server)) == 2, 10)
        its_own = worker_of(other.get("/collections"))
        wait_for(lambda: worker_of(httpx.get(f"{server.url}/healthz")) != its_own, 5)
        stop.set()
        done = running.result()
        assert done["kept"] > 2
        assert done["new"] > 2
        assert done["lost"] <= 1
    assert len({*before, *workers(server)}) == 3
    assert '"worker died"' in server.place.log.read_text()
    assert server.stop() == 0


@pytest.mark.parametrize("how", STOPS)
def test_stopped_while_they_work(server: Server, how: signal.Signals) -> None:
    """What each of them is at is answered; no process is left."""
    children = workers(server)
    body = {"name": "large.png", "image": base64.b64encode(make_png(9_000, 9_000)).decode()}
    with one_client_each(server, 2) as clients, ThreadPoolExecutor(2) as pool:
        running = [pool.submit(client.post, "/assets", json=body) for client in clients]
        time.sleep(0.5)
        assert server.stop(how) == 0
        assert [one.result().status_code for one in running] == [200, 200]
    assert not any(is_there(child) for child in children)
    assert "Traceback" not in server.place.log.read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_client_that_never_goes_on_does_not_keep_them(server: Server) -> None:
    token = base64.b64encode(":".join(server.place.auth).encode())
    head = b"POST /v1/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %b\r\nContent-Length: 20\r\n\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0)) as stuck:
        stuck.sendall(head % token)
        time.sleep(0.3)
        begun = time.monotonic()
        assert server.stop() == 0
        assert 5 < time.monotonic() - begun < 20
        assert stuck.recv(65536).startswith(b"HTTP/1.1 503")


def test_none_outlives_the_parent(server: Server, url: str) -> None:
    """Which is killed, and tells nobody. What they are at is answered, and the address is free again."""
    children = workers(server)
    with server.client() as client:
        new_collection(client, "before")
        server.kill()
        wait_for(lambda: not any(is_there(child) for child in children), 5)
    port = str(httpx.URL(server.url).port)
    with serving(server.place, "--port", port, workers=2, database_url=url) as again, again.client() as client:
        assert [one["name"] for one in walk(client, "collections")] == ["before"]


def test_metrics_that_a_killed_parent_left_are_removed_by_the_next(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not those of one that runs, however long."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folders: list[Path] = []
    for _ in range(2):
        with serving(place, workers=2, database_url=url) as server:
            children = workers(server)
            (new,) = set(tmp_path.glob("pinakes-metrics-*")) - set(folders)
            os.utime(new, (0, 0))
            with serving(place, workers=2, database_url=url) as other:
                assert new.exists()
                assert not any(folder.exists() for folder in folders)
                assert other.stop() == 0
            folders.append(new)
            server.kill()
            wait_for(lambda children=children: not any(is_there(child) for child in children))  # type: ignore[misc]
    assert [folder.exists() for folder in folders] == [False, True]


def refused(place: Place, *options: str, **settings: object) -> str:
    """The one line that a start which cannot work leaves on stderr."""
    done = subprocess.run(
        command(place.data, *options), env=environment(**settings), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


def test_what_only_one_process_can_serve(tmp_path: Path, url: str) -> None:
    place = Place(tmp_path / "library", "", "", "", [])
    assert "workers: SQLite takes one writer" in refused(place, "--workers", "2")
    assert "PostgreSQL" in refused(place, workers=2, database_url=f"sqlite:///{tmp_path}/a.db")
    assert "workers: each process would have a memory://" in refused(
        place, workers=2, database_url=url, blob_url="memory:///"
    )
    assert not place.data.exists()


def test_a_start_that_cannot_work_says_why_once(place: Place, url: str, server: Server) -> None:
    port = str(httpx.URL(server.url).port)
    assert port in refused(place, "--port", port, workers=2, database_url=url)
    assert port in refused(place, "--port", port)
    nowhere = "postgresql://postgres@127.0.0.1:1/nowhere"
    assert "database" in refused(place, workers=2, database_url=nowhere)
    taken = place.data.with_suffix(".file")
    taken.write_text("in the way")
    assert "blob" in refused(place, workers=2, database_url=url, blob_url=(taken / "blobs").as_uri())


def test_a_start_that_is_stopped(place: Place, url: str) -> None:
    """A signal at any moment of starting ends all of them."""
    for delay in (0.1, 0.6, 1.0, 1.4, 1.8):
        process = subprocess.Popen(
            command(place.data),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(database_url=url, workers=2),
        )
        time.sleep(delay)
        children = psutil.Process(process.pid).children()
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert not any(is_there(child) for child in children)
