"""Blobs as files of a folder. While obstore writes one it is `<name>#<n>`, and stays so when the process is killed.

They are read here and not by obstore, which has threads of its own for that and streams 8 KiB at a time.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from obstore.store import LocalStore

from pinakes.blobs import CHUNK, BlobInfo, Blobs, Needed, Unfinished, blob_key, check_key, missing, store_errors
from pinakes.errors import PinakesError

_PIECE = 4 << 20
_UNFINISHED = re.compile(
    r"[0-9a-f]{64}(-([1-9][0-9]*|preview)\.webp|\.[a-z]+)?#[0-9]+|ready-[0-9]+-[0-9]+(#[0-9]+)?|part-[0-9a-f]+(#[0-9]+)?"
)


class LocalBlobs(Blobs):
    """The folder is created when it is missing."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        with store_errors():
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for path in new:
                _sync_folder(path.parent)
            super().__init__(LocalStore(prefix=folder))
        self.folder = folder
        self._synced: set[Path] = set()  # folders whose own name is known to be on disk

    def put_all(self, files: dict[str, bytes]) -> None:
        for key, data in files.items():
            if not self.size(key):
                with store_errors():
                    self.store.put(key, data, use_multipart=False)
        self.sync(*files)

    def write(self, key: str, data: bytes) -> None:
        check_key(key)
        with store_errors():
            self.store.put(key, data, use_multipart=False)
        self.sync(key)

    def write_stream(self, key: str, chunks: Iterator[bytes], size: int) -> str:
        del size
        check_key(key)
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in chunks:
                digest.update(chunk)
                yield chunk

        with store_errors():
            self.store.put(key, hashed(), chunk_size=_PIECE, max_concurrency=2)
        self.sync(key)
        return digest.hexdigest()

    @contextmanager
    def local_file(self, sha256: str, needed: Needed | None = None) -> Iterator[Path]:
        del needed
        if not (path := self.folder / blob_key(sha256)).is_file():
            raise missing()
        yield path

    def stream(self, key: str, start: int, end: int) -> Iterator[bytes]:
        size = self.size(key)
        if size is None:
            raise missing()
        return self._chunks(key, max(start, 0), min(end, size))

    def _chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        with store_errors(), (self.folder / key).open("rb", buffering=0) as file:
            file.seek(start)
            for at in range(start, end, CHUNK):
                wanted = min(CHUNK, end - at)
                chunk = file.read(wanted)
                if len(chunk) < wanted:
                    raise missing()
                yield chunk

    def _info(self, key: str) -> BlobInfo | None:
        sha256 = check_key(key)
        with store_errors():
            try:
                found = (self.folder / key).stat()
            except FileNotFoundError:
                return None
        return BlobInfo(sha256, found.st_size, int(found.st_mtime * 1000))

    def touch(self, key: str) -> None:
        """Make a file as young as if it were written now; raises NOT_FOUND."""
        with store_errors():
            os.utime(self.folder / key)

    def unfinished(self) -> Iterator[list[Unfinished]]:
        """A list for each folder, nearly all of them empty; obstore lists none of it."""
        for folder, _, names in os.walk(self.folder):
            paths = [Path(folder, name) for name in names if _UNFINISHED.fullmatch(name)]
            yield [found for path in paths if (found := _look(path, self.folder))]

    def delete_unfinished(self, unfinished: Unfinished) -> None:
        with store_errors():
            (self.folder / unfinished.path).unlink(missing_ok=True)

    def remove_folder(self, prefix: str) -> None:
        """Remove an empty folder, whose name has to reach the disk anew if it is made again."""
        with store_errors():
            (self.folder / prefix).rmdir()
        self._synced.discard(self.folder / prefix)

    def ready(self) -> None:
        # obstore would create a missing folder; one that vanished is more likely a disk that is not mounted.
        if not self.folder.is_dir():
            raise PinakesError("UNAVAILABLE", "The blob folder is missing: mount its disk or create it.")
        super().ready()

    def sync(self, *keys: str) -> None:
        """obstore renames a finished file into place but does not fsync: after a power cut it could be empty or gone.

        The files, their names in their folders, and the name of every folder on the way have to reach the disk.
        """
        with store_errors():
            paths = [self.folder / key for key in keys]
            for path in paths:
                _fsync(path, os.O_RDONLY)
            for folder in {path.parent for path in paths}:
                _sync_folder(folder)
            for folder in {folder for path in paths for folder in path.parents[:3]} - self._synced:
                _sync_folder(folder.parent)
                self._synced.add(folder)


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
