"""Background work of a server: threads that do the jobs there are, and one that sweeps when it is time.

Several workers may run on one library, in as many processes: a job is claimed under a lease, and so is the turn to
sweep; who is killed renews it no more.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import structlog

from pinakes import asset_bytes, ids, ingredients, processes, upkeep, uploads
from pinakes.background import stand_back
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.jobs import LEASE_MS, Job, JobKind
from pinakes.turns import Turn

_log = structlog.get_logger("pinakes.worker")

MOST_ATTEMPTS = 5
"""Claims of a job after which it is given up: what ends the worker, or finds a bug, each time."""

_JOBS_A_DECODER = 3
"""A decoder must not rest while a file is joined, or what was made of it reaches the disk."""

_FETCHES = 4
"""Files fetched at a time. Slow hosts keep only other fetches waiting."""

_POLL_S = 1.0
_SPREAD_S = 0.5
"""Within which all look for jobs a first time: each opens a connection, and all at once would keep others waiting."""

_LOOK_S = 60.0
_LEARN_S = 2.0
_STOP_S = 8.0
_LONGEST_WAIT_MS = 60_000
_AWAY_WAIT_MS = 10_000


class _Doing(NamedTuple):
    """The verbs of a kind of job."""

    settle: Callable[[Library, Job], None]
    give_up: Callable[[Library, Job, str], None]


_DOING: dict[JobKind, _Doing] = {
    "fetch": _Doing(uploads.settle, uploads.give_up),
    "link": _Doing(ingredients.settle, ingredients.give_up),
    "probe": _Doing(asset_bytes.settle, asset_bytes.give_up),
    "upload": _Doing(uploads.settle, uploads.give_up),
}


class Worker:
    """Started and stopped by whoever serves the library."""

    def __init__(self, library: Library, first_after_s: float = 60.0, every_s: float = 3600.0) -> None:
        self._library = library
        self._first_after_s = first_after_s
        self._every_s = every_s
        self._stopping = threading.Event()
        self._doing: set[Job] = set()
        self._turn = Turn(library, "sweep_due_at")
        count = _FETCHES + _JOBS_A_DECODER * library.config.decode_processes
        targets: list[Callable[[], None]] = [
            self._sweep_often,
            self._renew_leases,
            *[partial(self._do_jobs, number / count, number < _FETCHES) for number in range(count)],
            *[self._note_often, self._learn_often] * (not library.store.is_embedded),
        ]
        self._threads = [
            threading.Thread(target=target, name=f"worker-{number}", daemon=True)
            for number, target in enumerate(targets)
        ]

    def start(self) -> None:
        """Begin, in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the jobs and the transaction it is at. Call before closing the library.

        Does not wait longer than a lease lasts: a job that takes longer is taken up again by whoever comes next, and
        being stopped is not counted as one of its failures.
        """
        self._stopping.set()
        self._library.work.set()
        ends = time.monotonic() + _STOP_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, ends - time.monotonic()))
        for job in list(self._doing):
            self._put_back(job, 0, counts=False)

    def _do_jobs(self, place: float, is_fetch: bool) -> None:
        stand_back()
        work = self._library.work
        self._stopping.wait(place * _SPREAD_S)
        while not self._stopping.is_set():
            work.wait(_POLL_S)
            work.clear()
            while not self._stopping.is_set() and self._do_one(is_fetch):
                pass

    def _do_one(self, is_fetch: bool) -> bool:
        """Whether there was something to do."""
        try:
            job = _claim(self._library, is_fetch)
        except PinakesError as error:
            _log.warning("no job can be claimed", code=error.code, error=error.message)
            return False
        if job is None:
            return False
        self._doing.add(job)
        try:
            self._do(job)
        finally:
            self._doing.discard(job)
        return True

    def _do(self, job: Job) -> None:
        doing, facts = _DOING[job.kind], {"job": job.kind, "subject": job.subject, "attempts": job.attempts}
        try:
            if job.attempts > MOST_ATTEMPTS:
                doing.give_up(
                    self._library, job, "the server has tried several times to look into the file, and failed"
                )
            else:
                doing.settle(self._library, job)
        except PinakesError as error:
            # GONE: another worker has taken it up. UNAVAILABLE may be over soon, and is no fault of the job.
            _log.warning("job not done", code=error.code, error=error.message, **facts)
            if error.code == "UNAVAILABLE":
                self._put_back(job, _AWAY_WAIT_MS, counts=False)
            elif error.code != "GONE":
                self._put_back(job, 1000 << job.attempts, counts=True)
        except Exception:  # noqa: BLE001 - a bug, but no reason to do no more jobs
            _log.exception("job failed", **facts)
            self._put_back(job, 1000 << job.attempts, counts=True)
        else:
            _log.info("job done", **facts)

    def _put_back(self, job: Job, wait_ms: int, counts: bool) -> None:
        due_at = ids.iso(ids.now_ms() + min(wait_ms, _LONGEST_WAIT_MS))
        with _warning("job comes back when its lease ends"), self._library.store.write(beside=True) as tx:
            tx.jobs.put_back(job, due_at, counts)

    def _renew_leases(self) -> None:
        while not self._stopping.wait(LEASE_MS / 3000):
            self._renew()

    def _renew(self) -> None:
        with _warning("leases not renewed"):
            self._turn.renew()
            doing = list(self._doing)
            if doing:
                with self._library.store.write(beside=True) as tx:
                    for job in doing:
                        tx.jobs.renew(job)

    def _sweep_often(self) -> None:
        stand_back()
        wait_s = self._first_after_s
        while not self._stopping.wait(wait_s):
            with _warning("sweep failed"):
                self._sweep_in_turn()
            wait_s = min(self._every_s, _LOOK_S)

    def _sweep_in_turn(self) -> None:
        """One process of a library sweeps at a time, and the next when it is time again, whichever that is."""
        if not self._turn.take():
            return
        self._sweep()
        wait_ms = 0 if self._stopping.is_set() else int(self._every_s * 1000)
        self._turn.end(ids.iso(ids.now_ms() + wait_ms))

    def _sweep(self) -> None:
        try:
            report = upkeep.sweep(self._library, rest=self._rest)
        except PinakesError as error:
            _log.warning("sweep failed", code=error.code, error=error.message)
        except Exception:  # noqa: BLE001 - a bug, but no reason to stop serving, nor to try no more
            _log.exception("sweep failed")
        else:
            _log.info("swept", **{name: getattr(report, name) for name in report.__struct_fields__})

    def _rest(self, seconds: float) -> bool:
        """Whether to sweep no further."""
        return self._stopping.wait(seconds) or self._turn.is_lost()

    def _note_often(self) -> None:
        """Tell other processes that this one is there, and whoever reads the log where settings do not agree."""
        this, told = processes.this(self._library), dict[str, list[str]]()
        while not self._stopping.is_set():
            with _warning("process not noted"):
                told, before = processes.note(self._library, this), told
                for name in told:
                    if told[name] != before.get(name):
                        _log.warning("settings differ", other=name, settings=told[name])
            self._stopping.wait(processes.NOTE_S)
        with _warning("process not noted"):
            processes.end(self._library, this)

    def _learn_often(self) -> None:
        """A young table takes bad ways until its engine has looked at it, which would do so by itself in a minute."""
        while not self._stopping.wait(_LEARN_S):
            try:
                with _warning("grown tables not looked at"), self._library.store.transaction() as tx:
                    tx.upkeep.learn()
            except Exception:  # noqa: BLE001 - a bug, but no reason to look no more
                _log.exception("grown tables not looked at")


@contextmanager
def _warning(event: str) -> Iterator[None]:
    """What cannot be done now is logged, and comes right later."""
    try:
        yield
    except PinakesError as error:
        _log.warning(event, code=error.code, error=error.message)


def _claim(library: Library, is_fetch: bool) -> Job | None:
    """Looked for by reading first: most of the time there is nothing, and that must not take the writer."""
    with library.store.glance() as tx:
        if not tx.jobs.is_due(is_fetch):
            return None
    with library.store.write(beside=True) as tx:
        return tx.jobs.claim(is_fetch)
