"""A wire to a store that counts the requests which go over it."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """`requests` are their methods and what each is about: an upload in pieces has several."""

    def __init__(self, endpoint: str) -> None:
        self._to = urlsplit(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []

    def serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._to.hostname or "", self._to.port or 80)) as store:
            threading.Thread(target=_relay, args=(store, client), daemon=True).start()
            with client.makefile("rb") as requests, suppress(OSError):
                while (line := requests.readline()) != b"":
                    head = [line]
                    while head[-1] not in (b"\r\n", b""):
                        head.append(requests.readline())
                    self.requests.append(_about(line))
                    store.sendall(b"".join(head))
                    left = next((int(one[15:]) for one in head if one.lower().startswith(b"content-length:")), 0)
                    while left:
                        chunk = requests.read(min(left, 1 << 16))
                        store.sendall(chunk)
                        left -= len(chunk)
            with suppress(OSError):
                store.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def taken(self) -> str:
        """The requests since this was asked last, such as `2 GET, 1 PUT`."""
        taken, self.requests = Counter(self.requests), []
        return ", ".join(f"{taken[name]} {name}" for name in sorted(taken))


def _relay(store: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while chunk := store.recv(1 << 16):
            client.sendall(chunk)
        client.shutdown(socket.SHUT_RDWR)


def _about(line: bytes) -> str:
    """`GET`, `PUT`, `LIST`, and of an upload in pieces `BEGIN`, `PIECE`, `END`."""
    method, target, _ = line.decode().split(" ")
    query = urlsplit(target).query
    if "list-type" in query:
        return "LIST"
    if query.partition("=")[0] == "uploads":
        return "BEGIN"
    if "uploadId" in query:
        return {"PUT": "PIECE", "POST": "END", "DELETE": "ABORT"}[method]
    return "DELETE" if method == "POST" and "delete" in query else method


@contextmanager
def wire_to(endpoint: str) -> Iterator[Wire]:
    wire = Wire(endpoint)
    thread = threading.Thread(target=wire.serve, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        wire.close()
        thread.join()
