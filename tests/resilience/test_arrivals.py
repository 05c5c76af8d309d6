"""Many clients that come at once, to a server that has others to answer."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from select import select

import httpx
import pytest
from servers import Server, make_place, serving

ARRIVE = 40
ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
END = b'{"status":"ok"}'
"""Of an answer, whose head may come before it."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(make_place(tmp_path)) as server:
        yield server


def test_who_is_there_is_not_answered_once_for_each_who_comes(server: Server) -> None:
    """The loop answers somebody who asks all the time once a turn, so that his answers count its turns."""
    address = ("127.0.0.1", httpx.URL(server.url).port or 0)
    with socket.create_connection(address) as regular:
        os.kill(server.process.pid, signal.SIGSTOP)
        arrived = [socket.create_connection(address) for _ in range(ARRIVE)]
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
