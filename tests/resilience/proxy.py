"""A proxy between a client and a server that loses answers, is busy, or is slow, when told to."""

import http.client
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple

import httpx
from servers import Server

Fault = Literal["lost", "busy", "late"]
"""The answer of the server is lost and the connection with it; 503 without asking the server; an answer too late."""


class Try(NamedTuple):
    """One request as it came; `answer` is what the server said to it, if it was asked."""

    method: str
    path: str
    repeat: str | None
    status: int | None
    answer: bytes


class Proxy(NamedTuple):
    """The next requests meet the next `faults`, one each. `ended` lets go of the answers that are held back."""

    url: str
    faults: deque[Fault]
    tries: list[Try]
    ended: threading.Event


@contextmanager
def proxy_before(server: Server) -> Iterator[Proxy]:
    """A proxy on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listener:
        url = f"http://127.0.0.1:{listener.server_address[1]}/v1"
        proxy = Proxy(url, deque(), [], threading.Event())
        listener.proxy, listener.upstream = proxy, httpx.URL(server.url)  # type: ignore[attr-defined]
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            listener.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Each connection carries one request, so that closing it loses one answer."""

    protocol_version = "HTTP/1.0"
    server: Any

    def _pass_on(self) -> None:
        proxy: Proxy = self.server.proxy
        fault = proxy.faults.popleft() if proxy.faults else None
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        repeat = self.headers.get("x-stainless-retry-count")
        if fault == "busy":
            proxy.tries.append(Try(self.command, self.path, repeat, None, b""))
            self._answer(503, b'{"reason": "busy"}', {"retry-after-ms": "20"})
            return
        upstream = http.client.HTTPConnection(self.server.upstream.host, self.server.upstream.port)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        answer = response.read()
        upstream.close()
        proxy.tries.append(Try(self.command, self.path, repeat, response.status, answer))
        if fault == "lost":
            return
        if fault == "late":
            proxy.ended.wait()
            return
        self._answer(response.status, answer, {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is in `tries`."""
