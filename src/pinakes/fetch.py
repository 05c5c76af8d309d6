"""Files of the internet, by a URL that a stranger gave.

The danger is a server that asks its own network on somebody's behalf. So every hop (the URL, and each redirect) looks
its host up once, refuses it unless every address is public, and connects to an address that was checked: a name that
changes its mind a moment later changes nothing. No proxy and no credentials of the environment are ever used.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx
import msgspec

from pinakes.addresses import resolve
from pinakes.errors import PinakesError, bad_request

MOST_REDIRECTS = 5
MOST_URL = 8192
STALL_LIMIT_S = 30.0
"""Longest wait for a connection, or for the next byte."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_NAME_BYTES = 255
_MOST_HEADER = 4096
_LOWEST_PORT = 1024
_HOST = re.compile(rb"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_HEADERS = [(b"User-Agent", b"pinakes"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity")]


class Fetched(msgspec.Struct, frozen=True):
    """What was fetched. `url` is where it was found in the end; `file_name` is clean, and never empty."""

    file_name: str
    content_type: str
    size: int
    url: str


def fetch(
    url: str,
    sink: Callable[[bytes], object],
    *,
    max_bytes: int,
    time_limit_s: float,
    private_hosts: tuple[str, ...] = (),
) -> Fetched:
    """Give `sink` the bytes of a URL piece by piece, never more than `max_bytes`, and say what they are.

    BAD_REQUEST naming `url` for whatever goes wrong, on the way too; the sink may have had bytes by then. What the sink
    raises ends the transfer. `private_hosts` are names and networks (CIDR) that may be asked though not public.
    """
    way = _Way(time.monotonic() + time_limit_s, private_hosts)
    here = _parsed(url)
    for _ in range(MOST_REDIRECTS + 1):
        with _explained(here, way), _answer(here, way) as answer:
            headers = _headers(answer)
            if answer.status not in _REDIRECTS:
                _check(here, answer.status, headers, max_bytes)
                size = _pour(answer, sink, max_bytes)
                return Fetched(_file_name(here, headers), _content_type(headers), size, str(here))
        here = _next(here, headers)
    raise bad_request("url", f"it redirects more than {MOST_REDIRECTS} times; give the link it ends at")


def _parsed(url: str) -> httpx.URL:
    """The URL, taken apart once: what is checked is what is asked."""
    if len(url) > MOST_URL:
        raise bad_request("url", f"must have at most {MOST_URL} characters, got {len(url)}")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise bad_request("url", "this is no URL; give one such as https://example.com/picture.png") from None
    if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.raw_host):
        raise bad_request("url", "must begin with https:// or http:// and a host")
    if parsed.userinfo:
        raise bad_request("url", "must not hold a user name or password; give a link that works without")
    if _port(parsed) not in (80, 443) and _port(parsed) < _LOWEST_PORT:
        raise bad_request("url", f"the port must be 80, 443, or {_LOWEST_PORT} and more, got {_port(parsed)}")
    return parsed.copy_with(fragment=None)


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80


def _next(here: httpx.URL, headers: dict[str, str]) -> httpx.URL:
    """Where a redirect leads, which has to pass like the first URL."""
    try:
        target = str(here.join(headers.get("location", "")))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        target = ""
    if not headers.get("location") or not target:
        raise bad_request("url", f"{here.host} redirects to nowhere; give the link it should end at")
    there = _parsed(target)
    if here.scheme == "https" and there.scheme == "http":
        raise bad_request("url", f"{here.host} redirects from https to http, where anyone could change the file")
    return there


@contextmanager
def _answer(url: httpx.URL, way: "_Way") -> Iterator[httpcore.Response]:
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=_port(url), target=url.raw_path)
    context = httpx.create_ssl_context() if url.scheme == "https" else None
    waits = dict.fromkeys(("connect", "read", "write"), STALL_LIMIT_S)
    headers = [(b"Host", url.netloc), *_HEADERS]
    with (
        httpcore.HTTPConnection(target.origin, context, network_backend=way) as connection,
        connection.stream("GET", target, headers=headers, extensions={"timeout": waits}) as answer,
    ):
        yield answer


