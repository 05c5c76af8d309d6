"""What PostgreSQL says when it cannot do a thing, as errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from pinakes.errors import PinakesError
from pinakes.store.connections import is_lost

AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
"""Told to a transaction that met another: nothing of it is stored, and it may be run anew."""
_FULL = (errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections)
_NOT_NOW = (
    *(errors.LockNotAvailable, errors.QueryCanceled, errors.IdleInTransactionSessionTimeout),
    *(errors.CannotConnectNow, errors.ObjectInUse, errors.TransactionTimeout),
)


class Lost(Exception):  # noqa: N818 - what happened to a transaction, for whoever might run it again
    """The server went before the transaction was to be committed, or takes no writes: nothing of it is stored."""


@contextmanager
def violations() -> Iterator[None]:
    """Errors of the engine as ours: what may be over soon is UNAVAILABLE and may be tried again; the rest is a bug."""
    try:
        yield
    except Lost as error:
        raise _unavailable("The database was away for a moment; try again.") from error
    except AGAIN as error:
        raise _unavailable("Many change the same at once; try again.") from error
    except _FULL as error:
        raise _unavailable(f"The database has run out of something: {error.diag.message_primary}.") from error
    except _NOT_NOW as error:
        raise _unavailable(f"The database cannot do that now: {error.diag.message_primary}.") from error
    except (errors.DataCorrupted, errors.IndexCorrupted) as error:
        message = f"The database is damaged: {error.diag.message_primary}. Its own log says more; restore a backup."
        raise PinakesError("UNAVAILABLE", message) from error
    except errors.InsufficientPrivilege as error:
        message = f"The user of database_url may not do what a library needs: {error.diag.message_primary}."
        raise PinakesError("UNAVAILABLE", message) from error
    except psycopg.Error as error:
        if not (is_lost(error) or isinstance(error, psycopg.OperationalError)):
            raise
        reason = str(error).strip().splitlines()[0]
        if "session is read-only" in reason:
            raise _unavailable("The database takes no writes: it is a standby, or set to be read only.") from error
        raise _unavailable(f"The database of database_url does not answer: {reason}") from error


def _unavailable(message: str) -> PinakesError:
    return PinakesError("UNAVAILABLE", message, retryAfter=1)
