"""What differs between engines, and nothing else: fragments of SQL, and which violation became which error.

Statements elsewhere in `store` are written once, with `?` for parameters. Lists of ids travel as one JSON parameter,
because every engine limits the number of parameters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import apsw
import msgspec

from pinakes.errors import PinakesError

Row = tuple[Any, ...]

IDS = "(SELECT value FROM json_each(?))"
"""A list of ids as a subquery; its parameter is made by `id_list`."""

PAIRS = "(SELECT key AS name, value FROM json_each(?))"
"""Names with a text each as a subquery; its parameter is made by `pair_list`."""

NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
"""Milliseconds since the epoch by the clock of the database."""

_encode = msgspec.json.Encoder().encode
_decode_names = msgspec.json.Decoder(list[str]).decode


class Driver(Protocol):
    """One connection inside a transaction."""

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of a statement."""
        ...

    def change(self, sql: str, params: tuple[Any, ...] = ()) -> int:
        """The number of rows that a statement inserted, updated or deleted."""
        ...


def id_list(ids: Any) -> str:
    """The parameter for `IDS`."""
    return _encode(list(ids)).decode()


def pair_list(pairs: dict[str, str]) -> str:
    """The parameter for `PAIRS`."""
    return _encode(pairs).decode()


def names_of(aggregate: str) -> list[str]:
    """What an aggregate of names (`json_group_array`) holds."""
    return _decode_names(aggregate) if aggregate != "[]" else []


@contextmanager
def violations() -> Iterator[None]:
    """Engine errors as ours: a busy or full store is UNAVAILABLE and may be tried again; anything else is a bug."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise PinakesError("UNAVAILABLE", "The database is busy with another process; try again.") from error
    except apsw.ConnectionClosedError as error:
        raise PinakesError("UNAVAILABLE", "The library is closed.") from error
    except apsw.FullError as error:
        raise PinakesError("UNAVAILABLE", "The disk of the database is full; free some space.") from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise PinakesError("UNAVAILABLE", f"The database cannot be read or written: {error}") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise PinakesError("UNAVAILABLE", f"The database file is damaged; restore a backup: {error}") from error
