"""Writing a large file of a folder."""

import os
import weakref
from io import FileIO
from pathlib import Path

from pinakes.blobs import store_errors
from pinakes.local.blobs import LocalBlobs

_MOST_BEHIND = 4 << 20
"""Bytes that are written and not yet on disk."""


class FileWriter:
    """A file that gets its name once it is whole and durable. Let go of before, it is removed.

    It reaches the disk bit by bit: whoever commits meanwhile waits for one of these, and not for a whole part.
    """

    def __init__(self, blobs: LocalBlobs, key: str) -> None:
        self._blobs = blobs
        self._path = blobs.folder / key
        self._behind = 0
        with store_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=0)
        self._abandon = weakref.finalize(self, _abandon, self._file, self._path)

    def write(self, data: bytes) -> None:
        with store_errors():
            left = memoryview(data)
            while left:  # a disk that is nearly full takes less than all
                left = left[self._file.write(left) :]
            self._behind += len(data)
            if self._behind >= _MOST_BEHIND:
                os.fdatasync(self._file.fileno())
                self._behind = 0

    def finish(self, key: str) -> None:
        """Under its name, and durable, when this returns."""
        with store_errors():
            os.fdatasync(self._file.fileno())
            self._file.close()
            (self._blobs.folder / key).parent.mkdir(parents=True, exist_ok=True)
            self._path.rename(self._blobs.folder / key)
        self._abandon.detach()
        self._blobs.sync(key)


def _abandon(file: FileIO, path: Path) -> None:
    file.close()
    path.unlink(missing_ok=True)
