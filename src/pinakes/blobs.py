"""Bytes by sha256. The bytes under a key never change, because the key is made from them.

`blobs/ab/cd/<sha256>` is an uploaded file. Beside each other in `thumbnails/ab/cd/` are what was made of it:
`<sha256>-<size>.webp` is a picture of it that fits in a square of <size> pixels, `<sha256>-preview.webp` a short
animation of what moves, `<sha256>.<format>` all of it in another format. `uploads/…` holds the parts of files that are
still on their way (`pinakes.parts`).

What is the same wherever bytes are kept is here; `local` keeps them in a folder of this machine, `objects` in S3, GCS
or Azure.
"""

import hashlib
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from pinakes import ids
from pinakes.errors import PinakesError, bad_request

CHUNK = 256 * 1024
# The sweep removes unreferenced blobs older than 24 h. Half of that leaves an upload that found its bytes already there
# at least 12 h to reference them.
REFRESH_AFTER_MS = 12 * 3600 * 1000

Needed = Callable[[bytes], int | None]
"""How many bytes of a file are looked at, by its start; None for all of them."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(
    r"(?:blobs/..|thumbnails/..)/../(?P<sha256>[0-9a-f]{64})"
    r"(?:-(?P<size>[1-9][0-9]{0,4}|preview)\.webp|\.(?P<format>avif|gif|jpeg|png|tiff|webp))?"
)
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist")


class BlobInfo(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    modified_at_ms: int


class Unfinished(msgspec.Struct, frozen=True):
    """A file in our folder that is under no key: `path` is relative to the folder."""

    path: str
    size: int
    modified_at_ms: int


def blob_key(sha256: str) -> str:
    """Raises BAD_REQUEST for anything but 64 lower-case hex digits, so no key leaves the store's folder."""
    if not _SHA256.fullmatch(sha256):
        raise bad_request("sha256", "must be 64 lower-case hexadecimal digits.")
    return f"blobs/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def thumbnail_key(sha256: str, size: int) -> str:
    return f"{blob_key(sha256).replace('blobs', 'thumbnails', 1)}-{size:d}.webp"


def preview_key(sha256: str) -> str:
    return f"{blob_key(sha256).replace('blobs', 'thumbnails', 1)}-preview.webp"


def converted_key(sha256: str, format: str) -> str:
    return f"{blob_key(sha256).replace('blobs', 'thumbnails', 1)}.{format}"


