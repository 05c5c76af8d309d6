"""Background work of a server: threads that do the jobs there are, and one that sweeps soon after the start and hourly.

Several workers may run on one library, in as many processes: a job is claimed under a lease, and who is killed renews
it no more.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from pinakes import assets, ids, ingredients, upkeep, uploads
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.jobs import LEASE_MS, Job, JobKind

_log = structlog.get_logger("pinakes.worker")

MOST_ATTEMPTS = 5
"""Claims of a job after which it is given up: what ends the worker, or finds a bug, each time."""

_JOBS_A_DECODER = 3
"""A decoder must not rest while a file is joined, or what was made of it reaches the disk."""

_POLL_S = 1.0
_STOP_S = 8.0
_LONGEST_WAIT_MS = 60_000


class _Doing(NamedTuple):
    """The verbs of a kind of job."""

    settle: Callable[[Library, Job], None]
    give_up: Callable[[Library, Job, str], None]


_DOING: dict[JobKind, _Doing] = {
    "link": _Doing(ingredients.settle, ingredients.give_up),
    "probe": _Doing(assets.settle, assets.give_up),
    "upload": _Doing(uploads.settle, uploads.give_up),
}


class Worker:
    """Started and stopped by whoever serves the library."""

    def __init__(self, library: Library, first_after_s: float = 60.0, every_s: float = 3600.0) -> None:
        self._library = library
        self._first_after_s = first_after_s
        self._every_s = every_s
        self._stopping = threading.Event()
        self._doing: dict[int, Job] = {}
        jobs = _JOBS_A_DECODER * library.config.decode_processes
        names = ["sweep", "lease", *(f"job-{number}" for number in range(jobs))]
        targets = {"sweep": self._sweep_often, "lease": self._renew_leases}
        self._threads = [
            threading.Thread(target=targets.get(name, self._do_jobs), name=f"worker-{name}", daemon=True)
            for name in names
        ]

    def start(self) -> None:
        """Begin, in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the jobs and the transaction it is at. Call before closing the library.

        Does not wait longer than a lease lasts: a job that takes longer is taken up again by whoever comes next.
        """
        self._stopping.set()
        self._library.work.set()
        ends = time.monotonic() + _STOP_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, ends - time.monotonic()))

    def _do_jobs(self) -> None:
        work = self._library.work
        while not self._stopping.is_set():
            work.wait(_POLL_S)
            work.clear()
            while not self._stopping.is_set() and self._do_one():
                pass

    def _do_one(self) -> bool:
        """Whether there was something to do."""
        try:
            job = _claim(self._library)
        except PinakesError as error:
            _log.warning("no job can be claimed", code=error.code, error=error.message)
            return False
        if job is None:
            return False
        self._doing[job.number] = job
        try:
            self._do(job)
        finally:
            del self._doing[job.number]
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
            # GONE: another worker has taken it up. Anything else may be over soon, and is no fault of the job.
            _log.warning("job not done", code=error.code, error=error.message, **facts)
            if error.code != "GONE":
                self._put_back(job, counts=False)
        except Exception:  # noqa: BLE001 - a bug, but no reason to do no more jobs
            _log.exception("job failed", **facts)
            self._put_back(job, counts=True)
        else:
            _log.info("job done", **facts)

    def _put_back(self, job: Job, counts: bool) -> None:
        wait_ms = min(_LONGEST_WAIT_MS, 1000 << job.attempts)
        try:
            with self._library.store.write() as tx:
                tx.jobs.put_back(job, ids.iso(ids.now_ms() + wait_ms), counts)
        except PinakesError as error:
            _log.warning("job comes back when its lease ends", code=error.code, error=error.message)

    def _renew_leases(self) -> None:
        while not self._stopping.wait(LEASE_MS / 3000):
            self._renew()

    def _renew(self) -> None:
        doing = list(self._doing.values())
        if doing:
            try:
                with self._library.store.write() as tx:
                    for job in doing:
                        tx.jobs.renew(job)
            except PinakesError as error:
                _log.warning("leases not renewed", code=error.code, error=error.message)

    def _sweep_often(self) -> None:
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


def _claim(library: Library) -> Job | None:
    """Looked for by reading first: most of the time there is nothing, and that must not take the writer."""
    with library.store.read() as tx:
        if not tx.jobs.is_due():
            return None
    with library.store.write() as tx:
        return tx.jobs.claim()
