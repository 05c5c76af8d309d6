"""Starting and stopping: what was received is answered, and a start that cannot work says why in one line."""

import base64
import queue
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import OpenDatabase, make_png
from servers import (
    STOP_LIMIT_S,
    Place,
    Server,
    command,
    environment,
    findings,
    make_place,
    ok,
    serving,
    start,
    walk,
)

STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def place(tmp_path: Path, open_database: OpenDatabase) -> Iterator[Place]:
    with open_database() as url:
        yield make_place(tmp_path, database_url=url)


def fails_to_start(place: Place, *options: str, **settings: object) -> str:
    """The one line that a start which cannot work leaves on stderr."""
    env = environment(**{"database_url": place.database_url} | settings)
    done = subprocess.run(command(place.data, *options), env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, 70), done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def is_folded(place: Place) -> bool:
    """Whether all of the log is in the database; that of PostgreSQL is its own."""
    return bool(place.database_url) or not place.log_of_database.exists() or place.log_of_database.stat().st_size == 0


@pytest.mark.parametrize("how", STOPS)
def test_stopped_under_write_load(place: Place, how: signal.Signals) -> None:
    """Connections that are idle are closed; a request that was being worked on is answered."""
    confirmed: list[str] = []
    refused: list[str] = []

    def write(server: Server, number: int) -> None:
        with server.client() as client:
            for made in range(100_000):
                name = f"{number}-{made}"
                try:
                    ok(client.post("/collections", json={"name": name}))
                except httpx.TransportError:
                    refused.append(name)
                    return
                confirmed.append(name)

    with serving(place, access_log="false") as server, ThreadPoolExecutor(8) as pool:
        running = [pool.submit(write, server, number) for number in range(8)]
        until = time.monotonic() + 60
        while len(confirmed) <= 50:  # a busy machine takes its time
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.stop(how) == 0
        for one in running:
            one.result()
    assert is_folded(place)
    assert len(refused) == 8
    with serving(place) as again, again.client() as client:
        names = {one["name"] for one in walk(client, "collections")}
    assert names >= set(confirmed)
    assert names - set(confirmed) <= set(refused)
    assert findings(place) == []


@pytest.mark.parametrize("how", STOPS)
def test_a_request_that_is_still_arriving_is_answered(place: Place, how: signal.Signals) -> None:
    body = b'{"name":"slow"}'
    token = base64.b64encode(":".join(place.auth).encode())
    head = b"POST /v1/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %b\r\nContent-Length: %d\r\n\r\n"
    with serving(place) as server, socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0)) as slow:
        slow.sendall(head % (token, len(body)) + body[:5])
        time.sleep(0.3)
        server.process.send_signal(how)
        time.sleep(1)
        with pytest.raises(httpx.ConnectError), server.client() as client:
            client.get("/collections")
        slow.sendall(body[5:])
        slow.settimeout(10)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(10) == 0
    with serving(place) as again, again.client() as client:
        assert [one["name"] for one in walk(client, "collections")] == ["slow"]


def test_uploads_under_way_are_finished(place: Place) -> None:
    """Two are decoded at a time; the signal comes when the first is answered."""
    body = {"name": "large.png", "image": base64.b64encode(make_png(12_000, 12_000)).decode()}
    answers: queue.Queue[int] = queue.Queue()

    def upload(server: Server) -> None:
        with server.client() as client:
            answers.put(client.post("/assets", json=body).status_code)

    with serving(place) as server, ThreadPoolExecutor(6) as pool:
        running = [pool.submit(upload, server) for _ in range(6)]
        first = answers.get()
        server.process.send_signal(signal.SIGTERM)
        assert not all(one.done() for one in running)
        assert [first, *(answers.get() for _ in range(5))] == [200] * 6
        assert server.process.wait(STOP_LIMIT_S) == 0
    assert is_folded(place)
    with serving(place) as again, again.client() as client:
        assert len(walk(client, "assets")) == 6
    assert findings(place) == []


def test_a_client_that_never_goes_on_does_not_keep_it(place: Place) -> None:
    head = b"POST /v1/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %b\r\nContent-Length: 20\r\n\r\n"
    token = base64.b64encode(":".join(place.auth).encode())
    with serving(place) as server, socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0)) as stuck:
        stuck.sendall(head % token)
        time.sleep(0.3)
        begun = time.monotonic()
        assert server.stop() == 0
        assert 5 < time.monotonic() - begun < 20
        assert stuck.recv(65536).startswith(b"HTTP/1.1 503")
    assert is_folded(place)
    assert "Traceback" not in place.log.read_text()


@pytest.mark.engine("sqlite")
def test_the_port_is_taken(place: Place, tmp_path: Path) -> None:
    other = make_place(tmp_path / "other")
    with serving(place) as server:
        port = str(httpx.URL(server.url).port)
        assert port in fails_to_start(other, "--port", port)
        with server.client() as client:
            ok(client.get("/collections"))


def test_a_wrong_setting_names_itself(place: Place) -> None:
    assert "PINAKES_TRASH_DAYS" in fails_to_start(place, trash_days="soon")
    assert "PINAKES_TRASHDAYS" in fails_to_start(place, trashdays="30")
    assert "--max-pixels" in fails_to_start(place, "--max-pixels", "0")


@pytest.mark.engine("sqlite")
def test_a_folder_that_cannot_be(place: Place, tmp_path: Path) -> None:
    """Root may write anywhere, so a file takes the folder's place."""
    file = tmp_path / "file"
    file.write_text("in the way")
    assert str(file) in fails_to_start(place, "--data", str(file))
    assert str(file) in fails_to_start(place, "--data", str(file / "below"))
    assert "blob" in fails_to_start(place, "--blob-url", (file / "blobs").as_uri())
    assert file.read_text() == "in the way"


@pytest.mark.engine("sqlite")
def test_a_file_that_is_no_database(place: Place, tmp_path: Path) -> None:
    odd = tmp_path / "odd.db"
    odd.write_text("no database " * 1000)
    assert "database" in fails_to_start(place, "--database-url", f"sqlite:///{odd}")


@pytest.mark.engine("sqlite")
def test_two_servers_on_one_folder(place: Place) -> None:
    """SQLite lets both write; each sees at once what the other did."""
    with serving(place) as one, serving(place) as two, one.client() as here, two.client() as there:
        made = ok(here.post("/collections", json={"name": "here"}))["collection"]
        assert ok(there.get(f"/collections/{made['id']}"))["collection"] == made
        ok(there.delete(f"/collections/{made['id']}"))
        assert here.get(f"/collections/{made['id']}").status_code == 404
        assert one.stop() == 0
        ok(there.post("/collections", json={"name": "there"}))
        assert two.stop() == 0
    assert is_folded(place)


def test_a_start_that_is_stopped(place: Place) -> None:
    """A signal at any moment of starting leaves a library that works."""
    for delay in (0.05, 0.3, 0.6, 0.9):
        env = environment(database_url=place.database_url)
        process = subprocess.Popen(command(place.data), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.terminate()
        process.wait(20)
    server = start(place)
    assert server.stop() == 0
    server.kill()
    assert findings(place) == []
