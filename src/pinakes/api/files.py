"""Bytes behind signed links: `/files/{project}/{id}/{variant}`.

Of an asset `original`, `download` (the same to be saved), `thumbnail`, `preview`, and the formats that its picture was
converted to; of a model `model`, its file; of a download `archive`, a ZIP that is put together while it is sent.

What was uploaded is hostile. It is served with the type it was found to have, never sniffed, and in a sandbox without
scripts; what a browser could run as a page is only ever downloaded.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from pinakes import archives, assets, downloads
from pinakes.api.call import Threads
from pinakes.api.http import Headers, Receive, Send, is_known
from pinakes.asset_types import Located
from pinakes.blobs import blob_key, converted_key, preview_key, thumbnail_key
from pinakes.download_types import CONVERTED
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.media import THUMBNAIL_SIZES

VARIANTS = ("original", "download", "thumbnail", "preview", *CONVERTED, "model", "archive")
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
    """Some bytes, how to read a span of them, and how they are to be served.

    `is_lasting`: they never change. What does is made of many files, and never read on the event loop.
    """

    read: Callable[[int, int], Iterator[bytes]]
    size: int
    mime_type: str
    name: str
    etag: bytes
    is_saved: bool = False
    is_lasting: bool = True


async def find(library: Library, threads: Threads, path: str, params: list[str], query: bytes) -> File:
    """The file that a link leads to. FORBIDDEN for a link that we did not sign or that has expired, else NOT_FOUND."""
    asked = dict(parse_qsl(query.decode("latin-1")))
    if not library.links.is_good(path, asked.get("expires", ""), asked.get("signature", "")):
        raise PinakesError("FORBIDDEN", "This link has expired or is not complete; ask the API for a new one.")
    project_id, id, variant = params
    if variant == "archive":
        return await threads.scan(partial(_archive, library, project_id, id))
    return await threads.look(partial(_found, library, project_id, id, variant, asked))


def _found(library: Library, project_id: str, id: str, variant: str, asked: dict[str, str]) -> File:
    if variant == "model":
        model = downloads.locate_model(library, project_id, id)
        return _blob(library, Located(model.sha256, model.size, model.mime_type, model.name), is_saved=True)
    if variant == "download" or variant in CONVERTED:
        return _download(library, project_id, id, variant)
    stored = assets.locate(library, project_id, id)
    if variant == "original":
        return _blob(library, stored)
    if variant == "preview":
        return _made(library, stored, preview_key(stored.sha256), "preview")
    size = asked.get("size", str(assets.THUMBNAIL_SIZE))
    if variant != "thumbnail" or size not in map(str, THUMBNAIL_SIZES):
        raise PinakesError("NOT_FOUND", f"There is no such file; thumbnails have the sizes {THUMBNAIL_SIZES}.")
    return _made(library, stored, thumbnail_key(stored.sha256, int(size)), size)


def _blob(library: Library, stored: Located, is_saved: bool = False) -> File:
    read = partial(library.blobs.stream, blob_key(stored.sha256))
    return File(read, stored.size, stored.mime_type, stored.name, f'"{stored.sha256}"'.encode(), is_saved)


def _made(library: Library, stored: Located, key: str, which: str) -> File:
    """A picture that was made of an asset."""
    length = library.blobs.size(key)
    if length is None:
        raise PinakesError("NOT_FOUND", f"This asset has no {'preview' if which == 'preview' else 'thumbnail'}.")
    etag = f'"{stored.sha256}-{which}"'.encode()
    return File(partial(library.blobs.stream, key), length, "image/webp", f"{stored.name}.webp", etag)


def _download(library: Library, project_id: str, id: str, variant: str) -> File:
    stored = downloads.locate(library, project_id, id)
    if variant == "download":
        name = downloads.file_name(library, stored, stored.format)
        return _blob(library, Located(stored.sha256, stored.size, stored.mime_type, name), is_saved=True)
    key = converted_key(stored.sha256, variant)
    length = library.blobs.size(key)
    if length is None:
        raise PinakesError("NOT_FOUND", f"This asset has not been converted to {variant}; ask for its download again.")
    name, etag = downloads.file_name(library, stored, variant), f'"{stored.sha256}-{variant}"'.encode()
    return File(partial(library.blobs.stream, key), length, library.media.mime_type_of(variant), name, etag, True)


def _archive(library: Library, project_id: str, job_id: str) -> File:
    name, entries = downloads.locate_archive(library, project_id, job_id)

    def read(start: int, end: int) -> Iterator[bytes]:
        return archives.part(archives.stream(entries, _whole), start, end)

    def _whole(sha256: str, size: int) -> Iterator[bytes]:
        return library.blobs.stream(blob_key(sha256), 0, size)

    etag = f'"{archives.tag(entries)}"'.encode()
    return File(read, archives.size(entries), "application/zip", name, etag, is_saved=True, is_lasting=False)


async def send_file(
    file: File, request: dict[bytes, bytes], receive: Receive, send: Send, is_head: bool, trace_id: str
) -> int:
    """Answer with the file, a range of it (206), or 304; the status. RANGE_NOT_SATISFIABLE for a range outside it."""
    headers = [
        *_SAFE,
        (b"etag", file.etag),
        (b"cache-control", b"private, max-age=3600, immutable" if file.is_lasting else b"private, no-cache"),
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
    begin = {"type": "http.response.start", "status": status, "headers": headers}
    # The first bytes are read before the answer starts, so that a file which is missing is still a clear error.
    if is_head or (file.is_lasting and end - start <= _INLINE_BYTES):
        body = b"" if is_head else b"".join(file.read(start, end))
        await send(begin)
        await send({"type": "http.response.body", "body": body})
    else:
        chunks = file.read(start, end)
        first = await asyncio.to_thread(next, chunks, None)
        await send(begin)
        await _send_chunks(first, chunks, receive, send)
    return status


async def _send_chunks(chunk: bytes | None, chunks: Iterator[bytes], receive: Receive, send: Send) -> None:
    """Send what comes until there is no more, or the client is gone: nothing is read for nobody."""
    gone = asyncio.create_task(_until_gone(receive))
    try:
        while chunk is not None and not gone.done():
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await asyncio.to_thread(next, chunks, None)
    except PinakesError as error:
        raise InterruptedAnswer(error.message) from error
    finally:
        gone.cancel()
    if chunk is None:
        await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
    how = "inline" if _SHOWN.fullmatch(file.mime_type) and not file.is_saved else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", file.name)[:150]
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name[:250], safe='')}".encode()
