"""Parts as files `uploads/<upload>/<number>-<sha256>`. One that is being written is `part-<hex>` and no part yet."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Sequence

from pinakes.blobs import CHUNK, blob_key, store_errors
from pinakes.errors import PinakesError
from pinakes.local.blobs import LocalBlobs
from pinakes.local.writer import FileWriter
from pinakes.parts import MOST_PART, Look, PartLink, PartWriter, lost
from pinakes.upload_types import StoredPart

_READ = 4 * CHUNK


class LocalPartWriter:
    """Writes beside the parts, and renames at the end."""

    def __init__(self, blobs: LocalBlobs, upload_id: str, number: int) -> None:
        self._blobs = blobs
        self._upload_id = upload_id
        self._number = number
        self._key = f"uploads/{upload_id}/part-{secrets.token_hex(8)}"
        self._digest = hashlib.sha256()
        self._size = 0
        self._file = FileWriter(blobs, self._key)

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._size += len(chunk)
        self._file.write(chunk)

    def digest(self) -> bytes:
        return self._digest.digest()

    def finish(self) -> StoredPart:
        part = StoredPart(self._number, self._size, self._digest.hexdigest())
        self._file.finish(_key(self._upload_id, part))
        return part


class LocalParts:
    """A part lies under its hash, so that several of one number do not get in each other's way."""

    is_listed = False
    at_once = 32

    def __init__(self, blobs: LocalBlobs) -> None:
        self._blobs = blobs

    def begin(self, upload_id: str, number: int, most_bytes: int = MOST_PART) -> PartWriter:
        del most_bytes
        return LocalPartWriter(self._blobs, upload_id, number)

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._blobs.folder).free

    def there(self, upload_id: str) -> list[StoredPart]:
        del upload_id
        return []

    def links(self, upload_id: str, count: int, lifetime_s: int) -> list[PartLink] | None:
        del upload_id, count, lifetime_s
        return None

    def join(self, upload_id: str, parts: Sequence[StoredPart], look: Look | None = None) -> str:
        """UNAVAILABLE at once when the disk has no room for the whole beside its parts."""
        if len(parts) == 1:
            return self._move(upload_id, parts[0], look)
        free, size = self.free_bytes(), sum(part.size for part in parts)
        if free is not None and free < size:
            raise PinakesError("UNAVAILABLE", f"A file of {size} bytes waits for room: its disk has {free} left.")
        whole, digest = f"uploads/{upload_id}/part-{secrets.token_hex(8)}", hashlib.sha256()
        file = FileWriter(self._blobs, whole)
        for chunk in self._chunks(upload_id, parts):
            digest.update(chunk)
            if look:
                look(chunk)
            file.write(chunk)
        sha256 = digest.hexdigest()
        file.finish(blob_key(sha256))
        return sha256

    def _move(self, upload_id: str, part: StoredPart, look: Look | None) -> str:
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
                raise lost(part) from error
            self._blobs.touch(target)
        self._blobs.sync(target)
        if look:
            for chunk in self._read(target, part):
                look(chunk)
        return part.sha256

    def delete(self, upload_id: str) -> None:
        prefix = f"uploads/{upload_id}"
        with store_errors():
            if (folder := self._blobs.folder / prefix).is_dir():
                for unwanted in folder.iterdir():  # obstore would not list what is unfinished
                    unwanted.unlink(missing_ok=True)
                if not any(folder.iterdir()):  # somebody may be sending a part that comes too late
                    self._blobs.remove_folder(prefix)

    def require(self, upload_id: str, part: StoredPart) -> None:
        if self.lost(upload_id, [part]):
            raise PinakesError("UNAVAILABLE", f"Part {part.number} was replaced while it came; send it again.")

    def drop(self, upload_id: str, part: StoredPart) -> None:
        if self._size(key := _key(upload_id, part)) is not None:
            with store_errors():
                self._blobs.store.delete(key)

    def lost(self, upload_id: str, parts: Sequence[StoredPart]) -> list[StoredPart]:
        return [part for part in parts if self._size(_key(upload_id, part)) != part.size]

    def read(self, upload_id: str, part: StoredPart) -> Iterator[bytes]:
        return self._read(_key(upload_id, part), part)

    def uploads(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path, _, modified_at_ms in self._blobs.paths("uploads"):
            id = path.split("/")[1]
            found[id] = max(found.get(id, 0), modified_at_ms)
        return found

    def _chunks(self, upload_id: str, parts: Sequence[StoredPart]) -> Iterator[bytes]:
        for part in parts:
            yield from self._read(_key(upload_id, part), part)

    def _read(self, key: str, part: StoredPart) -> Iterator[bytes]:
        if self._size(key) != part.size:
            raise lost(part)
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
