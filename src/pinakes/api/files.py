"""Bytes behind signed links: `/files/{project}/{id}/{variant}`.

Of an asset `original`, `download` (the same to be saved), `thumbnail`, `preview`, and the formats that its picture was
converted to; of a model `model`, its file; of a download `archive`, a ZIP that is put together while it is sent.

What was uploaded is hostile. It is served with the type it was found to have, never sniffed, and in a sandbox without
scripts; what a browser could run as a page is only ever downloaded.

Where the store sends files itself (`blob_links`), a link leads on to it, with the same type and the same care.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar
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
_MOST_STORE_NAME = 100
"""Longest name in a link to the store, in which each character may take twelve."""
_ONWARD_S = 600
"""For how long a browser may remember where a link leads on to, which is good for longer."""
_READERS = ThreadPoolExecutor(32, thread_name_prefix="files")
"""Threads of their own: files that a store sends slowly must not keep lists and health checks waiting."""

T = TypeVar("T")
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

    `is_lasting`: they never change. What does is made of many files, and never read on the event loop; nor is what
    lies across a network, which is not `is_near`. `onward` is where the store sends them itself, by method. `load` has
    them all, and their size, when nothing is known of them yet.
    """

    read: Callable[[int, int], Iterator[bytes]]
    size: int
    mime_type: str
    name: str
    etag: bytes
    is_saved: bool = False
    is_lasting: bool = True
    is_near: bool = True
    onward: Callable[[str], str | None] = lambda _: None
    load: Callable[[], bytes] | None = None


async def find(library: Library, threads: Threads, path: str, params: list[str], query: bytes) -> File:
    """The file that a link leads to. FORBIDDEN for a link that we did not sign or that has expired, else NOT_FOUND."""
    asked = dict(parse_qsl(query.decode("latin-1")))
    if not library.links.is_good(path, asked.get("expires", ""), asked.get("signature", "")):
        raise PinakesError("FORBIDDEN", "This link has expired or is not complete; ask the API for a new one.")
    project_id, id, variant = params
    if variant == "archive":
        return await threads.scan(partial(_archive, library, project_id, id))
    if variant == "model":
        model = await threads.look(partial(downloads.locate_model, library, project_id, id))
        return _blob(library, Located(model.sha256, model.size, model.mime_type, model.name), is_saved=True)
    if variant == "download" or variant in CONVERTED:
        return await _download(library, threads, project_id, id, variant)
    stored = await threads.look(partial(assets.locate, library, project_id, id))
    if variant == "original":
        return _blob(library, stored)
    if variant == "preview":
        return _made(library, stored, preview_key(stored.sha256), "preview")
    size = asked.get("size", str(assets.THUMBNAIL_SIZE))
    if variant != "thumbnail" or size not in map(str, THUMBNAIL_SIZES):
        raise PinakesError("NOT_FOUND", f"There is no such file; thumbnails have the sizes {THUMBNAIL_SIZES}.")
    return _made(library, stored, thumbnail_key(stored.sha256, int(size)), size)


def _blob(library: Library, stored: Located, is_saved: bool = False) -> File:
    etag = f'"{stored.sha256}"'.encode()
    return _stored(library, blob_key(stored.sha256), stored.size, stored.mime_type, stored.name, etag, is_saved)


def _made(library: Library, stored: Located, key: str, which: str) -> File:
    """A picture that was made of an asset. Across a network it is read at once: to ask for its size takes as long."""
    length = library.blobs.size(key) if library.blobs.is_local else 0
    if length is None:
        raise _none_made(which)
    etag = f'"{stored.sha256}-{which}"'.encode()
    file = _stored(library, key, length, "image/webp", f"{stored.name}.webp", etag)
    return file if library.blobs.is_local else file._replace(load=partial(_load, library, key, which))


def _load(library: Library, key: str, which: str) -> bytes:
    try:
        return library.blobs.read(key)
    except PinakesError as error:
        raise (_none_made(which) if error.code == "NOT_FOUND" else error) from error


def _none_made(which: str) -> PinakesError:
    return PinakesError("NOT_FOUND", f"This asset has no {'preview' if which == 'preview' else 'thumbnail'}.")


