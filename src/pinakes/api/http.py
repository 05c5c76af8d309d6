"""What a request says and what an answer looks like: queries, bodies, conditions, errors."""

import functools
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from pinakes import errors
from pinakes.errors import Code, PinakesError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
S = TypeVar("S", bound=msgspec.Struct)

STATUS: dict[Code, tuple[int, str, str]] = {
    "BAD_REQUEST": (400, "BadRequestError", "Bad Request"),
    "UNAUTHORIZED": (401, "UnauthorizedError", "Unauthorized"),
    "FORBIDDEN": (403, "ForbiddenError", "Forbidden"),
    "NOT_FOUND": (404, "NotFoundError", "Not Found"),
    "METHOD_NOT_ALLOWED": (405, "MethodNotAllowedError", "Method Not Allowed"),
    "GONE": (410, "GoneError", "Gone"),
    "PRECONDITION_FAILED": (412, "PreconditionFailedError", "Precondition Failed"),
    "PAYLOAD_TOO_LARGE": (413, "PayloadTooLargeError", "Content Too Large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "UnsupportedMediaTypeError", "Unsupported Media Type"),
    "RANGE_NOT_SATISFIABLE": (416, "RangeNotSatisfiableError", "Range Not Satisfiable"),
    "PRECONDITION_REQUIRED": (428, "PreconditionRequiredError", "Precondition Required"),
    "TOO_MANY_REQUESTS": (429, "TooManyRequestsError", "Too Many Requests"),
    "INTERNAL": (500, "InternalError", "Internal Server Error"),
    "UNAVAILABLE": (503, "UnavailableError", "Service Unavailable"),
}
"""Status, `name` and `error` of each code. There is no 409: the SDK would try it again."""

JSON = (b"content-type", b"application/json")
encode = msgspec.json.Encoder().encode


class ErrorAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Every 4xx and 5xx. `message` equals `reason`."""

    status: str
    status_code: int
    code: str
    name: str
    error: str
    reason: str
    message: str
    details: dict[str, Any]
    trace_id: str


class Empty(msgspec.Struct, frozen=True):
    """`{}`, the answer of a delete."""


def error_answer(error: PinakesError, trace_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error."""
    status, name, title = STATUS[error.code]
    message = error.message
    body = ErrorAnswer("error", status, error.code, name, title, message, message, error.details, trace_id)
    return status, [JSON, *_error_headers(error)], encode(body)


def _error_headers(error: PinakesError) -> Headers:
    """What HTTP wants said in headers too, out of the details."""
    details = error.details
    match error.code:
        case "UNAUTHORIZED":
            return _challenges(details)
        case "METHOD_NOT_ALLOWED":
            return [(b"allow", details["allow"].encode())]
        case "RANGE_NOT_SATISFIABLE":
            return [(b"content-range", f"bytes */{details['size']}".encode())]
        case "TOO_MANY_REQUESTS" | "UNAVAILABLE":
            return [(b"retry-after", str(details.get("retryAfter", 1)).encode())]
    return []


def _challenges(details: dict[str, Any]) -> Headers:
    """The ways to say who one is; what is wrong with a token, as RFC 6750 has it."""
    found = [(b"www-authenticate", b'Basic realm="Pinakes", charset="UTF-8"')]
    if "error" in details:
        found.append((b"www-authenticate", f'Bearer realm="Pinakes", error="{details["error"]}"'.encode()))
    elif "Bearer" in details.get("schemes", ()):
        found.append((b"www-authenticate", b'Bearer realm="Pinakes"'))
    return found


def is_known(etag: bytes, headers: dict[bytes, bytes]) -> bool:
    """Whether If-None-Match says that the client has this version already."""
    known = headers.get(b"if-none-match", b"")
    return etag in known or known.strip() == b"*"


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """The whole body. PAYLOAD_TOO_LARGE before more than `limit` bytes are held."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise PinakesError("BAD_REQUEST", "The connection ended before the body did.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> PinakesError:
    return PinakesError("PAYLOAD_TOO_LARGE", f"The body is larger than the {limit} bytes this server takes.")


def check_json(headers: dict[bytes, bytes]) -> None:
    """UNSUPPORTED_MEDIA_TYPE for a body that says it is something else than JSON; saying nothing is fine."""
    kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        shown = kind.decode("latin-1")
        raise PinakesError("UNSUPPORTED_MEDIA_TYPE", f"Send the body as application/json, not as {shown!r}.")


def parse_body(decoder: msgspec.json.Decoder[S], body: bytes) -> S:
    """A body as its struct. BAD_REQUEST that names the field, or the byte where the JSON breaks."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PinakesError("BAD_REQUEST", f"The body is not valid JSON: {error}", field="body") from None


def parse_query(kind: type[S], raw: bytes) -> S:
    """A query string as its struct. Arrays come as `types=a,b`, `types=a&types=b` or `types[]=a&types[]=b`.

    BAD_REQUEST that names the parameter, or for a query beyond all reason. Unknown parameters are ignored.
    """
    if len(raw) <= _CACHED_QUERY_BYTES:
        cached: S = _parse_cached(kind, raw)
        return cached
    if len(raw) > _MOST_QUERY_BYTES:
        raise errors.bad_request("query", f"must have at most {_MOST_QUERY_BYTES} bytes, got {len(raw)}")
    return _parse(kind, raw)


def _parse(kind: type[S], raw: bytes) -> S:
    arrays = _array_fields(kind)
    values: dict[str, Any] = {}
    for spelled, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"):
        name = spelled.removesuffix("[]")
        if name not in arrays:
            values[name] = value
        elif name == spelled:
            values.setdefault(name, []).extend(part for part in value.split(",") if part)
        else:
            values.setdefault(name, []).append(value)
    try:
        query = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(str(error)) from None
    for name, spelled in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        if spelled in values and getattr(query, name) is None:
            # Where text is converted, `null` passes for no value, and a filter would quietly not filter.
            raise errors.bad_request(spelled, f"{values[spelled]!r} is none of its values; leave it out for none")
    return query


_parse_cached = functools.lru_cache(maxsize=1024)(_parse)  # a pure function that makes frozen structs


@functools.cache
def _array_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    hints = get_type_hints(kind)
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    return frozenset(names[name] for name, hint in hints.items() if name in names and _is_array(hint))


def _is_array(hint: Any) -> bool:
    return get_origin(hint) in (list, tuple) or any(_is_array(part) for part in get_args(hint))


_CACHED_QUERY_BYTES = 256
_MOST_QUERY_BYTES = 8192
_AT_FIELD = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`(?: - at `\$\.?(?P<path>[^`]*)`)?$")


def wrong_field(text: str) -> PinakesError:
    """A message of msgspec as a BAD_REQUEST of ours, which starts with the field."""
    if missing := _MISSING.match(text):
        parent = f"{missing['path']}." if missing["path"] else ""
        return errors.bad_request(parent + missing["name"], "this field is required")
    if found := _AT_FIELD.match(text):
        return errors.bad_request(found["path"] or "body", _in_words(found["what"]))
    return errors.bad_request("body", _in_words(text))


def _in_words(what: str) -> str:
    return what.replace("`", "").replace("Expected ", "expected ", 1)
