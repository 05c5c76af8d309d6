"""Several processes that do the same work: started, watched, started anew when they die, and stopped together.

The parent opens no library and starts no thread, so that it can fork whenever a process died: the new one has its code
loaded already. What uvicorn's own supervisor lacks is in docs/decisions/0019-many-processes.md.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait

import structlog

from pinakes.errors import PinakesError

Work = Callable[[Callable[[], object]], int]
"""What a process does until SIGTERM; the exit status. It calls what it is given once it is ready."""

LEAST_S = 0.5
"""Between two starts in one place. It doubles with each start that failed."""

MOST_S = 8.0
MOST_FAILED = 5
STOP_S = 30.0
"""After that long, whoever was asked to stop and has not is killed."""

_STOPS = (signal.SIGTERM, signal.SIGINT)
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

_log = structlog.get_logger("server")


class _Place:
    """Where there is to be a process: the one that runs, or when the next is to start."""

    def __init__(self) -> None:
        self.pid = 0
        self.pipe = -1
        self.is_ready = False
        self.begun_at = 0.0
        self.start_at = 0.0
        self.failed = 0


class Supervisor:
    """`greet` runs in a process of its own, once, when all are ready. `buried` is called with the id of one that died.

    The first process starts alone: it may have a library to make, and if it cannot start, neither can the others.
    """

    def __init__(self, count: int, work: Work, greet: Callable[[], int], buried: Callable[[int], None]) -> None:
        self._places = [_Place() for _ in range(count)]
        self._work = work
        self._greet = greet
        self._buried = buried
        self._signals: list[int] = []
        self._wake, self._waker = os.pipe()
        self._is_greeted = False
        self._is_stopping = False
        self._kill_at = 0.0
        self._status = 0
        self._error: PinakesError | None = None

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit status. In a child it raises SystemExit, or what its work raises.

        UNAVAILABLE when a process is killed at the first start, or none can be started any more.
        """
        self._watch_signals()
        while self._next():
            for ready in wait([self._wake, *(place.pipe for place in self._places if place.pid)], self._patience()):
                self._hear(ready)
        if self._error:
            raise self._error
        return self._status

    def _watch_signals(self) -> None:
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for sign in _STOPS:
            signal.signal(sign, lambda number, _frame: self._signals.append(number))

    def _next(self) -> bool:
        """Do what is due; whether there is anything left to wait for."""
        now = time.monotonic()
        if self._is_stopping:
            if now >= self._kill_at:
                self._kill()
            return any(place.pid for place in self._places)
        is_first_ready = self._is_greeted or self._places[0].is_ready
        for place in self._places if is_first_ready else self._places[:1]:
            if not place.pid and now >= place.start_at:
                self._start(place)
        if not self._is_greeted and all(place.is_ready for place in self._places):
            self._say_hello()
        return True

    def _patience(self) -> float | None:
        """Seconds until something is due; None when nothing is before somebody is heard."""
        due = [self._kill_at] if self._is_stopping else []
        if self._is_greeted and not self._is_stopping:
            due = [place.start_at for place in self._places if not place.pid]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _hear(self, ready: object) -> None:
        if ready == self._wake:
            os.read(self._wake, 1024)
            while self._signals:
                self._stop(self._signals.pop(0))
            return
        place = next(place for place in self._places if place.pid and place.pipe == ready)
        if os.read(place.pipe, 1):
            place.is_ready, place.failed = True, 0
        else:
            self._ended(place)

    def _start(self, place: _Place) -> None:
        place.pipe, writes = os.pipe()
        place.is_ready, place.begun_at = False, time.monotonic()
        place.pid = self._fork(lambda: self._work(partial(os.write, writes, b".")))
        os.close(writes)

    def _fork(self, do: Callable[[], int]) -> int:
        """The id of a new process that does something; in that process it never returns.

        No signal comes between its start and the moment at which it has no handlers of ours any more.
        """
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            return pid
        self._let_go()
        _end_with(parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        raise SystemExit(do())

    def _let_go(self) -> None:
        """A child has nothing of what the parent watches, and hears no Ctrl-C but through the parent."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for sign in _STOPS:
            signal.signal(sign, signal.SIG_DFL)
        for place in self._places:
            if place.pid:
                os.close(place.pipe)
        os.close(self._wake)
        os.close(self._waker)

    def _say_hello(self) -> None:
        _, status = os.waitpid(self._fork(self._greet), 0)
        self._is_greeted = True
        if status:
            self._fail(os.waitstatus_to_exitcode(status))

    def _ended(self, place: _Place) -> None:
        os.close(place.pipe)
        pid, status = os.waitpid(place.pid, 0)
        place.pid, code, now = 0, os.waitstatus_to_exitcode(status), time.monotonic()
        self._buried(pid)
        if self._is_stopping:
            return
        place.failed += not place.is_ready
        place.is_ready = False
        place.start_at = max(now, place.begun_at + min(LEAST_S * 2**place.failed, MOST_S))
        if not self._is_greeted:
            self._fail(code)
            return
        again_s = round(place.start_at - now, 1)
        _log.error("worker died", pid=pid, status=code, lived_s=round(now - place.begun_at, 1), again_s=again_s)
        if all(other.failed >= MOST_FAILED for other in self._places):
            self._error = PinakesError("UNAVAILABLE", "No worker can be started any more; the log says why.")
            self._stop(signal.SIGTERM)

    def _fail(self, code: int) -> None:
        """End a start that did not succeed. A process that ended by itself has said why, and its status tells too."""
        if code > 0:
            self._status = code
        else:
            how = f"was killed by signal {-code}" if code else "ended"
            self._error = PinakesError("UNAVAILABLE", f"A worker {how} while it started.")
        self._stop(signal.SIGTERM)

    def _stop(self, sign: int) -> None:
        """Ask all to stop; another Ctrl-C asks them not to wait for anybody."""
        if not self._is_stopping:
            self._is_stopping, self._kill_at, sign = True, time.monotonic() + STOP_S, signal.SIGTERM
        for place in self._places:
            if place.pid:
                os.kill(place.pid, sign)

    def _kill(self) -> None:
        self._status, self._kill_at = 1, time.monotonic() + STOP_S
        for place in self._places:
            if place.pid:
                _log.error("worker killed, for it did not stop", pid=place.pid)
                os.kill(place.pid, signal.SIGKILL)


def _end_with(parent: int) -> None:
    """Have the system send SIGTERM to this process when the parent is gone, however it ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise SystemExit(1)
