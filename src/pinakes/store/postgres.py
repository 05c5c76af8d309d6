"""The engine for many processes: PostgreSQL through psycopg, a transaction for each verb or for several that wait.

Each statement sees what is committed when it begins (READ COMMITTED), and these locks make verbs take turns where they
must (docs/decisions/0018-postgresql.md): a row that a verb is about to change (`dialect.LOCKED`), and advisory locks of
the transaction on the library and on the project, shared by those who work beside others.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.store import Done, Tx, closing, group, schema
from pinakes.store.batch import Apart, Batch
from pinakes.store.connections import Connections, Link, is_lost
from pinakes.store.failures import AGAIN, Lost, violations
from pinakes.store.group import Outcome, Verb
from pinakes.store.postgres_schema import LOCKS, version_of
from pinakes.store.replica import Replica
from pinakes.store.writers import Writers

T = TypeVar("T")

_LIBRARY = 0
_READ_ONLY = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PATIENT = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_WRITERS = 4
"""Threads that change things. Few, so that each has some to commit together; several, for they wait for the server."""
_HASTY = "SET LOCAL lock_timeout = '50ms'"
"""Longer than a batch lasts, so that one waits for another; far shorter than it takes to notice a deadlock of two."""
_LATER = (*AGAIN, errors.LockNotAvailable, Lost)
"""Nothing is stored then, and whoever is patient may do it."""
_MOST_TRIES = 8


class _Here(threading.local):
    """What the thread that asks is at: its transaction, the locks that has, and how it is to be run."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.held: set[tuple[int, bool]] = set()
        self.batch: Batch | None = None
        self.is_hasty = False
        """Whether it is to give up a lock that somebody holds for long."""


