"""The ASGI application: finds the route, the actor and the verb, and turns the outcome into an answer.

Written against ASGI itself. Starlette's request, response and routing objects cost about half of a small read
(docs/decisions/0004-plain-asgi-core.md); its middleware, and everything else around the hot path, is used as it is.
"""

import asyncio
import itertools
import secrets
import time
from contextlib import nullcontext
from functools import partial
from typing import Any

import msgspec

from pinakes import access, rates
from pinakes.api import assets, collections, downloads, files, mlmodels, projects, search, tags, uploads
from pinakes.api.authorization import Doorman, Letter, check_origin, project_of
from pinakes.api.call import Call, Threads
from pinakes.api.cors import Cors
from pinakes.api.http import (
    JSON,
    Headers,
    Receive,
    Scope,
    Send,
    check_json,
    encode,
    error_answer,
    parse_body,
    parse_query,
    read_body,
)
from pinakes.api.limits import RateLimit, UploadMemory
from pinakes.api.observe import Observer
from pinakes.api.pages import Pages
from pinakes.api.parts import PartReceiver
from pinakes.api.routes import Route, Router, allowed, wrong_method
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.worker import Worker

ROUTES: list[Route] = [
    *collections.routes.all,
    *assets.routes.all,
    *downloads.routes.all,
    *mlmodels.routes.all,
    *tags.routes.all,
    *search.routes.all,
    *uploads.routes.all,
    *projects.routes.all,
]
PREFIX = "/v1"
_BELOW = f"{PREFIX}/"

