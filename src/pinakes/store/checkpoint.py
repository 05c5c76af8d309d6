"""Checkpoints that keep the write-ahead log bounded and stall no request.

A second thread copies the log into the database while writes go on; on its own it would never catch up under load. So
when it has done the bulk, the writer copies the small rest between two commits, after which SQLite starts the log anew.
"""

import threading
from collections.abc import Callable

import apsw

_START_BYTES = 8 << 20
_WAIT_BYTES = 40 << 20


class Checkpointer:
    """Watches the log of `writer`; `connect` opens the connection of the second thread."""

    def __init__(self, writer: apsw.Connection, connect: Callable[[], apsw.Connection]) -> None:
        self._writer = writer
        self._page_bytes = int(writer.pragma("page_size"))
        self._connect = connect
        self._start = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._is_bulk_done = False
        self._is_closing = False
        self.log_bytes = 0
        writer.set_wal_hook(self._on_commit)
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def _on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.log_bytes = pages * self._page_bytes
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Called by the writer between transactions."""
        if self.log_bytes < _START_BYTES:
            return
        if self._idle.is_set() and not self._is_bulk_done:
            self._idle.clear()
            self._start.set()
        if self.log_bytes > _WAIT_BYTES:
            self._idle.wait()
        if self._is_bulk_done:
            self._is_bulk_done = False
            _checkpoint(self._writer)

    def _run(self) -> None:
        connection = self._connect()
        while True:
            self._start.wait()
            self._start.clear()
            if self._is_closing:
                connection.close()
                return
            _checkpoint(connection)
            self._is_bulk_done = True
            self._idle.set()

    def close(self) -> None:
        """End the thread and empty the log."""
        self._is_closing = True
        self._start.set()
        self._thread.join()
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return  # another process reads: it, or the next one to close, empties the log


def _checkpoint(connection: apsw.Connection) -> None:
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:
        return  # another process is at it; the next commit looks again