class PostgresStore:
    """The engine of `pinakes.store.Store` on one database."""

    is_embedded = False

    def __init__(
        self,
        url: str,
        *,
        read_url: str = "",
        connections: int = 16,
        lock_timeout_s: int = 5,
        statement_timeout_s: int = 30,
        is_prepared: bool = True,
    ) -> None:
        self._url = url
        self._is_prepared = is_prepared
        self._here = _Here()
        limits = f"SET lock_timeout = '{lock_timeout_s}s'; SET statement_timeout = '{statement_timeout_s}s'"
        setup = f"{limits}; SET enable_seqscan = off"  # every table has an index on what is asked of it
        self._connections = Connections(url, setup, connections, lock_timeout_s, is_prepared=is_prepared)
        self._replica = None
        if read_url:
            self._replica = Replica(self._connections, read_url, setup, connections, is_prepared=is_prepared)
        self._readers: Connections | Replica = self._connections
        threads = max(1, min(_WRITERS, connections // 2))
        self._writers = Writers(threads, connections - threads, self._hastily, self._alone)
        with violations():
            schema.require("postgres", version_of(url), "The database", "--database-url URL")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        if link := self._here.link:
            yield _tx(link)
            return
        with violations():
            link = self._readers.take(_READ_ONLY)
            try:
                yield _tx(link)
                link.commit()
            except BaseException as error:
                _end(link, error)
                raise
            finally:
                self._readers.give(link)

    def replica(self) -> "PostgresStore":
        if self._replica is None:
            return self
        store = copy(self)
        store._readers = self._replica
        return store

    @contextmanager
    def glance(self) -> Iterator[Tx]:
        if link := self._here.link:
            yield _tx(link)
            return
        with violations():
            link = self._readers.take()
            try:
                yield _tx(link)
            except BaseException as error:
                _end(link, error)
                raise
            finally:
                self._readers.give(link)

    @contextmanager
    def survey(self) -> Iterator[Tx]:
        """One transaction, for what it notes is gone with it; each of its statements sees what is committed then."""
        with violations():
            link = Link(self._url, is_prepared=False)
            try:
                link.command(f"BEGIN; {_PATIENT}")
                yield Tx(link)
            finally:
                link.close()

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        if link := self._here.link:
            yield _tx(link)
            return
        here = self._here
        with violations():
            link = self._connections.take()
            link.is_writing = True
            here.link, here.held = link, set()
            tx = _tx(link)
            tx.access.begin()
            try:
                yield tx
            except errors.ReadOnlySqlTransaction as error:
                link.close()  # it leads to what is a standby by now; another may take writes
                raise Lost from error
            except BaseException as error:
                _end(link, error)
                raise
            else:
                if here.held:
                    link.commit()
            finally:
                here.link = None
                self._connections.give(link)

    @contextmanager
    def write(self, owner: int | None = None, *, beside: bool = False) -> Iterator[Tx]:
        with self.transaction() as tx:
            link, batch = self._link(), self._here.batch
            is_joining = batch and batch.admit(beside)
            if not self._here.held:
                with self._begun(link):
                    self._lock(link, owner, beside)
                    yield tx
            else:
                self._lock(link, owner, beside)
                with batch.joining(link) if batch and is_joining else _savepoint(link):
                    yield tx

    @contextmanager
    def _begun(self, link: Link) -> Iterator[None]:
        """The transaction that this write has begun. If it fails, whatever goes on after that begins another."""
        try:
            yield
        except BaseException as error:
            _end(link, error)
            self._here.held.clear()
            raise

    @contextmanager
    def fill(self) -> Iterator[Tx]:
        with self.transaction() as tx:
            if batch := self._here.batch:
                batch.admit(is_beside=False)
            link = self._link()
            link.command(f"{link.beginning()}; {_PATIENT}; SELECT {_lock_call(_LIBRARY, is_shared=False)}")
            self._here.held.add((_LIBRARY, False))
            yield tx

    def _lock(self, link: Link, owner: int | None, beside: bool) -> None:
        """Take turns: with all others in the library, or with those in the project, or `beside` with neither.

        The first lock begins the transaction. Whether the library takes changes is known to whoever has its turn, and
        is asked for on the same way.
        """
        wanted = [(_LIBRARY, beside or owner is not None), *([] if owner is None else [(owner, beside)])]
        held = self._here.held
        if missing := [lock for lock in wanted if lock not in held and (lock[0], False) not in held]:
            turns = ", ".join(_lock_call(number, is_shared) for number, is_shared in missing)
            hasty = f"{_HASTY}; " if self._here.is_hasty else ""
            begin = "" if held else f"{link.beginning()}; {hasty}"
            if closed := link.command(f"{begin}SELECT {turns}; {closing.QUERY}"):
                raise closing.refusal(closed)
            if not held:
                _tx(link).access.begin()  # who was found before may have ended; from here on none does
            held.update(missing)

    def _link(self) -> Link:
        """The connection of the transaction that this thread is in."""
        return self._here.link  # type: ignore[return-value]

    def attempt(self, verb: Callable[[], T]) -> T:
        result, error = _outcome(verb)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def submit(self, verb: Verb, token: Any, done: Done, subject: tuple[str, ...] = ()) -> None:
        self._writers.submit(verb, token, done, subject)

    def _alone(self, verb: Verb) -> Outcome:
        return _outcome(partial(self._whole, verb))

    def _whole(self, verb: Verb) -> Any:
        """A verb in one transaction, also one that writes several times."""
        with self.transaction():
            return verb()

    def _hastily(self, verbs: list[Verb]) -> list[Outcome | None]:
        """Run verbs that wait for no lock of others for long; those that would are for `_alone`."""
        self._here.is_hasty = True
        try:
            return self._together(verbs) if len(verbs) > 1 else [self._at_once(verbs[0])]
        finally:
            self._here.is_hasty = False

    def _at_once(self, verb: Verb) -> Outcome | None:
        try:
            return self._whole(verb), None
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked for this verb
            return None if isinstance(error.__cause__, _LATER) else (None, error)

    def _together(self, verbs: list[Verb]) -> list[Outcome | None]:
        """Run verbs in one transaction; none is begun after 20 ms, for the first waits for the last.

        They have no savepoints: when one leaves a change that is not whole, nothing is stored of any. And only those
        belong together that work beside others; what has the project or the library to itself is not to wait.
        """
        outcomes: list[Outcome | None] = []
        self._here.batch = batch = Batch()
        try:
            with self.transaction():
                until = time.monotonic() + group.BATCH_SECONDS
                for verb in verbs:
                    outcomes.append(batch.run(verb, self._link()))
                    if time.monotonic() > until:
                        break
        except Apart:
            return [None] * len(verbs)
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked for these verbs
            if isinstance(error.__cause__, _LATER):
                return [None] * len(verbs)
            if not outcomes:  # there is no connection, and all have waited for one
                return [(None, error)] * len(verbs)
            return [outcome and (None, error) for outcome in outcomes]  # they may be stored, or not
        finally:
            self._here.batch = None
        return outcomes

    def ready(self) -> None:
        """UNAVAILABLE unless the database takes writes, which a standby does not."""
        with self.write(beside=True):
            if self._link().query("SELECT pg_is_in_recovery()") != [(False,)]:
                raise PinakesError("UNAVAILABLE", "The database takes no writes: it is a standby.")

    def backup(self, path: str) -> None:
        """The copy is a file of SQLite's, which can be restored into either engine."""
        from pinakes.store import portable

        with violations():
            link = Link(self._url, is_prepared=False)
            try:
                link.command(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_PATIENT}")
                portable.write_file(Tx(link), Path(path))
            finally:
                link.close()

    def version(self) -> int:
        return 0

    def statements(self) -> int:
        return self._connections.statements() + (self._replica.statements() if self._replica else 0)

    def replica_reads(self) -> tuple[int, int]:
        return (self._replica.reads, self._replica.misses) if self._replica else (0, 0)

    def log_bytes(self) -> int:
        """PostgreSQL looks after its log itself."""
        return 0

    def close(self) -> None:
        self._writers.close()
        if self._replica:
            self._replica.close()
        self._connections.close()


def open_store(config: Config) -> PostgresStore:
    """The database that a configuration names."""
    return PostgresStore(
        config.database_url,
        read_url=config.database_read_url,
        connections=config.database_connections,
        lock_timeout_s=config.busy_timeout_s,
        statement_timeout_s=config.statement_timeout_s,
        is_prepared=config.database_prepare,
    )


def _lock_call(number: int, is_shared: bool) -> str:
    return f"pg_advisory_xact_lock{'_shared' if is_shared else ''}({LOCKS}, {number & 0x7FFFFFFF})"


def _outcome(verb: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What came of a verb. One that met others, or lost its connection before its end, is run anew a few times."""
    for attempt in range(_MOST_TRIES):
        try:
            return verb(), None
        except PinakesError as error:
            if attempt == _MOST_TRIES - 1 or not isinstance(error.__cause__, (*AGAIN, Lost)):
                return None, error
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked for this verb
            return None, error
        time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - who met should not meet again
    raise AssertionError("the last try returns")


def _tx(link: Link) -> Tx:
    """The nouns' statements on a connection, made once."""
    tx: Tx = link.tx or Tx(link)
    link.tx = tx
    return tx


def _end(link: Link, error: BaseException) -> None:
    """End a transaction of which nothing is to be stored. What cannot be ended ends with its connection."""
    if is_lost(error):
        raise Lost from error
    if link.is_replica and isinstance(error, psycopg.Error):
        link.close()
    elif not link.is_usable():
        try:
            link.command("ROLLBACK")
        except psycopg.Error:
            link.close()


@contextmanager
def _savepoint(link: Link) -> Iterator[None]:
    link.command("SAVEPOINT verb")
    try:
        yield
    except BaseException as error:
        if not is_lost(error):
            link.command("ROLLBACK TO SAVEPOINT verb; RELEASE SAVEPOINT verb")
        raise
    link.command("RELEASE SAVEPOINT verb")