class Blobs(ABC):
    """Safe to use from many threads. Every method raises UNAVAILABLE when the store does not answer.

    `is_local`: a small read takes microseconds, so that it may be done on an event loop or in a transaction.
    """

    is_local: bool

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def put(self, data: bytes) -> str:
        """Store bytes once and return their sha256. They survive a power cut when this returns."""
        sha256 = hashlib.sha256(data).hexdigest()
        if self.is_young(sha256, len(data)):
            self.sync(blob_key(sha256))  # whoever wrote it may not have come to this yet
        else:
            self.write(blob_key(sha256), data)
        return sha256

    def put_pictures(self, sha256: str, thumbnails: dict[int, bytes], preview: bytes | None) -> None:
        """Keep thumbnails by their size, and a preview; one that is there already is left as it is.

        They reach the disk together, and are there for certain when this returns.
        """
        pictures = {thumbnail_key(sha256, size): data for size, data in thumbnails.items()}
        if preview is not None:
            pictures[preview_key(sha256)] = preview
        self.put_all(pictures)

    def put_converted(self, sha256: str, format: str, data: bytes) -> None:
        """Keep a picture in another format, as `put_pictures` does."""
        self.put_all({converted_key(sha256, format): data})

    @abstractmethod
    def put_all(self, files: dict[str, bytes]) -> None:
        """Keep bytes by their key, and leave those that are there already."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Atomic: another reader sees the old bytes or the new ones. Durable when it returns."""

    @abstractmethod
    def write_stream(self, key: str, chunks: Iterator[bytes], size: int) -> str:
        """As `write`, for bytes that come in pieces and may be many; returns their sha256."""

    @abstractmethod
    def sync(self, *keys: str) -> None:
        """Make sure that what was written under these keys outlives a power cut."""

    def is_young(self, sha256: str, size: int) -> bool:
        """Whether a blob is there, whole, for so short a time that no sweep takes it within the next 12 h."""
        info = self.info(sha256)
        return info is not None and info.size == size and ids.now_ms() - info.modified_at_ms < REFRESH_AFTER_MS

    def size(self, key: str) -> int | None:
        """Bytes under the key; None when there are none."""
        info = self._info(key)
        return info.size if info else None

    def info(self, sha256: str) -> BlobInfo | None:
        """Size and age of a blob, without reading it; None when there is none."""
        return self._info(blob_key(sha256))

    def has_thumbnail(self, sha256: str, size: int) -> bool:
        return self.size(thumbnail_key(sha256, size)) is not None

    def has_preview(self, sha256: str) -> bool:
        return self.size(preview_key(sha256)) is not None

    def has_converted(self, sha256: str, format: str) -> bool:
        return self.size(converted_key(sha256, format)) is not None

    def require(self, sha256: str) -> None:
        """UNAVAILABLE, to be tried again, when the bytes are not there. For transactions: it asks no network.

        Where they are across one, whoever stored them has asked before, in a way that no sweep can come between.
        """
        if self.is_local and self.size(blob_key(sha256)) is None:
            raise swept()

    def read(self, key: str) -> bytes:
        """All bytes at once; raises NOT_FOUND. Use `stream` for files of unknown size."""
        check_key(key)
        with store_errors():
            return bytes(self.store.get(key).bytes())

    @abstractmethod
    def local_file(self, sha256: str, needed: Needed | None = None) -> AbstractContextManager[Path]:
        """A blob as a file that others may only read; raises NOT_FOUND. What is not a file yet is copied into one.

        Where bytes have to be copied, `needed` may spare some: the file has its size, and zeros for what is not needed.
        """

    @abstractmethod
    def stream(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) in chunks; raises NOT_FOUND before the first chunk is asked for."""

    def link(self, key: str, method: str, content_type: str, disposition: str) -> str | None:
        """Where the store itself sends these bytes to whoever asks, with these headers; None where it does not."""
        del key, method, content_type, disposition
        return None

    def delete(self, sha256: str) -> None:
        """Remove a blob and its thumbnails, the blob last: until it is gone the sweep finds it and tries again."""
        key = blob_key(sha256)
        for path in [path for path, _, _ in self.paths(key.replace("blobs", "thumbnails", 1).rpartition("/")[0])]:
            if sha256 in path:
                self.remove(path)
        self.remove(key)

    def all(self) -> Iterator[BlobInfo]:
        """Every blob in no order, as the store lists them; thumbnails are not listed."""
        for key, info in self._files("blobs"):
            if key == blob_key(info.sha256):
                yield info

    def thumbnails(self) -> Iterator[tuple[str, BlobInfo]]:
        """Every thumbnail in no order: its key, its own size and age, and the hash of what it is a picture of."""
        return self._files("thumbnails")

    def unfinished(self) -> Iterator[list[Unfinished]]:
        """What is being written now, or was when a process was killed, as far as it can be seen."""
        return iter(())

    def delete_unfinished(self, unfinished: Unfinished) -> None:
        """Remove what a killed process left. Whoever is still writing it fails."""
        self.remove(unfinished.path)

    def verify(self, sha256: str) -> bool:
        """Whether the stored bytes still have this hash. Reads them all; raises NOT_FOUND."""
        key = blob_key(sha256)
        digest = hashlib.sha256()
        for chunk in self.stream(key, 0, self.size(key) or 0):
            digest.update(chunk)
        return digest.hexdigest() == sha256

    def ready(self) -> None:
        """Raise UNAVAILABLE unless bytes can be written now. Writes and removes an empty file."""
        name = f"ready-{os.getpid()}-{threading.get_ident()}"
        with store_errors():
            self.store.put(name, b"", use_multipart=False)
        self.remove(name)

    def _info(self, key: str) -> BlobInfo | None:
        sha256 = check_key(key)
        try:
            with store_errors():
                meta = self.store.head(key)
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise
            return None
        return BlobInfo(sha256, meta["size"], int(meta["last_modified"].timestamp() * 1000))

    def _files(self, prefix: str) -> Iterator[tuple[str, BlobInfo]]:
        for path, size, modified_at_ms in self.paths(prefix):
            sha256 = _sha256_of(path)
            if sha256:
                yield path, BlobInfo(sha256, size, modified_at_ms)

    def paths(self, prefix: str) -> Iterator[tuple[str, int, int]]:
        """Whatever is under a prefix: path, size, and when it was written."""
        pages = iter(self.store.list(prefix, chunk_size=1000))
        while True:
            with store_errors():
                page = next(pages, None)
            if page is None:
                return
            for meta in page:
                yield meta["path"], meta["size"], int(meta["last_modified"].timestamp() * 1000)

    def remove(self, path: str) -> None:
        """Delete whatever is under a path, if anything is."""
        try:
            with store_errors():
                self.store.delete(path)
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise


def check_key(key: str) -> str:
    """The sha256 a key names; raises BAD_REQUEST for any other text."""
    sha256 = _sha256_of(key)
    if sha256 is None:
        raise bad_request("key", "names no blob and no thumbnail.")
    return sha256


def _sha256_of(key: str) -> str | None:
    """The sha256 a key names; None for a key that the functions above do not make."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    sha256, size, format = match["sha256"], match["size"], match["format"]
    if size == "preview":
        made = preview_key(sha256)
    elif format:
        made = converted_key(sha256, format)
    else:
        made = thumbnail_key(sha256, int(size)) if size else blob_key(sha256)
    return sha256 if key == made else None