async def _download(library: Library, threads: Threads, project_id: str, id: str, variant: str) -> File:
    stored = await threads.look(partial(downloads.locate, library, project_id, id))
    if variant == "download":
        name = downloads.file_name(library, stored, stored.format)
        return _blob(library, Located(stored.sha256, stored.size, stored.mime_type, name), is_saved=True)
    key = converted_key(stored.sha256, variant)
    length = await _size(library, key)
    if length is None:
        raise PinakesError("NOT_FOUND", f"This asset has not been converted to {variant}; ask for its download again.")
    name, etag = downloads.file_name(library, stored, variant), f'"{stored.sha256}-{variant}"'.encode()
    return _stored(library, key, length, library.media.mime_type_of(variant), name, etag, True)


def _stored(
    library: Library, key: str, size: int, mime_type: str, name: str, etag: bytes, is_saved: bool = False
) -> File:
    blobs = library.blobs

    def onward(method: str) -> str | None:
        disposition = _disposition(mime_type, name[:_MOST_STORE_NAME], is_saved)
        return blobs.link(key, method, _content_type(mime_type).decode(), disposition.decode())

    read = partial(blobs.stream, key)
    return File(read, size, mime_type, name, etag, is_saved, is_near=blobs.is_local, onward=onward)


async def _size(library: Library, key: str) -> int | None:
    """The bytes under a key, or None. Where the store sends them itself it is left to it to miss them: 0."""
    if library.config.blob_links == "direct":
        return 0
    return library.blobs.size(key) if library.blobs.is_local else await _in_thread(library.blobs.size, key)


async def _in_thread(read: Callable[..., T], *args: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(_READERS, read, *args)


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
    if (onward := file.onward("HEAD" if is_head else "GET")) is not None:
        return await _send_onward(onward, send, trace_id)
    if file.load is not None:
        data = await _in_thread(file.load)
        file = file._replace(read=lambda start, end: iter([data[start:end]]), size=len(data), is_near=True)
    span = _span(request, file)
    start, end = span or (0, file.size)
    headers += [
        (b"content-type", _content_type(file.mime_type)),
        (b"content-disposition", _disposition(file.mime_type, file.name, file.is_saved)),
        (b"content-length", str(end - start).encode()),
    ]
    status = 200
    if span is not None:
        status = 206
        headers.append((b"content-range", f"bytes {start}-{end - 1}/{file.size}".encode()))
    begin = {"type": "http.response.start", "status": status, "headers": headers}
    # The first bytes are read before the answer starts, so that a file which is missing is still a clear error.
    if is_head or (file.is_lasting and file.is_near and end - start <= _INLINE_BYTES):
        body = b"" if is_head else b"".join(file.read(start, end))
        await send(begin)
        await send({"type": "http.response.body", "body": body})
    else:
        chunks, first = await _in_thread(_begun, file, start, end)
        await send(begin)
        await _send_chunks(first, chunks, receive, send)
    return status


def _begun(file: File, start: int, end: int) -> tuple[Iterator[bytes], bytes | None]:
    chunks = file.read(start, end)
    return chunks, next(chunks, None)


async def _send_onward(link: str, send: Send, trace_id: str) -> int:
    """307: what was asked for is at another address, and is to be asked for there in the same way."""
    headers = [
        (b"location", link.encode()),
        (b"cache-control", f"private, max-age={_ONWARD_S}".encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"content-length", b"0"),
        (b"x-trace-id", trace_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return 307


async def _send_chunks(chunk: bytes | None, chunks: Iterator[bytes], receive: Receive, send: Send) -> None:
    """Send what comes until there is no more, or the client is gone: nothing is read for nobody."""
    gone = asyncio.create_task(_until_gone(receive))
    try:
        while chunk is not None and not gone.done():
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await _in_thread(next, chunks, None)
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


def _disposition(mime_type: str, name: str, is_saved: bool) -> bytes:
    """RFC 6266: a plain name for old clients, the real one encoded."""
    how = "inline" if _SHOWN.fullmatch(mime_type) and not is_saved else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:150]
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name[:250], safe='')}".encode()
