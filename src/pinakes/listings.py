"""What a store lists, in place of a question for each file of it: a thousand answers to a request across a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from pinakes.blobs import BlobInfo, Blobs

T = TypeVar("T")


class Looked(Protocol):
    """What is asked of bytes that something refers to, of a store or of its listing."""

    def info(self, sha256: str) -> BlobInfo | None: ...
    def has_thumbnail(self, sha256: str, size: int) -> bool: ...
    def has_preview(self, sha256: str) -> bool: ...
    def verify(self, sha256: str) -> bool: ...


class Listing:
    """Blobs and their thumbnails, as far as was listed, for questions in the order of hashes.

    Stores list by name, and names begin with hashes. Should one do otherwise, or bytes come too late to be listed,
    they are missing here and have to be asked for.
    """

    def __init__(self, blobs: Blobs) -> None:
        self.verify = blobs.verify
        self._infos: dict[str, BlobInfo] = {}
        self._names: set[str] = set()
        self._blobs = _Ahead(blobs.all(), lambda info: info.sha256)
        self._thumbnails = _Ahead(blobs.thumbnails(), lambda found: found[1].sha256)

    def advance(self, last: str) -> None:
        """Go on to this hash, and forget what was before."""
        self._infos = {info.sha256: info for info in self._blobs.until(last)}
        self._names = {key.rpartition("/")[2] for key, _ in self._thumbnails.until(last)}

    def info(self, sha256: str) -> BlobInfo | None:
        return self._infos.get(sha256)

    def has_thumbnail(self, sha256: str, size: int) -> bool:
        return f"{sha256}-{size}.webp" in self._names

    def has_preview(self, sha256: str) -> bool:
        return f"{sha256}-preview.webp" in self._names


class _Ahead(Generic[T]):
    """Takes from an iterator up to some key, and keeps the one beyond that."""

    def __init__(self, items: Iterator[T], key: Callable[[T], str]) -> None:
        self._items: Iterator[T] = items
        self._key = key
        self._next = next(items, None)

    def until(self, last: str) -> Iterator[T]:
        while self._next is not None and self._key(self._next) <= last:
            yield self._next
            self._next = next(self._items, None)
