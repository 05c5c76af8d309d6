"""Reads from a replica, which miss nothing that was committed before they began; from the primary where they would.

A read asks the primary how far its log is on disk: everything that was answered is before that. The replica is then
given a moment to get there too. One that does not, or is away, is left alone for a while, and looked after by a thread
of its own, so that no read waits for it to be reached.
"""

import threading
import time

import psycopg
import structlog

from pinakes.errors import PinakesError
from pinakes.store.connections import Connections, Link

_log = structlog.get_logger("pinakes.store")

_WAIT_S = 2
"""For a replica that does not answer at all."""
_REST_S = 1.0
_TELL_S = 60.0

_WHO = "SELECT system_identifier || ' ' || current_database() FROM pg_control_system()"
_WRITTEN = "SELECT pg_walfile_name(place) || ' ' || place FROM pg_current_wal_flush_lsn() place"
"""The name begins with the timeline, in eight hexadecimal digits."""
_REPLAYED = """
WITH RECURSIVE look(turn, is_there) AS (
    SELECT 0, pg_last_wal_replay_lsn() >= '{place}' AND is_same FROM ours
    UNION ALL
    SELECT turn + 1, CASE WHEN pg_sleep(0.002) IS NOT NULL THEN pg_last_wal_replay_lsn() >= '{place}' END
    FROM look, ours WHERE NOT is_there AND is_same AND turn < 50
), ours AS (SELECT timeline_id = {timeline} AS is_same FROM pg_control_checkpoint())
SELECT bool_or(is_there) FROM look
"""
"""Looks for a tenth of a second. Places of another timeline, as after a failover, say nothing about ours."""


class Replica:
    """What hands out connections for reading, as `Connections` does."""

    def __init__(self, primary: Connections, url: str, setup: str, most: int, *, is_prepared: bool) -> None:
        self._primary = primary
        self._connections = Connections(url, setup, most, _WAIT_S, is_prepared=is_prepared, is_replica=True)
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._told_at = -_TELL_S
        self._is_looking = False
        self.reads = 0
        self.misses = 0

    def take(self, mode: str | None = None) -> Link:
        """A connection, and on it a transaction if `mode` says so, to the replica if that has all there is by now."""
        link = self._idle()
        if link is not None:
            where = self._written(link)
            try:
                if link.ask(_replayed(where), _WAIT_S) == "t":
                    if mode is not None:
                        link.ask(link.beginning(mode), _WAIT_S)
                    self.reads += 1
                    return link
                self._rest("it is behind")
            except psycopg.Error as error:
                link.close()
                self._rest(error)
            self._connections.give(link)
        self.misses += 1
        return self._primary.take(mode)

    def _idle(self) -> Link | None:
        if time.monotonic() < self._rests_until:
            return None
        link = self._connections.take_idle()
        if link is None:
            self._look()
        return link

    def _written(self, link: Link) -> str:
        """How far the log of the primary is on disk."""
        try:
            return str(self._primary.ask(_WRITTEN))
        except BaseException:
            self._connections.give(link)
            raise

    def give(self, link: Link) -> None:
        """Keep a connection for the next. One that did not end well means that the replica had better rest."""
        if not link.is_replica:
            self._primary.give(link)
            return
        if not link.is_usable():
            self._rest("it ended a read")
        self._connections.give(link)

    def _rest(self, why: object) -> None:
        """Read from the primary for a while; said once a minute."""
        now = time.monotonic()
        with self._lock:
            self._rests_until = now + _REST_S
            is_told = now < self._told_at + _TELL_S
            self._told_at = self._told_at if is_told else now
        if not is_told:
            _log.warning("replica not read", error=str(why), reads=self.reads, misses=self.misses)

    def _look(self) -> None:
        """Have one more connection made beside all reads, unless the replica rests."""
        with self._lock:
            if self._is_looking or time.monotonic() < self._rests_until:
                return
            self._is_looking = True
        threading.Thread(target=self._connect, name="replica", daemon=True).start()

    def _connect(self) -> None:
        try:
            link = self._connections.take()
            try:
                if link.ask(_WHO, _WAIT_S) != self._primary.ask(_WHO):
                    link.close()
                    self._rest("database_read_url leads to another database than database_url")
            except BaseException:
                link.close()
                raise
            finally:
                self._connections.give(link)
        except (psycopg.Error, PinakesError) as error:
            self._rest(error)
        finally:
            self._is_looking = False

    def statements(self) -> int:
        """How many statements the replica has run so far."""
        return self._connections.statements()

    def close(self) -> None:
        """Let go of all connections to the replica."""
        self._connections.close()


def _replayed(where: str) -> str:
    name, place = where.split(" ")
    return _REPLAYED.format(place=place, timeline=int(name[:8], 16))
