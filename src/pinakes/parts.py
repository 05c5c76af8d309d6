"""Parts of files that are on their way, below `uploads/<upload>/`, until they are joined to a blob."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from pinakes.errors import PinakesError
from pinakes.upload_types import StoredPart

MOST_PART = 5 << 30
"""What S3 takes as one."""

Look = Callable[[bytes], None]
"""Is shown every chunk of a file, in order."""


class PartLink(NamedTuple):
    """Where a part is sent to, and until when, in seconds since the epoch."""

    url: str
    expires: int


class PartWriter(Protocol):
    """One part on its way in. What is not finished leaves nothing behind once it is let go of."""

    def write(self, chunk: bytes) -> None:
        """More of it. UNAVAILABLE when the store does not take it."""
        ...

    def digest(self) -> bytes:
        """The sha256 so far."""
        ...

    def finish(self) -> StoredPart:
        """The part as it is kept, durable when this returns."""
        ...


class Parts(Protocol):
    """The parts beside the blobs they become. Every method raises UNAVAILABLE when the store does not answer.

    `is_listed`: which parts are there is told by `there` alone, because clients may send them past us; elsewhere by the
    database. `at_once` is how many may come in at a time.
    """

    is_listed: bool
    at_once: int

    def begin(self, upload_id: str, number: int, most_bytes: int = MOST_PART) -> PartWriter:
        """Take a part of at most this size, which decides how much of it is held."""
        ...

    def free_bytes(self) -> int | None:
        """What the disk has left, None where there is no such bound."""
        ...

    def there(self, upload_id: str) -> list[StoredPart]:
        """The parts of an upload that lie here, in order. Empty where that is not how they are found."""
        ...

    def links(self, upload_id: str, count: int, lifetime_s: int) -> list[PartLink] | None:
        """Where parts 1 to `count` may be put straight into the store; None where they are sent to us."""
        ...

    def join(self, upload_id: str, parts: Sequence[StoredPart], look: Look | None = None) -> str:
        """Make a blob of the parts, in this order, and return its hash; `look` is shown every chunk of it.

        It may be repeated after it was interrupted at any moment. BAD_REQUEST when a part is missing, was cut, or was
        replaced meanwhile; UNAVAILABLE when it cannot be done now.
        """
        ...

    def delete(self, upload_id: str) -> None:
        """Remove what is left of an upload's parts, and what was not finished when a process was killed.

        Whoever is still writing one fails.
        """
        ...

    def require(self, upload_id: str, part: StoredPart) -> None:
        """UNAVAILABLE for a part that was dropped before it is noted. For transactions: it asks no network."""
        ...

    def drop(self, upload_id: str, part: StoredPart) -> None:
        """Remove one part, if it is there, and nothing else is where it was."""
        ...

    def lost(self, upload_id: str, parts: Sequence[StoredPart]) -> list[StoredPart]:
        """Those of the parts that are not there any more."""
        ...

    def read(self, upload_id: str, part: StoredPart) -> Iterator[bytes]:
        """The bytes of a part. BAD_REQUEST when it is not there, or was cut."""
        ...

    def uploads(self) -> dict[str, int]:
        """The ids of uploads that have something here, and when the newest of that was written."""
        ...


def lost(part: StoredPart) -> PinakesError:
    return PinakesError(
        "BAD_REQUEST", f"parts: part {part.number} is not there any more; send it again.", field="parts"
    )