_BASE64_GROWTH = 1.4
_UPLOADS_IN_MEMORY = 4
_OF_KEYS = frozenset({"keys.write", "projects.write"})
_SAID_TO_ALL = frozenset({"UNAUTHORIZED", "UNAVAILABLE"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNED = {"/files": "GET, HEAD, OPTIONS", "/uploads": "PUT, OPTIONS"}
"""Where signed links lead, and what is taken there."""


def build(library: Library) -> Any:
    """The application for a library, with CORS when origins are configured."""
    app: Any = App(library)
    origins = library.config.cors_origins
    if origins:
        app = Cors(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "X-Trace-Id"],
            max_age=86400,
        )
    return app


class App:
    """One library over HTTP."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._router = Router(ROUTES)
        self._observer = Observer(library)
        self._pages = Pages(library, ROUTES, self._observer)
        self._limit = RateLimit(library.config.rate_limit)
        self._upload_limit = int(library.config.max_upload_bytes * _BASE64_GROWTH) + 65536
        self._upload_memory = UploadMemory(self._upload_limit * _UPLOADS_IN_MEMORY)
        self._public_url = library.config.public_url
        self._worker = Worker(library)
        self._threads: Threads
        self._parts: PartReceiver
        self._doorman: Doorman
        self._traces = itertools.count()
        self._trace_prefix = secrets.token_hex(6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._threads = Threads(self._library)
        self._parts = PartReceiver(self._library, self._threads)
        self._doorman = Doorman(self._library, self._threads)
        self._worker.start()
        rate = partial(rates.exchange, self._library, self._library.config.rate_limit)
        often = [asyncio.create_task(do) for do in (self._observer.measure_often(), self._limit.share(rate))]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in often:
            task.cancel()
        self._worker.stop()
        self._threads.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        trace_id = f"{self._trace_prefix}{next(self._traces):010x}"
        method, name, is_head = scope["method"], "", scope["method"] == "HEAD"
        path = scope["raw_path"].decode("latin-1")
        headers: Headers
        try:
            if path.startswith(_BELOW):
                name, methods, params = self._find(path[len(PREFIX) :])
                status, headers, body = await self._call(methods, params, method, scope, receive)
            elif method == "OPTIONS" and (name := path[: path.find("/", 1)]) in _SIGNED:
                status, headers, body = 200, [JSON, (b"allow", _SIGNED[name].encode())], b"{}"
            elif path.startswith("/uploads/"):
                name = "/uploads"
                status, headers, body = await self._part(path, scope, receive)
            elif path.startswith("/files/"):
                name = "/files"
                status = await self._file(path, scope, receive, send, is_head, trace_id)
                self._observer.saw(method, name, status, started, trace_id)
                return
            else:
                name, status, headers, body = await self._pages.answer(
                    path, method, dict(scope["headers"]), self._threads
                )
        except files.InterruptedAnswer:
            raise  # uvicorn logs it and ends the connection, which tells the client that the file is not whole
        except asyncio.CancelledError:
            if name == "/files":
                raise  # the answer may have begun
            error = PinakesError("UNAVAILABLE", "The server stops, and waits no longer; try again shortly.")
            status, headers, body = error_answer(error, trace_id)
        except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer in the one shape
            status, headers, body = error_answer(self._observer.as_ours(error, trace_id), trace_id)
        headers.append((b"x-trace-id", trace_id.encode()))
        if status == 304:
            body = b""
        else:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if is_head else body})
        self._observer.saw(method, name, status, started, trace_id, path)

    def _find(self, path: str) -> tuple[str, dict[str, Route], list[str]]:
        found = self._router.find(path)
        if found is None:
            where = f"There is nothing at {PREFIX}{path}; GET /openapi.json lists what there is."
            raise PinakesError("NOT_FOUND", where)
        return found

    async def _call(
        self, methods: dict[str, Route], params: list[str], method: str, scope: Scope, receive: Receive
    ) -> tuple[int, Headers, bytes]:
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            if method == "OPTIONS":
                return 200, [JSON, (b"allow", allowed(methods).encode())], b"{}"
            raise wrong_method(methods, method)
        headers = dict(scope["headers"])
        if method not in _SAFE:
            check_origin(headers, self._library.config.cors_origins)
        letter = self._letter(scope, headers)
        # What an upload sends is stored before the writer confirms who it is from.
        known = None if route.is_upload and not route.is_read else self._doorman.recognize(letter)
        if known is None:
            known = await self._doorman.admit(letter)
        looks = self._threads.looks
        call: Call[Any, Any] = Call(self._library, self._threads, known.actor, params, headers)
        try:
            self._limit.take(known.actor.key_id)
            access.require(known.actor, route.scope)
            call.query = parse_query(route.query, scope["query_string"])
            if route.decoder is None:
                answer = await route.handler(call)
            else:
                answer = await self._run(route, route.decoder, call, receive)
        except PinakesError as error:
            # Nobody else hears what is wrong with what they asked.
            if error.code not in _SAID_TO_ALL and not self._doorman.is_sure(known, self._threads.looks != looks):
                await self._doorman.confirm(letter, route.scope)
            raise
        if route.is_read and not self._doorman.is_sure(known, self._threads.looks != looks):
            await self._doorman.confirm(letter, route.scope)
        if route.scope in _OF_KEYS:
            self._doorman.forget()
        return call.reply_status, [JSON, *call.reply_headers], encode(answer)

    async def _run(
        self, route: Route, decoder: msgspec.json.Decoder[Any], call: Call[Any, Any], receive: Receive
    ) -> msgspec.Struct:
        with self._upload_memory.hold(self._most_bytes(call.headers)) if route.is_upload else nullcontext():
            call.body = await self._body(route, decoder, receive, call.headers)
            return await route.handler(call)

    def _most_bytes(self, headers: dict[bytes, bytes]) -> int:
        """How large the body of an upload may get."""
        length = headers.get(b"content-length", b"")
        return min(int(length), self._upload_limit) if length.isdigit() else self._upload_limit

    def _letter(self, scope: Scope, headers: dict[bytes, bytes]) -> Letter:
        """What a request says of who sends it, before anything else of it is looked at."""
        host = headers.get(b"host")
        origin = self._public_url or (f"{scope['scheme']}://{host.decode('latin-1')}" if host else "")
        return headers.get(b"authorization", b""), project_of(scope["query_string"]), origin

    async def _body(
        self, route: Route, decoder: msgspec.json.Decoder[Any], receive: Receive, headers: dict[bytes, bytes]
    ) -> Any:
        limit = self._upload_limit if route.is_upload else self._library.config.max_body_bytes
        raw = await read_body(receive, headers, limit)
        if not raw.strip():
            if route.needs_body:
                raise PinakesError("BAD_REQUEST", "This call needs a JSON body.", field="body")
            raw = b"{}"
        else:
            check_json(headers)
        return parse_body(decoder, raw)

    async def _part(self, path: str, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        if len(path.split("/")) != 5:
            raise PinakesError("NOT_FOUND", f"There is nothing at {path}.")
        if scope["method"] != "PUT":
            raise PinakesError("METHOD_NOT_ALLOWED", "Parts of uploads take PUT.", allow=_SIGNED["/uploads"])
        return await self._parts.put(path, scope["query_string"], dict(scope["headers"]), receive)

    async def _file(self, path: str, scope: Scope, receive: Receive, send: Send, is_head: bool, trace_id: str) -> int:
        params = path.split("/")[2:]
        if len(params) != 3:
            raise PinakesError("NOT_FOUND", f"There is nothing at {path}.")
        if scope["method"] not in ("GET", "HEAD"):
            raise PinakesError("METHOD_NOT_ALLOWED", "Files take GET and HEAD.", allow=_SIGNED["/files"])
        file = await files.find(self._library, self._threads, path, params, scope["query_string"])
        return await files.send_file(file, dict(scope["headers"]), receive, send, is_head, trace_id)
