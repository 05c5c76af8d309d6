"""Blobs as objects of a bucket.

Nothing here is in memory for longer than some MiB. A stored object never runs in a browser, whoever is sent to it: it
is kept as bytes to be saved, and only pictures that we made are kept as what they are.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

from obstore.store import MemoryStore, ObjectStore

from pinakes.blobs import CHUNK, Blobs, Needed, blob_key, check_key, missing, store_errors
from pinakes.errors import PinakesError, bad_request
from pinakes.objects.ahead import read_ahead
from pinakes.objects.presigned import Signer

if TYPE_CHECKING:
    from obstore import GetResult

PIECE = 8 << 20
"""What is sent in one request of an upload in several; S3 takes no less than 5 MiB."""

_MOST_PIECES = 10_000
_AT_ONCE = 2
_SAVED = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
_TRIES = 3


class OtherBytes(Exception):  # noqa: N818 - never leaves this package
    """What was to be stored does not have the hash by which it was to be found."""


class ObjectBlobs(Blobs):
    """`is_local` for a store in memory. `signer` is given where clients are to be sent to the store itself."""

    def __init__(self, store: ObjectStore, *, is_local: bool = False, signer: Signer | None = None) -> None:
        super().__init__(store)
        MemoryStore().list().collect()  # starts obstore's threads, which would stand back if one that does were first
        self.is_local = is_local
        self.signer = signer
        self._writers = ThreadPoolExecutor(4, thread_name_prefix="blobs")

    def put_all(self, files: dict[str, bytes]) -> None:
        """Side by side: each is a trip across the network. What is there is written anew, which costs one trip less."""
        for done in [self._writers.submit(self.write, key, data) for key, data in files.items()]:
            done.result()

    def write(self, key: str, data: bytes) -> None:
        check_key(key)
        with store_errors():
            self.store.put(
                key, data, attributes=_attributes(key), chunk_size=piece_for(len(data)), max_concurrency=_AT_ONCE
            )

    def write_stream(self, key: str, chunks: Iterator[bytes], size: int) -> str:
        check_key(key)
        if size <= PIECE:
            self.write(key, data := b"".join(chunks))
            return hashlib.sha256(data).hexdigest()
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in chunks:
                digest.update(chunk)
                yield chunk

        self._send(key, hashed(), size)
        return digest.hexdigest()

    def write_blob(self, sha256: str, chunks: Iterator[bytes], size: int) -> None:
        """Store a blob of any size. OtherBytes, and nothing is stored, when it has another hash."""
        key, digest = blob_key(sha256), hashlib.sha256()
        if size <= PIECE:
            data = b"".join(chunks)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise OtherBytes
            self.write(key, data)
            return
        ahead, is_other = read_ahead(chunks), False

        def hashed() -> Iterator[bytes]:
            nonlocal is_other
            for chunk in ahead:
                digest.update(chunk)
                yield chunk
            if digest.hexdigest() != sha256:
                is_other = True
                raise OtherBytes  # before obstore completes the upload: it aborts it instead

        try:
            self._send(key, hashed(), size)
        except (OtherBytes, PinakesError) as error:
            if is_other:
                raise OtherBytes from error  # a store may not let an upload be aborted, but is not to blame for this
            raise
        finally:
            ahead.close()

    def _send(self, key: str, chunks: Iterator[bytes], size: int) -> None:
        with store_errors():
            self.store.put(
                key, chunks, attributes=_attributes(key), chunk_size=piece_for(size), max_concurrency=_AT_ONCE
            )

    def sync(self, *keys: str) -> None:
        """What a store has answered is durable."""

    @contextmanager
    def local_file(self, sha256: str, needed: Needed | None = None) -> Iterator[Path]:
        with store_errors():
            found = self.store.get(blob_key(sha256))
        with NamedTemporaryFile(prefix="pinakes-") as copy:
            chunks = self._resumed(blob_key(sha256), found, 0, found.meta["size"])
            _copy(chunks, copy, found.meta["size"], needed)
            yield Path(copy.name)

    def stream(self, key: str, start: int, end: int) -> Iterator[bytes]:
        check_key(key)
        return self.span(key, start, end)

    def span(self, path: str, start: int, end: int) -> Iterator[bytes]:
        """As `stream`, of whatever is under a path. One request, unless the connection ends before the bytes do."""
        start = max(start, 0)
        found = self._open(path, start, end) if start < end else None
        if found is None:
            if self.object_size(path) is None:
                raise missing()
            return iter(())
        return self._resumed(path, found, *found.range)

    def _open(self, path: str, start: int, end: int) -> GetResult | None:
        """None for a range behind the end, which stores refuse."""
        try:
            with store_errors():
                return self.store.get(path, options={"range": (start, end)})
        except PinakesError as error:
            if error.code == "UNAVAILABLE" and (size := self.object_size(path)) is not None and start >= size:
                return None
            raise

    def _resumed(self, path: str, found: GetResult, at: int, end: int) -> Iterator[bytes]:
        """All bytes to the end, each once, over as many connections as it takes, as long as each brings some."""
        failures = 0
        while at < end:
            try:
                for chunk in _chunks(found):
                    yield chunk
                    at, failures = at + len(chunk), 0
                if at < end:
                    raise PinakesError("UNAVAILABLE", f"The blob store does not answer: {end - at} bytes are missing.")
            except PinakesError:
                failures += 1
                if failures == _TRIES:
                    raise
                with store_errors():
                    found = self.store.get(path, options={"range": (at, end)})

    def object_size(self, path: str) -> int | None:
        """The size of whatever is under a path; None for nothing."""
        try:
            with store_errors():
                return int(self.store.head(path)["size"])
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise
            return None

    def link(self, key: str, method: str, content_type: str, disposition: str) -> str | None:
        if self.signer is None:
            return None
        return self.signer.read_link(key, method, content_type, disposition)


def piece_for(size: int) -> int:
    """What to send at a time of an object that has at most this size."""
    return max(PIECE, -(-size // _MOST_PIECES))


def _chunks(found: GetResult) -> Iterator[bytes]:
    chunks = iter(found.stream(min_chunk_size=CHUNK))
    while True:
        with store_errors():
            chunk = next(chunks, None)
        if chunk is None:
            return
        whole = memoryview(chunk)  # of a store in memory it is everything
        for at in range(0, len(whole), CHUNK):
            yield bytes(whole[at : at + CHUNK])


def _attributes(key: str) -> dict[str, str]:
    return {"Content-Type": "image/webp"} if key.endswith(".webp") and "-" in key else _SAVED


def _copy(chunks: Iterator[bytes], copy: IO[bytes], size: int, needed: Needed | None) -> None:
    """As much of the chunks as is needed. UNAVAILABLE when the temporary folder is full."""
    most = size
    try:
        for chunk in chunks:
            if not copy.tell():
                most = _most(needed, chunk, size)
                _require_room(most)
            copy.write(chunk)
            if copy.tell() >= most:
                break
        copy.truncate(size)
        copy.flush()
    except OSError as error:
        where = tempfile.gettempdir()
        raise PinakesError("UNAVAILABLE", f"No file can be copied to {where}: {error.strerror}.") from error


def _most(needed: Needed | None, start: bytes, size: int) -> int:
    most = needed(start) if needed else None
    return size if most is None else min(most, size)


def _require_room(size: int) -> None:
    """UNAVAILABLE while the temporary folder is too full for a copy, BAD_REQUEST if it will always be."""
    disk = shutil.disk_usage(tempfile.gettempdir())
    where = f"the folder for temporary files of the server ({tempfile.gettempdir()}) "
    if size > disk.total:
        raise bad_request("file", f"it has {size} bytes, and {where}only {disk.total}")
    if size > disk.free:
        raise PinakesError("UNAVAILABLE", f"A file of {size} bytes waits for room: {where}has {disk.free} left.")
