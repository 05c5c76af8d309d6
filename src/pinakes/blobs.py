"""Bytes by sha256, on obstore. The bytes under a key never change, because the key is made from them.

`blobs/ab/cd/<sha256>` is an uploaded file. Beside each other in `thumbnails/ab/cd/` are what was made of it:
`<sha256>-<size>.webp` is a picture of it that fits in a square of <size> pixels, `<sha256>-preview.webp` a short
animation of what moves, `<sha256>.<format>` all of it in another format. `uploads/…` holds the parts of files that are
still on their way (`pinakes.parts`). While obstore writes a local file it is `<name>#<n>`, and stays so when the
process is killed.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import unquote, urlsplit

import msgspec
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore

from pinakes import ids
from pinakes.errors import PinakesError, bad_request

CHUNK = 256 * 1024
_PIECE = 4 << 20
# The sweep removes unreferenced blobs older than 24 h. Half of that leaves an upload that found its bytes already there
# at least 12 h to reference them.
REFRESH_AFTER_MS = 12 * 3600 * 1000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(
    r"(?:blobs/..|thumbnails/..)/../(?P<sha256>[0-9a-f]{64})"
    r"(?:-(?P<size>[1-9][0-9]{0,4}|preview)\.webp|\.(?P<format>avif|gif|jpeg|png|tiff|webp))?"
)
_UNFINISHED = re.compile(
    r"[0-9a-f]{64}(-([1-9][0-9]*|preview)\.webp|\.[a-z]+)?#[0-9]+|ready-[0-9]+-[0-9]+(#[0-9]+)?|part-[0-9a-f]+(#[0-9]+)?"
)


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


def open_blobs(url: str) -> "Blobs":
    """`file:///absolute/folder` (created when missing) or `memory://` (gone with the process)."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return Blobs(MemoryStore(), None)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        folder = Path(unquote(parts.path))
        with store_errors():
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for path in new:
                _sync_folder(path.parent)
            return Blobs(LocalStore(prefix=folder), folder)
    raise PinakesError(
        "BAD_REQUEST",
        f"Blobs cannot be kept at {parts.scheme or 'a url without scheme'}: use file:///absolute/folder or memory://.",
        field="blob_url",
        scheme=parts.scheme,
    )


