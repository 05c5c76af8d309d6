"""Parts as objects `uploads/<upload>/<number>`: what was sent last of a number is the part.

Clients may put them there themselves, so nothing is known of them but what the store lists, and they may change until
their links have ended. A file is joined in two passes: the first one finds its hash, the second one stores it under
that, and only if it is still the same.
"""

import hashlib
from collections.abc import Iterator, Sequence

import obstore

from pinakes import ids
from pinakes.blobs import store_errors
from pinakes.errors import PinakesError, bad_request
from pinakes.objects.blobs import PIECE, ObjectBlobs, OtherBytes, piece_for
from pinakes.objects.presigned import MOST_LIFETIME_S
from pinakes.parts import MOST_PART, Look, PartLink, PartWriter, lost
from pinakes.upload_types import MOST_PARTS, StoredPart

_WHOLE = 2 * PIECE
"""A part of at most this size is sent in one request, a larger one in pieces: either way this much is in memory."""

_BATCH = 1000


class ObjectPartWriter:
    """Nothing is there until all of it is."""

    def __init__(self, blobs: ObjectBlobs, upload_id: str, number: int, most_bytes: int) -> None:
        self._number = number
        self._digest = hashlib.sha256()
        self._size = 0
        piece = most_bytes + 1 if most_bytes <= _WHOLE else piece_for(most_bytes)  # what fills it is sent in pieces
        with store_errors():
            self._file = obstore.open_writer(
                blobs.store, _path(upload_id, number), buffer_size=piece, max_concurrency=1
            )

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._size += len(chunk)
        with store_errors():
            self._file.write(chunk)

    def digest(self) -> bytes:
        return self._digest.digest()

    def finish(self) -> StoredPart:
        with store_errors():
            self._file.close()
        return StoredPart(self._number, self._size, self._digest.hexdigest())


class ObjectParts:
    """The parts in the bucket of the blobs. Joining takes no disk, and no memory to speak of."""

    is_listed = True
    at_once = 16

    def __init__(self, blobs: ObjectBlobs) -> None:
        self._blobs = blobs

    def begin(self, upload_id: str, number: int, most_bytes: int = MOST_PART) -> PartWriter:
        return ObjectPartWriter(self._blobs, upload_id, number, most_bytes)

    def free_bytes(self) -> int | None:
        return None

    def there(self, upload_id: str) -> list[StoredPart]:
        pages = iter(self._blobs.store.list(f"uploads/{upload_id}", chunk_size=1000))
        found: list[StoredPart] = []
        while True:
            with store_errors():
                page = next(pages, None)
            if page is None:
                return sorted(found, key=lambda part: part.number)
            for meta in page:
                name = meta["path"].rpartition("/")[2]
                if name.isascii() and name.isdigit() and 1 <= int(name) <= MOST_PARTS:
                    etag = (meta["e_tag"] or "").strip('"')
                    found.append(StoredPart(int(name), meta["size"], "", etag))

    def links(self, upload_id: str, count: int, lifetime_s: int) -> list[PartLink] | None:
        signer = self._blobs.signer
        if signer is None:
            return None
        now, lifetime_s = ids.now_ms() // 1000, min(lifetime_s, MOST_LIFETIME_S)
        return [
            PartLink(signer.sign("PUT", _path(upload_id, number), now, lifetime_s), now + lifetime_s)
            for number in range(1, count + 1)
        ]

    def join(self, upload_id: str, parts: Sequence[StoredPart], look: Look | None = None) -> str:
        """What is small is read once. BAD_REQUEST when a client replaces a part between the passes."""
        size = sum(part.size for part in parts)
        held: list[bytes] | None = [] if size <= PIECE else None
        digest = hashlib.sha256()
        for chunk in self._chunks(upload_id, parts):
            digest.update(chunk)
            if look:
                look(chunk)
            if held is not None:
                held.append(chunk)
        sha256 = digest.hexdigest()
        if not self._blobs.is_young(sha256, size):
            try:
                chunks = self._chunks(upload_id, parts) if held is None else iter(held)
                self._blobs.write_blob(sha256, chunks, size)
            except OtherBytes as error:
                raise bad_request(
                    "parts", "they were replaced while they were put together; send them again"
                ) from error
        return sha256

    def delete(self, upload_id: str) -> None:
        paths = [path for path, _, _ in self._blobs.paths(f"uploads/{upload_id}")]
        for at in range(0, len(paths), _BATCH):
            try:
                with store_errors():
                    self._blobs.store.delete(paths[at : at + _BATCH])
            except PinakesError as error:
                if error.code != "NOT_FOUND":
                    raise
                for path in paths[at : at + _BATCH]:  # somebody else is at the same
                    self._blobs.remove(path)

    def require(self, upload_id: str, part: StoredPart) -> None:
        """A part is never dropped here before its upload is over."""

    def drop(self, upload_id: str, part: StoredPart) -> None:
        """What replaced a part lies where it was. One that is too much shows when all are counted."""

    def lost(self, upload_id: str, parts: Sequence[StoredPart]) -> list[StoredPart]:
        """One that was replaced, and thus has another size, is there as well."""
        there = {part.number for part in self.there(upload_id)}
        return [part for part in parts if part.number not in there]

    def read(self, upload_id: str, part: StoredPart) -> Iterator[bytes]:
        return self._chunks(upload_id, [part])

    def uploads(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path, _, modified_at_ms in self._blobs.paths("uploads"):
            id = path.split("/")[1]
            found[id] = max(found.get(id, 0), modified_at_ms)
        return found

    def _chunks(self, upload_id: str, parts: Sequence[StoredPart]) -> Iterator[bytes]:
        for part in parts:
            size = 0
            try:
                for chunk in self._blobs.span(_path(upload_id, part.number), 0, part.size):
                    size += len(chunk)
                    yield chunk
            except PinakesError as error:
                if error.code != "NOT_FOUND":
                    raise
                raise lost(part) from error
            if size != part.size:
                raise lost(part)


def _path(upload_id: str, number: int) -> str:
    return f"uploads/{upload_id}/{number}"
