"""Writing a large file of a folder."""

import os
import weakref
from io import FileIO
from pathlib import Path

from pinakes.blobs import store_errors
from pinakes.errors import PinakesError
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
                os.fsync(self._file.fileno())
                self._behind = 0

    def finish(self, key: str) -> None:
        """Under its name, and durable, when this returns. UNAVAILABLE when somebody removed it meanwhile."""
        target = self._blobs.folder / key
        with store_errors():
            os.fsync(self._file.fileno())
            self._file.close()
            if target.parent != self._path.parent:  # else whoever removed that, with this file in it, meant it
                target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._path.rename(target)
            except FileNotFoundError as error:
                raise PinakesError(
                    "UNAVAILABLE", "What came was removed before it was whole; send it again."
                ) from error
        self._abandon.detach()
        self._blobs.sync(key)


def _abandon(file: FileIO, path: Path) -> None:
    file.close()
    path.unlink(missing_ok=True)
