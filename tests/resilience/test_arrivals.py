"""Many clients that come at once, and are answered together."""

import base64
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator
from http.client import parse_headers
from pathlib import Path
from select import select

import httpx
import pytest
from servers import Server, make_place, new_collection, serving

ARRIVE = 40
ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
END = b'{"status":"ok"}'
"""Of an answer, whose head may come before it."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(make_place(tmp_path)) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), 10)


def ask(server: Server, method: str, path: str, etag: str = "") -> bytes:
    token = base64.b64encode(":".join(server.place.auth).encode()).decode()
    condition = f"If-None-Match: {etag}\r\n" if etag else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n{condition}\r\n".encode()


def answers(connection: socket.socket, *methods: str) -> list[tuple[int, bytes]]:
    """Those to requests of these methods, in order."""
    found = []
    with connection.makefile("rb") as reader:
        for method in methods:
            status = int(reader.readline().split()[1])
            length = int(parse_headers(reader).get("content-length", 0))
            found.append((status, b"" if method == "HEAD" else reader.read(length)))
    return found


def test_many_at_once_each_get_their_own_answers_in_order(server: Server) -> None:
    """Long ones and such without a body among them, several requests of each on their way at a time."""
    with server.client() as client:
        ids = [new_collection(client, "\U0001f332" * 128) for _ in range(100)]
        etag = client.get(f"/collections/{ids[0]}").headers["etag"]
    wanted = ("GET", "/v1/collections?pageSize=100", ""), ("HEAD", f"/v1/collections/{ids[1]}", "")
    connections = [connect(server) for _ in range(ARRIVE)]
    os.kill(server.process.pid, signal.SIGSTOP)
    for number, one in enumerate(connections):
        own = ("GET", f"/v1/collections/{ids[number]}", ""), ("GET", f"/v1/collections/{ids[0]}", etag)
        one.sendall(b"".join(ask(server, *what) for what in (own[0], *wanted, own[1], own[0])))
    os.kill(server.process.pid, signal.SIGCONT)
    for number, one in enumerate(connections):
        first, page, head, known, last = answers(one, "GET", "GET", "HEAD", "GET", "GET")
        assert first == last
        assert json.loads(first[1])["collection"]["id"] == ids[number]
        assert len(page[1]) > 65_536
        assert [found["id"] for found in json.loads(page[1])["collections"]] == ids[::-1]
        assert (head, known) == ((200, b""), (304, b""))
        one.close()


def test_who_left_keeps_nobody_waiting(server: Server) -> None:
    """Some end their connections without waiting for an answer, at the same moment as others ask."""
    with server.client() as client:
        id = new_collection(client)
    for _ in range(5):
        connections = [connect(server) for _ in range(ARRIVE)]
        os.kill(server.process.pid, signal.SIGSTOP)
        for number, one in enumerate(connections):
            one.sendall(ask(server, "GET", f"/v1/collections/{id}") * 2)
            if number % 2:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
                one.close()
        os.kill(server.process.pid, signal.SIGCONT)
        for one in connections[::2]:
            assert [status for status, _ in answers(one, "GET", "GET")] == [200, 200]
            one.close()
    assert server.stop() == 0
    log = server.place.log.read_text()
    assert "Traceback" not in log
    assert "error" not in log


@pytest.mark.parametrize("count", [1, 10, ARRIVE])
def test_who_says_that_no_more_comes_is_answered(server: Server, count: int) -> None:
    """As with `nc -N`, and some proxies: the end of what they send comes right after the request."""
    connections = [connect(server) for _ in range(count)]
    os.kill(server.process.pid, signal.SIGSTOP)
    for one in connections:
        one.sendall(ASK)
        one.shutdown(socket.SHUT_WR)
    os.kill(server.process.pid, signal.SIGCONT)
    for one in connections:
        assert answers(one, "GET") == [(200, END)]
        one.close()


def test_who_is_there_is_not_answered_once_for_each_who_comes(server: Server) -> None:
    """The loop answers somebody who asks all the time once a turn, so that his answers count its turns."""
    with connect(server) as regular:
        os.kill(server.process.pid, signal.SIGSTOP)
        arrived = [connect(server) for _ in range(ARRIVE)]
        for one in (*arrived, regular):
            one.sendall(ASK)
        os.kill(server.process.pid, signal.SIGCONT)
        waiting, turns = set(arrived), 0
        while waiting:
            for ready in select([*waiting, regular], [], [], 10)[0]:
                if not ready.recv(65536).endswith(END):
                    continue
                if ready is regular:
                    turns += 1
                    regular.sendall(ASK)
                else:
                    waiting.discard(ready)
        for one in arrived:
            one.close()
    assert turns < ARRIVE / 2
