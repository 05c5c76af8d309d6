"""Whether a database takes changes. One that is being copied to, and one that was moved away from, takes none.

So of all the places where rows of a library lie, one at most changes. The mark is a setting of the place, not of the
library, and no copy has it.
"""

import msgspec

from pinakes.errors import PinakesError

CLOSED = "closed"
"""The setting that is the mark."""

QUERY = f"SELECT value FROM setting WHERE name = '{CLOSED}'"


class Closed(msgspec.Struct, frozen=True):
    """`library` tells libraries apart, `copy` copies of one, and is the same at both ends of a move.

    `run` tells runs of the command apart, `place` is the other end, without passwords.
    """

    library: str
    copy: str
    run: str
    is_copy: bool
    place: str
    at: str


_decode = msgspec.json.Decoder(Closed).decode


def read(value: str) -> Closed:
    """The mark as it is stored."""
    return _decode(value)


def text(mark: Closed) -> str:
    """The mark to be stored."""
    return msgspec.json.encode(mark).decode()


def refusal(value: str) -> PinakesError:
    """What whoever wants to change something is told."""
    mark = read(value)
    if mark.is_copy:
        what = f"This is a copy of the library in {mark.place}, which takes changes there"
        return PinakesError("UNAVAILABLE", f"{what} until `pinakes move --switch` has ended.", retryAfter=60)
    what = f"This library was moved to {mark.place} at {mark.at} and takes changes there"
    return PinakesError("UNAVAILABLE", f"{what}: start the server with --database-url for it.", retryAfter=60)
