"""HTTP/1.1 below the application: what no application gets to see is bounded and answered here, and what it sends held
back for a moment."""

import asyncio
import secrets
from collections.abc import Collection
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pinakes.api.http import error_answer
from pinakes.errors import PinakesError

MOST_HEAD_BYTES = 65_536
_MOST_HELD_BYTES = 65_536
_FEW = 3
"""So many clients are better off without waiting."""


class Outbox:
    """Sends the answers that were made in a turn of the event loop together, in the next.

    Each time the kernel sends something, much of what the processor had learned of the interpreter is lost. To make
    many answers and then send them takes a quarter less time than to make and send one after another.
    """

    def __init__(self) -> None:
        self._waiting: list[_Held] = []

    def put(self, held: "_Held", loop: asyncio.AbstractEventLoop) -> None:
        """Have it flushed in the next turn."""
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(held)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for held in waiting:
            held.flush()


class _Held(asyncio.Transport):
    """What is written to a connection, until it is flushed: head and body of an answer leave as one.

    `requests` are the tasks of all that is being answered.
    """

    __slots__ = ("_bytes", "_loop", "_outbox", "_parts", "_requests", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        outbox: Outbox,
        loop: asyncio.AbstractEventLoop,
        requests: Collection[asyncio.Task[None]],
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._loop = loop
        self._requests = requests
        self._parts: list[bytes | bytearray | memoryview] = []
        self._bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._parts:
            if len(self._requests) <= _FEW:
                self._transport.write(data)
                return
            self._outbox.put(self, self._loop)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > _MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Let the connection have what was written. It may have ended meanwhile, and then nobody waits for it."""
        parts, self._parts, self._bytes = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Protocol(HttpToolsProtocol):
    """Says in the one shape of errors that something is not HTTP, and takes no endless request line, header or trailer.

    The parser joins the pieces of one header by copying all of them each time, so that one long header from anybody,
    without a key, would hold the event loop for minutes.
    """

    transport: _Held

    def __init__(self, *args: Any, outbox: Outbox, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outbox = outbox
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _Held(transport, self._outbox, self.loop, self.tasks)

    def eof_received(self) -> None:
        """What was answered is for a client that sends no more, but may still listen. The connection ends then."""
        self.transport.flush()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # a head was complete
            self._head_bytes = 0
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request line and headers are longer than {MOST_HEAD_BYTES} bytes.")

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        trace_id = secrets.token_hex(11)
        _, headers, body = error_answer(PinakesError("BAD_REQUEST", f"This is not good HTTP/1.1. {msg}"), trace_id)
        headers += [(b"x-trace-id", trace_id.encode()), (b"content-length", str(len(body)).encode())]
        lines = [b"%b: %b\r\n" % header for header in [*headers, (b"connection", b"close")]]
        self.transport.write(b"".join([b"HTTP/1.1 400 Bad Request\r\n", *lines, b"\r\n", body]))
        self.transport.close()