def missing() -> PinakesError:
    return PinakesError("NOT_FOUND", "These bytes are not in the store.")


def swept() -> PinakesError:
    return PinakesError("UNAVAILABLE", "The bytes were swept while they were uploaded; send them again.")


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the store's errors into ours; the cause keeps the path and the system's words, which nobody else gets."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_BUCKET.search(str(error)):
            raise _unavailable(error) from error
        raise missing() from error
    except (BaseError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: BaseError | OSError) -> PinakesError:
    text = str(error)
    if "No space left" in text or "quota" in text.lower():
        return PinakesError("UNAVAILABLE", "The blob store does not answer; its disk is full: free space.")
    if (isinstance(error, BaseError) and "LocalFileSystem" not in text) or _NO_BUCKET.search(text):
        return PinakesError("UNAVAILABLE", f"The blob store does not answer: {said(error)}.")
    advice = "make sure it exists and this user may read and write it"
    return PinakesError("UNAVAILABLE", f"The blob store does not answer; {advice}.")


def said(error: Exception) -> str:
    """What a store across the network answered, or that it did not: without its own words, which may name secrets."""
    text = str(error)
    code, status = _CODE.search(text), _STATUS.search(text)
    if "169.254.169.254" in text or "metadata.google.internal" in text:
        return "it needs credentials, and there are none"
    if code or status:
        return "it said " + " ".join(found[1] for found in (status, code) if found)
    return "it cannot be reached, or is too slow"


def is_refusal(error: Exception) -> bool:
    """Whether a store answered, and will answer the same as long as nobody changes a setting of it or of ours."""
    text = str(error)
    status = _STATUS.search(text)
    return "169.254.169.254" in text or (
        status is not None and status[1][0] in "34" and status[1] not in ("408", "429")
    )
