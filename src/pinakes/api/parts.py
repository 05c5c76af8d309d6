"""Parts of uploads, PUT to signed links `/uploads/{project}/{upload}/{number}` and stored as they arrive."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

from pinakes import uploads
from pinakes.api.call import Threads
from pinakes.api.http import JSON, Headers, Receive, encode
from pinakes.errors import PinakesError, bad_request
from pinakes.library import Library
from pinakes.parts import PartWriter
from pinakes.upload_types import StoredPart

STALL_LIMIT_S = 60.0
"""Longest wait for the next bytes of a part."""

_PIECE = 1 << 20


class _Target(NamedTuple):
    project_id: str
    upload_id: str
    number: int
    most_bytes: int
    likely_bytes: int


class PartReceiver:
    """Takes parts; each holds about 3 MiB while it comes in, whatever its size, and 20 on its way to an object store.

    Those of one project that come in at once leave room for those of others.
    """

    def __init__(self, library: Library, threads: Threads) -> None:
        self._library = library
        self._threads = threads
        self._room = asyncio.Semaphore(library.parts.at_once)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def put(
        self, path: str, query: bytes, headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[int, Headers, bytes]:
        """Answers with the part once it is durable. FORBIDDEN for a link that is not ours, or has expired.

        BAD_REQUEST for a part that was cut off, stalled, or is not what Content-MD5 or x-amz-checksum-sha256 says;
        PAYLOAD_TOO_LARGE for one that is more than the whole file.
        """
        target = await self._find(path, query, headers)
        share = self._shares.setdefault(target.project_id, asyncio.Semaphore(self._library.parts.at_once // 2))
        async with share, self._room:
            part = await self._store(target, headers, receive)
        await self._note(target, part)
        return 200, [JSON, (b"etag", f'"{part.sha256}"'.encode())], encode(part)

    async def _note(self, target: _Target, part: StoredPart) -> None:
        """Nothing stays that is no part: this one if it is refused, else what it replaces."""
        upload = self._library, target.project_id, target.upload_id
        unwanted: StoredPart | None = part
        try:
            unwanted = await self._threads.write(lambda: uploads.add_part(*upload, part), (target.upload_id,))
        finally:
            if unwanted is not None:
                drop = partial(uploads.drop_part, *upload, unwanted)
                await self._threads.part(self._library.store.attempt, drop)  # not among others, that may be undone

    async def _find(self, path: str, query: bytes, headers: dict[bytes, bytes]) -> _Target:
        asked = dict(parse_qsl(query.decode("latin-1")))
        if not self._library.links.is_good(path, asked.get("expires", ""), asked.get("signature", "")):
            raise PinakesError("FORBIDDEN", "This link has expired or is not complete; GET the upload for a new one.")
        project_id, upload_id, number = path.split("/")[2:]
        most = await self._threads.look(partial(uploads.part_size_limit, self._library, project_id, upload_id, number))
        length = headers.get(b"content-length", b"")
        likely = int(length) if length.isdigit() else most
        if likely > most:
            raise _too_large(most)
        return _Target(project_id, upload_id, int(number), most, likely)

    async def _store(self, target: _Target, headers: dict[bytes, bytes], receive: Receive) -> StoredPart:
        begin = self._library.parts.begin
        writer = await self._threads.part(begin, target.upload_id, target.number, target.likely_bytes)
        md5 = hashlib.md5(usedforsecurity=False) if b"content-md5" in headers else None
        size = 0
        async for piece in _pieces(receive):
            size += len(piece)
            if size > target.most_bytes:
                raise _too_large(target.most_bytes)
            await self._threads.part(_write, writer, piece, md5)
        if not size:
            raise bad_request("part", "it is empty; send its bytes as the body")
        if md5 and md5.digest() != _digest(headers, "Content-MD5"):
            raise bad_request("Content-MD5", "the part that arrived has another hash; send it again")
        return await self._threads.part(_finish, writer, _digest(headers, "x-amz-checksum-sha256"))


def _write(writer: PartWriter, piece: bytes, md5: "hashlib._Hash | None") -> None:
    if md5:
        md5.update(piece)
    writer.write(piece)


def _finish(writer: PartWriter, sha256: bytes | None) -> StoredPart:
    if sha256 is not None and sha256 != writer.digest():
        raise bad_request("x-amz-checksum-sha256", "the part that arrived has another hash; send it again")
    return writer.finish()


def _digest(headers: dict[bytes, bytes], name: str) -> bytes | None:
    """A hash as headers carry it. BAD_REQUEST for what is no base64."""
    value = headers.get(name.lower().encode())
    try:
        return None if value is None else base64.b64decode(value, validate=True)
    except ValueError as error:
        raise bad_request(name, "expected base64") from error


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body in pieces worth a write. BAD_REQUEST when it ends too early, or nothing comes for long."""
    held: list[bytes] = []
    size, is_more = 0, True
    while is_more:
        try:
            message = await asyncio.wait_for(receive(), STALL_LIMIT_S)
        except TimeoutError:
            raise bad_request("part", f"nothing came for {STALL_LIMIT_S:g} s; send it again") from None
        if message["type"] == "http.disconnect":
            raise bad_request("part", "the connection ended before the part did; send it again")
        chunk, is_more = message.get("body", b""), message.get("more_body", False)
        held.append(chunk)
        size += len(chunk)
        if size >= _PIECE or not is_more:
            yield b"".join(held)
            held, size = [], 0


def _too_large(most: int) -> PinakesError:
    return PinakesError("PAYLOAD_TOO_LARGE", f"The whole file has {most} bytes, so no part can have more.")