class Blobs:
    """Safe to use from many threads. Every method raises UNAVAILABLE when the store does not answer."""

    def __init__(self, store: LocalStore | MemoryStore, folder: Path | None) -> None:
        self.store = store
        self.folder = folder
        self._synced: set[Path] = set()  # folders whose own name is known to be on disk

    def put(self, data: bytes) -> str:
        """Store bytes once and return their sha256. They survive a power cut when this returns."""
        sha256 = hashlib.sha256(data).hexdigest()
        key = blob_key(sha256)
        info = self._info(key)
        if info and info.size == len(data) and ids.now_ms() - info.modified_at_ms < REFRESH_AFTER_MS:
            self.sync(key)  # whoever wrote it may not have come to this yet
        else:
            self.write(key, data)
        return sha256

    def put_pictures(self, sha256: str, thumbnails: dict[int, bytes], preview: bytes | None) -> None:
        """Keep thumbnails by their size, and a preview; one that is there already is left as it is.

        They reach the disk together, and are there for certain when this returns.
        """
        pictures = {thumbnail_key(sha256, size): data for size, data in thumbnails.items()}
        if preview is not None:
            pictures[preview_key(sha256)] = preview
        self._keep(pictures)

    def put_converted(self, sha256: str, format: str, data: bytes) -> None:
        """Keep a picture in another format, as `put_pictures` does."""
        self._keep({converted_key(sha256, format): data})

    def _keep(self, pictures: dict[str, bytes]) -> None:
        for key, data in pictures.items():
            if not self.size(key):
                with store_errors():
                    self.store.put(key, data, use_multipart=False)
        self.sync(*pictures)

    def write(self, key: str, data: bytes) -> None:
        """Atomic: another reader sees the old bytes or the new ones. Durable when it returns."""
        _check(key)
        with store_errors():
            self.store.put(key, data, use_multipart=False)
        self.sync(key)

    def write_stream(self, key: str, chunks: Iterator[bytes]) -> str:
        """As `write`, for bytes that come in pieces and may be many; returns their sha256."""
        _check(key)
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in chunks:
                digest.update(chunk)
                yield chunk

        with store_errors():
            self.store.put(key, hashed(), chunk_size=_PIECE, max_concurrency=2)
        self.sync(key)
        return digest.hexdigest()

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
        """UNAVAILABLE, to be tried again, when the bytes are not there."""
        if self.size(blob_key(sha256)) is None:
            raise PinakesError("UNAVAILABLE", "The bytes were swept while they were uploaded; send them again.")

    def read(self, key: str) -> bytes:
        """All bytes at once; raises NOT_FOUND. Use `stream` for files of unknown size."""
        _check(key)
        with store_errors():
            return bytes(self.store.get(key).bytes())

    @contextmanager
    def local_file(self, sha256: str) -> Iterator[Path]:
        """A blob as a file that others may only read; raises NOT_FOUND. What is not a file yet is copied into one."""
        key = blob_key(sha256)
        if self.folder:
            if not (path := self.folder / key).is_file():
                raise _missing()
            yield path
            return
        with NamedTemporaryFile(prefix="pinakes-") as copy:
            for chunk in self.stream(key, 0, self.size(key) or 0):
                copy.write(chunk)
            copy.flush()
            yield Path(copy.name)

    def stream(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) in chunks; raises NOT_FOUND before the first chunk is asked for."""
        size = self.size(key)
        if size is None:
            raise _missing()
        return self._chunks(key, max(start, 0), min(end, size))

    def touch(self, key: str) -> None:
        """Make a file as young as if it were written now; raises NOT_FOUND. In memory a new name makes it so."""
        if self.folder:
            with store_errors():
                os.utime(self.folder / key)

    def delete(self, sha256: str) -> None:
        """Remove a blob and its thumbnails, the blob last: until it is gone the sweep finds it and tries again."""
        key = blob_key(sha256)
        for path in [path for path, _, _ in self.paths(key.replace("blobs", "thumbnails", 1).rpartition("/")[0])]:
            if sha256 in path:
                self._delete(path)
        self._delete(key)

    def all(self) -> Iterator[BlobInfo]:
        """Every blob in no order, as the store lists them; thumbnails are not listed."""
        for key, info in self._files("blobs"):
            if key == blob_key(info.sha256):
                yield info

    def thumbnails(self) -> Iterator[tuple[str, BlobInfo]]:
        """Every thumbnail in no order: its key, its own size and age, and the hash of what it is a picture of."""
        return self._files("thumbnails")

    def unfinished(self) -> Iterator[list[Unfinished]]:
        """What is being written now, or was when a process was killed: a list for each folder, nearly all are empty.

        obstore lists none of it. In memory there is none.
        """
        if self.folder:
            for folder, _, names in os.walk(self.folder):
                paths = [Path(folder, name) for name in names if _UNFINISHED.fullmatch(name)]
                yield [found for path in paths if (found := _look(path, self.folder))]

    def delete_unfinished(self, unfinished: Unfinished) -> None:
        """Remove what a killed process left. Whoever is still writing it fails."""
        if self.folder:
            with store_errors():
                (self.folder / unfinished.path).unlink(missing_ok=True)

    def remove_folder(self, prefix: str) -> None:
        """Remove an empty folder, whose name has to reach the disk anew if it is made again."""
        if self.folder:
            with store_errors():
                (self.folder / prefix).rmdir()
            self._synced.discard(self.folder / prefix)

    def verify(self, sha256: str) -> bool:
        """Whether the stored bytes still have this hash. Reads them all; raises NOT_FOUND."""
        key = blob_key(sha256)
        digest = hashlib.sha256()
        for chunk in self.stream(key, 0, self.size(key) or 0):
            digest.update(chunk)
        return digest.hexdigest() == sha256

    def ready(self) -> None:
        """Raise UNAVAILABLE unless bytes can be written now. Writes and removes an empty file."""
        # obstore would create a missing folder; one that vanished is more likely a disk that is not mounted.
        if self.folder and not self.folder.is_dir():
            raise PinakesError("UNAVAILABLE", "The blob folder is missing: mount its disk or create it.")
        name = f"ready-{os.getpid()}-{threading.get_ident()}"
        with store_errors():
            self.store.put(name, b"", use_multipart=False)
        self._delete(name)

    def _info(self, key: str) -> BlobInfo | None:
        sha256 = _check(key)
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

    def _chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        # obstore's own stream of a local file reads 8 KiB at a time, 9 times slower; one of memory is a single chunk.
        for at in range(start, end, CHUNK):
            with store_errors():
                chunk = bytes(self.store.get_range(key, start=at, end=min(at + CHUNK, end)))
            yield chunk

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

    def _delete(self, path: str) -> None:
        try:
            with store_errors():
                self.store.delete(path)
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise

    def sync(self, *keys: str) -> None:
        """obstore renames a finished file into place but does not fsync: after a power cut it could be empty or gone.

        The files, their names in their folders, and the name of every folder on the way have to reach the disk.
        """
        if self.folder is None:
            return
        with store_errors():
            paths = [self.folder / key for key in keys]
            for path in paths:
                _fsync(path, os.O_RDONLY)
            for folder in {path.parent for path in paths}:
                _sync_folder(folder)
            for folder in {folder for path in paths for folder in path.parents[:3]} - self._synced:
                _sync_folder(folder.parent)
                self._synced.add(folder)


def _check(key: str) -> str:
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


def _look(path: Path, folder: Path) -> Unfinished | None:
    """None when it was finished or removed meanwhile."""
    with store_errors():
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
    return Unfinished(str(path.relative_to(folder)), found.st_size, int(found.st_mtime * 1000))


def _sync_folder(folder: Path) -> None:
    _fsync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _missing() -> PinakesError:
    return PinakesError("NOT_FOUND", "These bytes are not in the store.")


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the store's errors into ours; the cause keeps the path and the system's words for the log."""
    try:
        yield
    except FileNotFoundError as error:
        raise _missing() from error
    except (BaseError, OSError) as error:
        full = "No space left" in str(error) or "quota" in str(error).lower()
        advice = "its disk is full: free space" if full else "make sure it exists and this user may read and write it"
        raise PinakesError("UNAVAILABLE", f"The blob store does not answer; {advice}.") from error
