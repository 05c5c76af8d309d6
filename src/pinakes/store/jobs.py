"""SQL of background work: jobs that are claimed under a lease, done, and gone.

A worker that is killed renews its lease no more, so its job becomes due again and another worker takes it up.
"""

from typing import Literal

import msgspec

from pinakes import ids
from pinakes.errors import PinakesError
from pinakes.store.dialect import CLAIMED, Driver

JobKind = Literal["fetch", "link", "probe", "upload"]

LEASE_MS = 15_000
"""For how long a claim holds without being renewed."""


class Job(msgspec.Struct, frozen=True):
    """A claimed job on the `subject` (an id) of a project. `attempts` counts its claims, this one included."""

    number: int
    owner: int
    kind: JobKind
    subject: str
    attempts: int


class JobSql:
    """Statements on `job`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def add(self, owner: int, kind: JobKind, subject: str, now: str) -> None:
        """Something to do, from now on."""
        self._change("INSERT INTO job (owner, kind, subject, due_at) VALUES (?, ?, ?, ?)", (owner, kind, subject, now))

    def is_due(self, is_fetch: bool = False) -> bool:
        """Whether there is something to claim."""
        return bool(self._query(f"SELECT 1 FROM job WHERE {_IS[is_fetch]} AND due_at <= ? LIMIT 1", (ids.now(),)))

    def claim(self, is_fetch: bool = False) -> Job | None:
        """The job that has been due for longest, held for `LEASE_MS`; None when there is nothing to do.

        One of the kind `fetch`, or of all others.
        """
        rows = self._query(
            "UPDATE job SET due_at = ?, attempts = attempts + 1 WHERE number ="
            f" (SELECT number FROM job WHERE {_IS[is_fetch]} AND due_at <= ? ORDER BY due_at, number LIMIT 1 {CLAIMED})"
            " RETURNING number, owner, kind, subject, attempts",
            (_lease_end(), ids.now()),
        )
        return Job(*rows[0]) if rows else None

    def renew(self, job: Job) -> bool:
        """Hold a claimed job for longer. False when it has been taken away meanwhile."""
        sql = "UPDATE job SET due_at = ? WHERE number = ? AND attempts = ?"
        return self._change(sql, (_lease_end(), job.number, job.attempts)) > 0

    def put_back(self, job: Job, due_at: str, counts: bool) -> None:
        """Let a claimed job be claimed again, from then on. `counts`: this claim remains among its attempts."""
        self._change(
            "UPDATE job SET due_at = ?, attempts = attempts - ? WHERE number = ? AND attempts = ?",
            (due_at, 0 if counts else 1, job.number, job.attempts),
        )

    def finish(self, job: Job) -> None:
        """End a claimed job, in the transaction that stores what came of it. GONE when it has been taken away."""
        if not self._change("DELETE FROM job WHERE number = ? AND attempts = ?", (job.number, job.attempts)):
            raise PinakesError("GONE", f"The {job.kind} of {job.subject} has been taken up by another worker.")

    def waiting(self) -> int:
        """How many jobs there are, claimed or not."""
        return int(self._query("SELECT count(*) FROM job")[0][0])


_IS = {True: "kind = 'fetch'", False: "kind <> 'fetch'"}


def _lease_end() -> str:
    return ids.iso(ids.now_ms() + LEASE_MS)
