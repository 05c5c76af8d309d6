"""Parts of files that are on their way: `uploads/<upload>/<number>-<sha256>`, until they are joined to a blob.

A part that is being written is `part-<hex>` and no part yet. Nothing here is in memory for longer than a chunk.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator

import obstore

from pinakes.blobs import CHUNK, Blobs, blob_key, store_errors
from pinakes.errors import PinakesError
from pinakes.upload_types import StoredPart

_BUFFER = 1 << 20
_READ = 4 * CHUNK


class PartWriter:
    """One part on its way in. What is not finished leaves nothing behind once it is let go of."""

    def __init__(self, blobs: Blobs, upload_id: str, number: int) -> None:
        self._blobs = blobs
        self._upload_id = upload_id
        self._number = number
        self._key = f"uploads/{upload_id}/part-{secrets.token_hex(8)}"
        self._digest = hashlib.sha256()
        self._size = 0
        with store_errors():
            self._file = obstore.open_writer(blobs.store, self._key, buffer_size=_BUFFER, max_concurrency=1)

    def write(self, chunk: bytes) -> None:
        """More of it. UNAVAILABLE when the store does not take it."""
        self._digest.update(chunk)
        self._size += len(chunk)
        with store_errors():
            self._file.write(chunk)

    def digest(self) -> bytes:
        """The sha256 so far."""
        return self._digest.digest()

    def finish(self) -> StoredPart:
        """The part as it is kept, durable when this returns."""
        part = StoredPart(self._number, self._size, self._digest.hexdigest())
        key = _key(self._upload_id, part)
        with store_errors():
            self._file.close()
            self._blobs.store.rename(self._key, key)
        self._blobs.sync(key)
        return part


class Parts:
    """The parts beside the blobs they become. Every method raises UNAVAILABLE when the store does not answer."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def begin(self, upload_id: str, number: int) -> PartWriter:
        return PartWriter(self._blobs, upload_id, number)

    def free_bytes(self) -> int | None:
        """What the disk has left, None where there is no such bound."""
        return shutil.disk_usage(self._blobs.folder).free if self._blobs.folder else None

    def join(self, upload_id: str, parts: list[StoredPart], look: Callable[[bytes], None] | None = None) -> str:
        """Make a blob of the parts, in this order, and return its hash; `look` is shown every chunk of it.

        It may be repeated after it was interrupted at any moment. BAD_REQUEST when a part is missing or was cut,
        UNAVAILABLE at once when the disk has no room for the whole beside its parts.
        """
        if len(parts) == 1:
            return self._move(upload_id, parts[0], look)
        free, size = self.free_bytes(), sum(part.size for part in parts)
        if free is not None and free < size:
            raise PinakesError("UNAVAILABLE", f"A file of {size} bytes waits for room: its disk has {free} left.")
        whole, digest = f"uploads/{upload_id}/part-{secrets.token_hex(8)}", hashlib.sha256()
        with store_errors():
            file = obstore.open_writer(self._blobs.store, whole, buffer_size=_BUFFER, max_concurrency=1)
        for chunk in self._chunks(upload_id, parts):
            digest.update(chunk)
            if look:
                look(chunk)
            with store_errors():
                file.write(chunk)
        sha256 = digest.hexdigest()
        with store_errors():
            file.close()
            self._blobs.store.rename(whole, blob_key(sha256))
        self._blobs.sync(blob_key(sha256))
        return sha256

    def _move(self, upload_id: str, part: StoredPart, look: Callable[[bytes], None] | None) -> str:
        """A single part is the blob: it only gets its name, unless another try has given it that, maybe just now.

        In any case it becomes young, for the sweep takes what is old and not referred to yet.
        """
        source, target = _key(upload_id, part), blob_key(part.sha256)
        try:
            self._blobs.touch(source)
            with store_errors():
                self._blobs.store.rename(source, target)
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise
            if self._size(target) is None:
                raise _lost(part) from error
            self._blobs.touch(target)
        self._blobs.sync(target)
        if look:
            for chunk in self._read(target, part):
                look(chunk)
        return part.sha256

    def delete(self, upload_id: str) -> None:
        """Remove what is left of an upload's parts, and what was not finished when a process was killed.

        Whoever is still writing one fails.
        """
        prefix = f"uploads/{upload_id}"
        with store_errors():
            if self._blobs.folder is None:
                for path in [meta["path"] for page in self._blobs.store.list(prefix) for meta in page]:
                    self._blobs.store.delete(path)
            elif (folder := self._blobs.folder / prefix).is_dir():
                for unwanted in folder.iterdir():  # obstore would not list what is unfinished
                    unwanted.unlink(missing_ok=True)
                if not any(folder.iterdir()):  # somebody may be sending a part that comes too late
                    self._blobs.remove_folder(prefix)

    def drop(self, upload_id: str, part: StoredPart) -> None:
        """Remove one part, if it is there."""
        if self._size(key := _key(upload_id, part)) is not None:
            with store_errors():
                self._blobs.store.delete(key)

    def has(self, upload_id: str, part: StoredPart) -> bool:
        """Whether a part is there, whole."""
        return self._size(_key(upload_id, part)) == part.size

    def read(self, upload_id: str, part: StoredPart) -> Iterator[bytes]:
        """The bytes of a part. BAD_REQUEST when it is not there, or was cut."""
        return self._read(_key(upload_id, part), part)

    def uploads(self) -> dict[str, int]:
        """The ids of uploads that have something here, and when the newest of that was written."""
        found: dict[str, int] = {}
        for path, _, modified_at_ms in self._blobs.paths("uploads"):
            id = path.split("/")[1]
            found[id] = max(found.get(id, 0), modified_at_ms)
        return found

    def _chunks(self, upload_id: str, parts: list[StoredPart]) -> Iterator[bytes]:
        for part in parts:
            yield from self._read(_key(upload_id, part), part)

    def _read(self, key: str, part: StoredPart) -> Iterator[bytes]:
        if self._size(key) != part.size:
            raise _lost(part)
        for at in range(0, part.size, _READ):
            with store_errors():
                chunk = bytes(self._blobs.store.get_range(key, start=at, end=min(at + _READ, part.size)))
            yield chunk

    def _size(self, key: str) -> int | None:
        try:
            with store_errors():
                return int(self._blobs.store.head(key)["size"])
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise
            return None


def _key(upload_id: str, part: StoredPart) -> str:
    return f"uploads/{upload_id}/{part.number}-{part.sha256}"


def _lost(part: StoredPart) -> PinakesError:
    return PinakesError(
        "BAD_REQUEST", f"parts: part {part.number} is not there any more; send it again.", field="parts"
    )