def _headers(answer: httpcore.Response) -> dict[str, str]:
    """Header fields by their small name; of those that come twice, the last. What is not UTF-8 is Latin-1."""
    return {name.decode("ascii").lower(): _decoded(value) for name, value in answer.headers}


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _check(here: httpx.URL, status: int, headers: dict[str, str], max_bytes: int) -> None:
    if status != 200:
        advice = "try again later" if status >= 500 or status == 429 else "give a link that opens without signing in"
        raise bad_request("url", f"{here.host} answered {status}; {advice}", status=status)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise bad_request(
            "url", f"{here.host} sends it compressed ({encoding[:40]}) though not asked to; upload the file"
        )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _pour(answer: httpcore.Response, sink: Callable[[bytes], object], max_bytes: int) -> int:
    """How many bytes the sink had. httpcore refuses an answer that ends before its length is reached."""
    size = 0
    for chunk in answer.iter_stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        sink(chunk)
    return size


def _too_large(max_bytes: int) -> PinakesError:
    return bad_request("url", f"the file is larger than the {max_bytes} bytes that are taken", maxBytes=max_bytes)


@contextmanager
def _explained(here: httpx.URL, way: "_Way") -> Iterator[None]:
    """What the network does, as an error that says what to do."""
    try:
        yield
    except httpcore.TimeoutException:
        reason = "the time limit passed" if way.left() <= 0 else f"nothing came for {STALL_LIMIT_S:.0f} seconds"
        raise bad_request("url", f"{here.host} is too slow: {reason}; try again, or upload the file instead") from None
    except httpcore.ConnectError as error:
        is_tls = "SSL" in str(error) or "certificate" in str(error)
        reason = "has no certificate that can be trusted" if is_tls else "takes no connection"
        raise bad_request("url", f"{here.host} {reason}; check the link, or try again later") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise bad_request("url", f"{here.host} broke off, or does not speak HTTP; try again") from error


class _Way(httpcore.NetworkBackend):
    """Connections to checked addresses alone, until the deadline, a time of the monotonic clock."""

    def __init__(self, deadline: float, private_hosts: tuple[str, ...]) -> None:
        self._deadline = deadline
        self._private_hosts = private_hosts
        self._sockets = httpcore.SyncBackend()

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def wait(self, most: float | None) -> float:
        """How long to wait for the next thing. TimeoutException once the deadline has passed."""
        left = self.left()
        if left <= 0:
            raise httpcore.ReadTimeout
        return min(left, STALL_LIMIT_S if most is None else most)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        *firsts, last = resolve(host, port, self._private_hosts)
        for address in firsts:
            try:
                return _Stream(self._sockets.connect_tcp(address, port, self.wait(timeout), local_address), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next may be reachable, for instance on a machine without IPv6
        return _Stream(self._sockets.connect_tcp(last, port, self.wait(timeout), local_address, socket_options), self)


class _Stream(httpcore.NetworkStream):
    """A connection no step of which outlives the deadline of its way."""

    def __init__(self, stream: httpcore.NetworkStream, way: _Way) -> None:
        self._stream = stream
        self._way = way

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._way.wait(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._way.wait(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._way.wait(timeout)), self._way)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _content_type(headers: dict[str, str]) -> str:
    """The type without parameters, as the server claims it."""
    claimed = headers.get("content-type", "").partition(";")[0].strip().lower()
    return claimed if _TYPE.fullmatch(claimed) else "application/octet-stream"


def _file_name(url: httpx.URL, headers: dict[str, str]) -> str:
    """The name that the server gives the file, else the last part of the path, else of the host."""
    disposition = headers.get("content-disposition", "")[:_MOST_HEADER]
    candidates = (_told_name(disposition), url.path, url.host)
    return next(filter(None, map(_clean, candidates)), "file")


def _told_name(disposition: str) -> str:
    """The name in a Content-Disposition (RFC 6266): the one that may hold any character before the plain one."""
    if extended := _EXTENDED.search(disposition):
        return unquote(extended[1])
    message = Message()
    message["content-disposition"] = disposition
    return message.get_filename("")


def _clean(name: str) -> str:
    """A name that is a plain file's on any system, and shows as what it is; nothing of a name that is all path."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if not kept.strip("."):
        return ""
    stem, dot, ending = kept.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = kept, "", ""
    room = _MOST_NAME_BYTES - len(f"{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending
