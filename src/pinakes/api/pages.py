"""Everything outside `/v1` and `/files`: health, metrics, the description of the API and its page."""

import asyncio
from typing import Any

from pinakes import __version__
from pinakes.api import docs, openapi
from pinakes.api.authorization import authenticate
from pinakes.api.call import Threads
from pinakes.api.http import JSON, Headers, encode
from pinakes.api.observe import Observer
from pinakes.api.routes import Route
from pinakes.errors import PinakesError
from pinakes.library import Library

Answer = tuple[str, int, Headers, bytes]

_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Pages:
    """Answers by path."""

    def __init__(self, library: Library, routes: list[Route], observer: Observer) -> None:
        self._library = library
        self._observer = observer
        self._openapi = encode(openapi.describe(routes))
        self._docs = docs.files()
        self._answers = {
            "/": self._index,
            "/healthz": self._health,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._description,
        }

    async def answer(self, path: str, method: str, headers: dict[bytes, bytes], threads: Threads) -> Answer:
        """NOT_FOUND, METHOD_NOT_ALLOWED for anything but reading, UNAUTHORIZED for metrics that need a key."""
        name = path.removesuffix("/") or "/"
        if name not in self._answers and name not in self._docs:
            raise PinakesError("NOT_FOUND", f"There is nothing at {path}; GET /openapi.json lists what there is.")
        if method == "OPTIONS":
            return name, 200, [JSON, (b"allow", b"GET, HEAD, OPTIONS")], b"{}"
        if method not in ("GET", "HEAD"):
            raise PinakesError(
                "METHOD_NOT_ALLOWED", f"This path does not take {method}; it is read.", allow="GET, HEAD, OPTIONS"
            )
        if name in self._docs:
            shown, body = self._docs[name]
            if b"gzip" not in headers.get(b"accept-encoding", b""):
                shown, body = docs.unpacked(shown, body)
            return "/docs", 200, list(shown), body
        if name == "/metrics" and not self._library.config.metrics_public:
            await authenticate(self._library, threads, headers.get(b"authorization", b""), None)
        return await self._answers[name](name)

    async def _index(self, name: str) -> Answer:
        links: dict[str, Any] = {"name": "Pinakes", "version": __version__, "api": "/v1", "docs": "/docs"}
        return name, 200, [JSON], encode(links)

    async def _health(self, name: str) -> Answer:
        return name, 200, [JSON], b'{"status":"ok"}'

    async def _ready(self, name: str) -> Answer:
        await asyncio.to_thread(self._library.ready)
        return name, 200, [JSON], b'{"status":"ready"}'

    async def _metrics(self, name: str) -> Answer:
        return name, 200, [_TEXT], await asyncio.to_thread(self._observer.metrics)

    async def _description(self, name: str) -> Answer:
        return name, 200, [JSON], self._openapi
