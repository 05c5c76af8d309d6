"""The files that a command was given: what they are when it begins, and the bytes of one part."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG

import msgspec

from pinakes.errors import PinakesError

_CHUNK = 1 << 20


class File(msgspec.Struct, frozen=True):
    """A file as it was found; `error` says why it cannot be sent."""

    path: Path
    size: int = 0
    mtime_ns: int = 0
    error: str | None = None

    @property
    def name(self) -> str:
        return readable(self.path.name)

    def require_unchanged(self) -> None:
        """BAD_REQUEST when it is not the file any more that it was."""
        now = _look(self.path)
        if (now.size, now.mtime_ns, now.error) != (self.size, self.mtime_ns, self.error):
            raise PinakesError("BAD_REQUEST", now.error or "it was changed while it was sent; send it again.")

    def read(self, at: int, size: int) -> Iterator[bytes]:
        """Bytes [at, at + size) in chunks. BAD_REQUEST when they are not there, or cannot be read."""
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(at)
                while size:
                    chunk = file.read(min(_CHUNK, size))
                    if not chunk:
                        raise PinakesError("BAD_REQUEST", "it was cut short while it was sent; send it again.")
                    size -= len(chunk)
                    yield chunk
        except OSError as error:
            raise PinakesError("BAD_REQUEST", _why(error)) from error

    def digest(self, name: str, at: int, size: int) -> bytes:
        """A hash of bytes [at, at + size). Raises as `read` does."""
        digest = hashlib.new(name, usedforsecurity=False)
        for chunk in self.read(at, size):
            digest.update(chunk)
        return digest.digest()


def find_files(paths: Iterable[Path]) -> Iterator[File]:
    """Each of these once, in order, and for a folder what is below it, but for what is hidden or no file."""
    seen: set[str] = set()
    for path in paths:
        for found in _below(path) if path.is_dir() else [_look(path)]:
            if (whole := str(found.path.absolute())) not in seen:
                seen.add(whole)
                yield found


def readable(text: str | Path) -> str:
    """A name of the file system as text that can be printed and sent: what is no UTF-8 in it is marked."""
    return os.fsencode(text).decode("utf-8", "replace")


def _below(folder: Path) -> Iterator[File]:
    failed: list[File] = []
    for at, folders, names in os.walk(folder, onerror=lambda e: failed.append(File(Path(e.filename), error=_why(e)))):
        yield from failed
        failed.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            if not name.startswith(".") and (path.is_file() or not path.exists()):
                yield _look(path)
    yield from failed


def _look(path: Path) -> File:
    try:
        found = path.stat()
    except OSError as error:
        return File(path, error=_why(error))
    if not S_ISREG(found.st_mode):
        return File(path, error="it is no file.")
    if not found.st_size:
        return File(path, error="it is empty.")
    return File(path, found.st_size, found.st_mtime_ns)


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file."
    return f"it cannot be read: {error.strerror}."
