"""Background work of a server: one thread that sweeps soon after the start and then every hour."""

import threading

import structlog

from pinakes import upkeep
from pinakes.errors import PinakesError
from pinakes.library import Library

_log = structlog.get_logger("pinakes.worker")


class Worker:
    """Started and stopped by whoever serves the library. Several may run on one library, in as many processes."""

    def __init__(self, library: Library, first_after_s: float = 60.0, every_s: float = 3600.0) -> None:
        self._library = library
        self._first_after_s = first_after_s
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction it is at; waits for that. Call before closing the library."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_after_s
        while not self._stopping.wait(wait_s):
            self._sweep()
            wait_s = self._every_s

    def _sweep(self) -> None:
        try:
            report = upkeep.sweep(self._library, rest=self._stopping.wait)
        except PinakesError as error:
            _log.warning("sweep failed", code=error.code, error=error.message)
        except Exception:  # noqa: BLE001 - a bug, but no reason to stop serving, nor to try no more
            _log.exception("sweep failed")
        else:
            _log.info("swept", **{name: getattr(report, name) for name in report.__struct_fields__})
