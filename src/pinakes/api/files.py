"""Bytes behind signed links: `/files/{project}/{asset}/original|thumbnail|preview`.

What was uploaded is hostile. It is served with the type it was found to have, never sniffed, and in a sandbox without
scripts; what a browser could run as a page is only ever downloaded.
"""

import asyncio
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from pinakes import assets
from pinakes.api.http import Headers, Send, is_known
from pinakes.asset_types import Located
from pinakes.blobs import blob_key, preview_key, thumbnail_key
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.media import THUMBNAIL_SIZES

_SHOWN = re.compile(r"image/(png|jpeg|webp|gif|avif|tiff|bmp|heic)|video/.*|audio/.*")
_INLINE_BYTES = 256 << 10
_RANGE = re.compile(rb"bytes=(\d{0,40})-(\d{0,40})")  # `int` refuses thousands of digits
_SAFE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"accept-ranges", b"bytes"),
]


class InterruptedAnswer(Exception):  # noqa: N818 - no error of a request: the answer has begun, so it can only end early
    """The bytes could not be read on, after the answer had started."""


class File(NamedTuple):
    """Some stored bytes, and how they are to be served."""

    key: str
    size: int
    mime_type: str
    name: str
    etag: bytes


def find(library: Library, path: str, params: list[str], query: bytes) -> File:
    """The file that a link leads to. FORBIDDEN for a link that we did not sign or that has expired, else NOT_FOUND."""
    asked = dict(parse_qsl(query.decode("latin-1")))
    if not library.links.is_good(path, asked.get("expires", ""), asked.get("signature", "")):
        raise PinakesError("FORBIDDEN", "This link has expired or is not complete; ask the API for a new one.")
    stored = assets.locate(library, params[0], params[1])
    if params[2] == "original":
        etag = f'"{stored.sha256}"'.encode()
        return File(blob_key(stored.sha256), stored.size, stored.mime_type, stored.name, etag)
    if params[2] == "preview":
        return _picture(library, stored, preview_key(stored.sha256), "preview")
    size = asked.get("size", str(assets.THUMBNAIL_SIZE))
    if params[2] != "thumbnail" or size not in map(str, THUMBNAIL_SIZES):
        raise PinakesError("NOT_FOUND", f"There is no such file; thumbnails have the sizes {THUMBNAIL_SIZES}.")
    return _picture(library, stored, thumbnail_key(stored.sha256, int(size)), size)


def _picture(library: Library, stored: Located, key: str, which: str) -> File:
    length = library.blobs.size(key)
    if length is None:
        raise PinakesError("NOT_FOUND", f"This asset has no {'preview' if which == 'preview' else 'thumbnail'}.")
    etag = f'"{stored.sha256}-{which}"'.encode()
    return File(key, length, "image/webp", f"{stored.name}.webp", etag)


async def send_file(
    library: Library, file: File, request: dict[bytes, bytes], send: Send, is_head: bool, trace_id: str
) -> int:
    """Answer with the file, a range of it (206), or 304; the status. RANGE_NOT_SATISFIABLE for a range outside it."""
    headers = [
        *_SAFE,
        (b"etag", file.etag),
        (b"cache-control", b"private, max-age=3600, immutable"),
        (b"x-trace-id", trace_id.encode()),
    ]
    if is_known(file.etag, request):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return 304
    span = _span(request, file)
    start, end = span or (0, file.size)
    headers += [
        (b"content-type", _content_type(file.mime_type)),
        (b"content-disposition", _disposition(file)),
        (b"content-length", str(end - start).encode()),
    ]
    status = 200
    if span is not None:
        status = 206
        headers.append((b"content-range", f"bytes {start}-{end - 1}/{file.size}".encode()))
    # The first bytes are read before the answer starts, so that a file which is missing is still a clear error.
    chunks = iter(()) if is_head else library.blobs.stream(file.key, start, end)
    is_small = end - start <= _INLINE_BYTES
    chunk = next(chunks, b"") if is_small else await asyncio.to_thread(next, chunks, b"")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    try:
        while chunk and not is_small:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await asyncio.to_thread(next, chunks, b"")
    except PinakesError as error:
        raise InterruptedAnswer(error.message) from error
    await send({"type": "http.response.body", "body": chunk})
    return status


def _span(request: dict[bytes, bytes], file: File) -> tuple[int, int] | None:
    """The bytes asked for, half open; None for all. Several ranges, or a form we do not know, are all (RFC 9110)."""
    match = _RANGE.fullmatch(request.get(b"range", b""))
    if match is None or match[0] == b"bytes=-" or request.get(b"if-range", file.etag) != file.etag:
        return None
    if not match[1]:
        start, end = max(0, file.size - int(match[2])), file.size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else file.size, file.size)
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        raise PinakesError("RANGE_NOT_SATISFIABLE", f"The file has {file.size} bytes.", size=file.size)
    return start, end


def _content_type(mime_type: str) -> bytes:
    return f"{mime_type}; charset=utf-8".encode() if mime_type.startswith("text/") else mime_type.encode()


def _disposition(file: File) -> bytes:
    """RFC 6266: a plain name for old clients, the real one encoded."""
    how = "inline" if _SHOWN.fullmatch(file.mime_type) else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", file.name)[:150]
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name[:250], safe='')}".encode()
