"""Checkpoints that keep the write-ahead log bounded and stall no request.

A second thread copies the log into the database while writes go on; on its own it would never catch up under load. So
when it has done the bulk, the writer copies the small rest between two commits, after which SQLite starts the log anew.
While a reader needs the log as it is, it grows, and after every `_RETRY_BYTES` both try again.
"""

import threading
from collections.abc import Callable

import apsw

from pinakes.store.group import report

_START_BYTES = 8 << 20
_RETRY_BYTES = 1 << 20
_WAIT_BYTES = 40 << 20


class Checkpointer:
    """Watches the log of `writer`; `connect` opens the connection of the second thread."""

    def __init__(self, writer: apsw.Connection, connect: Callable[[], apsw.Connection]) -> None:
        self._writer = writer
        self._page_bytes = int(writer.pragma("page_size"))
        self._second = connect()
        self._start = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._is_bulk_done = False
        self._is_closing = False
        self._is_reported = False
        self._due_bytes = _START_BYTES
        self.log_bytes = 0
        writer.set_wal_hook(self._on_commit)
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def _on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.log_bytes = pages * self._page_bytes
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Called by the writer between transactions. Raises nothing: the commit before it stands."""
        if self.log_bytes < _START_BYTES:
            self._due_bytes = _START_BYTES  # the log was started anew
        if self.log_bytes < self._due_bytes:
            return
        if self._idle.is_set() and not self._is_bulk_done:
            self._idle.clear()
            self._start.set()
        if self.log_bytes > self._due_bytes + _WAIT_BYTES:
            self._idle.wait()
        if self._is_bulk_done:
            self._is_bulk_done = False
            self._due_bytes = self.log_bytes + _RETRY_BYTES
            self._checkpoint(self._writer)

    def _run(self) -> None:
        while True:
            self._start.wait()
            self._start.clear()
            if self._is_closing:
                self._second.close()
                return
            try:
                self._checkpoint(self._second)
            finally:  # else the writer would wait for ever
                self._is_bulk_done = True
                self._idle.set()

    def close(self) -> None:
        """End the thread and empty the log, as far as other processes let us; a second time nothing."""
        if self._is_closing:
            return
        self._is_closing = True
        self._start.set()
        self._thread.join()
        # To wait for a reader to let go of the log would keep every other writer waiting too.
        self._writer.set_busy_timeout(0)
        self._checkpoint(self._writer, apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _checkpoint(self, connection: apsw.Connection, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> None:
        """One that fails loses nothing, because the log keeps what it holds: the next tries again, or the next to open.

        Busy means that another process reads or is at it; full and failing disks are what the next commit that needs
        them tells of. Anything else nobody would hear of: it is reported, once, and ends no thread.
        """
        try:
            connection.wal_checkpoint(mode=mode)
        except (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError):
            return
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            if not self._is_reported:
                report(error)
            self._is_reported = True
