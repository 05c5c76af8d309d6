"""HTTP/1.1 below the application: what no application gets to see is bounded and answered here."""

import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pinakes.api.http import error_answer
from pinakes.errors import PinakesError

MOST_HEAD_BYTES = 65_536


class Protocol(HttpToolsProtocol):
    """Says in the one shape of errors that something is not HTTP, and takes no endless request line, header or trailer.

    The parser joins the pieces of one header by copying all of them each time, so that one long header from anybody,
    without a key, would hold the event loop for minutes.
    """

    _head_bytes = 0

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
