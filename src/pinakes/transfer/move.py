"""A library to another database, another store of bytes, or both, while it is served.

The copy takes no changes until it is told to; from then on the library it was made of takes none (`store.closing`). So
the command may be given as often as one likes, is killed without harm, and goes on where it was.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pinakes import ids, upkeep
from pinakes.errors import PinakesError, bad_request
from pinakes.store.closing import Closed
from pinakes.transfer.files import Files
from pinakes.transfer.rows import Rows, differences, measure

if TYPE_CHECKING:
    from pinakes.blobs import Blobs
    from pinakes.library import Library
    from pinakes.store import Store, Tx
    from pinakes.transfer.rows import Measure

Show = Callable[[str, int, int], None]

_MOST_RUNS = 5
_FEW = 5_000
"""So many rows that changed during a run are few enough for the last."""
_HOLD_MS = 600_000
_RENEW_S = 60.0
_TURN_S = 60.0
"""For how long the last run tries to have the library to itself."""


class To(NamedTuple):
    """Where to: a database, a store of bytes, or both, with what they are called, without passwords."""

    store: Store | None
    place: str
    blobs: Blobs | None


class Choice(NamedTuple):
    """How. `is_switch`: the copy takes changes from now on, and the library none."""

    is_switch: bool = False
    is_verified: bool = False
    jobs: int = 8


class TableReport(msgspec.Struct, frozen=True, rename="camel"):
    """A table that is the same in both databases."""

    name: str
    rows: int
    owners: int
    sha256: str


class MoveReport(msgspec.Struct, frozen=True, rename="camel"):
    """What was copied. `written` are rows, `files` and `bytes` those that were not there yet; `absent` are hashes of
    files that the library itself has lost. Nobody could write for `held_s` seconds. The copy is of the time `as_of`.
    """

    tables: list[TableReport]
    written: int
    files: int
    bytes: int
    absent: list[str]
    held_s: float
    seconds: float
    as_of: str
    is_switched: bool


def move(library: Library, here: str, to: To, choice: Choice, show: Show | None = None) -> MoveReport:
    """Copy a library, which is called `here`, and verify the copy; with `is_switch` it takes the library's place.

    `show` gets what is being done, how much of it is done, and how much there is to do. BAD_REQUEST, with nothing
    changed, when the target holds another library, or one that takes changes. UNAVAILABLE when one of the two does not
    answer; the same call goes on then.
    """
    begun, show = time.monotonic(), show or _show_nothing
    holder = _Holder(library)
    mark = _claim(library.store, to.store, here) if to.store else None
    files = Files(
        library.blobs,
        to.blobs or library.blobs,
        jobs=choice.jobs,
        is_verified=choice.is_verified,
        renew=holder.renew,
    )
    with closing(files):
        copier = files if to.blobs else None
        if mark and to.store:
            moving = _Moving(library.store, to.store, mark, copier, holder, show)
            measures, held_s, as_of = moving.run(to.place if choice.is_switch else None)
            written = moving.rows.written
        else:
            measures, held_s, as_of, written = {}, 0.0, ids.now(), 0
            _copy_files(library.store, files, holder, show)
    absent = sorted(_still_used(library.store, files.absent)) if to.blobs else []
    tables = [TableReport(name, one.rows, len(one.owners), one.sha256) for name, one in measures.items()]
    seconds = round(time.monotonic() - begun, 1)
    return MoveReport(
        tables, written, files.copied, files.bytes, absent, round(held_s, 2), seconds, as_of, choice.is_switch
    )


def _copy_files(store: Store, files: Files, holder: _Holder, show: Show) -> None:
    """All files, then those that came meanwhile."""
    for _ in range(_MOST_RUNS):
        before = files.copied
        holder.renew()
        files.copy_all(store, lambda done, total: show("Copying files", done, total))
        with store.read() as tx:
            parts = tx.uploads.kept_parts()
        files.copy_parts(parts)
        if files.copied == before:
            return


class _Moving:
    """A move of rows, and of files if there is somebody to copy them."""

    def __init__(
        self, store: Store, target: Store, mark: Closed, files: Files | None, holder: _Holder, show: Show
    ) -> None:
        self._store, self._target, self._mark = store, target, mark
        self._files, self._holder, self._show = files, holder, show
        self.rows = Rows(store, target, mark.run)

    def run(self, switch_to: str | None) -> tuple[dict[str, Measure], float, str]:
        """The measures of both databases, the seconds for which nobody could write, and the time of which they are.

        With `switch_to`, what the copy is called, it takes the library's place.
        """
        self._copy()
        with nullcontext() if switch_to is None else self._reopening():
            with _alone(self._store) as tx:
                begun, as_of = time.monotonic(), ids.now()
                measures = self.rows.run(self._named("Copying what changed"), within=tx)
                self.rows.set_numbers(tx)
                if switch_to is not None:
                    tx.upkeep.close(msgspec.structs.replace(self._mark, is_copy=False, place=switch_to, at=as_of))
            held_s = time.monotonic() - begun
            self._finish(measures)
            if switch_to is not None:
                with self.rows.filling() as tx:
                    tx.upkeep.reopen()
        return measures, held_s, as_of

    def _copy(self) -> None:
        """Rows and files until little changes between two runs."""
        for number in range(_MOST_RUNS):
            self._holder.renew()
            before = self.rows.written
            self.rows.run(self._named("Copying rows" if number == 0 else "Comparing rows"))
            self.rows.index()
            if number == 0:
                with self.rows.filling() as tx:
                    tx.rows.settle()
            if self._files and number == 0:
                self.rows.changed.clear()  # all that rows refer to now is copied
                self._files.copy_all(self._store, self._named("Copying files"))
            self._copy_changed_files()
            if number and self.rows.written - before < _FEW:
                return

    def _copy_changed_files(self) -> None:
        if self._files:
            changed, self.rows.changed = self.rows.changed, set()
            self._files.copy_some(changed)
            with self._target.read() as tx:
                parts = tx.uploads.kept_parts()
            self._files.copy_parts(parts)

    def _finish(self, measures: dict[str, Measure]) -> None:
        """What does not need the library to stand still. INTERNAL when the copy is not what it is a copy of."""
        self._holder.renew()
        self.rows.index()
        self._copy_changed_files()
        found = measure(self._target, self._named("Verifying rows"))
        if wrong := differences(measures, found):
            raise PinakesError("INTERNAL", f"The copy differs, which is a bug; please report it: {'; '.join(wrong)}.")

    @contextmanager
    def _reopening(self) -> Iterator[None]:
        """The library goes on taking changes when the copy does not come to that, and cannot have come to it."""
        try:
            yield
        except BaseException:
            with self._target.read() as tx:
                is_copy = tx.upkeep.closed() is not None
            if is_copy:
                with self._store.fill() as tx:
                    tx.upkeep.reopen()
            raise

    def _named(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._show(what, done, total)


class _Holder:
    """Keeps sweeps from deleting bytes that are to be copied, as a backup does."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held_at = 0.0

    def renew(self) -> None:
        if not self._held_at or time.monotonic() - self._held_at > _RENEW_S:
            with self._library.store.read() as tx:
                is_closed = tx.upkeep.closed() is not None
            if not is_closed:  # where nothing may change nothing is swept
                upkeep.hold_blobs(self._library, _HOLD_MS)
            self._held_at = time.monotonic()


def _claim(source: Store, target: Store, here: str) -> Closed:
    """The mark that the target has from now on. BAD_REQUEST when it is not for this library."""
    with source.read() as tx:
        library, ours = _name_of(tx), tx.upkeep.closed()
    with target.read() as tx:
        theirs, is_empty = tx.upkeep.closed(), tx.rows.is_empty()
    _require_copyable(ours, theirs, library, is_empty)
    copy = theirs.copy if theirs and theirs.is_copy else secrets.token_hex(8)
    mark = Closed(library, copy, secrets.token_hex(8), True, here, ids.now())
    with target.fill() as tx:
        if tx.upkeep.closed() != theirs:
            raise bad_request("--to-database", "another `pinakes move` to this database has begun; let it end")
        tx.upkeep.close(mark)
    with source.read() as tx:
        is_same = tx.upkeep.closed() == mark
    if is_same:
        with target.fill() as tx:
            tx.upkeep.reopen()
        raise bad_request("--to-database", "this is the database of the library itself")
    return mark


def _require_copyable(ours: Closed | None, theirs: Closed | None, library: str, is_empty: bool) -> None:
    if ours and ours.is_copy:
        raise bad_request("--database-url", f"this is a copy of the library in {ours.place}; move that")
    if ours and (theirs is None or theirs.copy != ours.copy):
        raise bad_request("--database-url", f"this library was moved to {ours.place} at {ours.at}; move it from there")
    if theirs is None and not is_empty:
        raise bad_request("--to-database", "this database holds a library that takes changes; name an empty one")
    if theirs and theirs.library != library:
        raise bad_request("--to-database", f"this is a copy of another library, the one in {theirs.place}")


def _name_of(tx: Tx) -> str:
    """What tells a library from others, and betrays nothing."""
    secret = tx.upkeep.find_setting("link_secret")
    return hashlib.sha256(f"pinakes library {secret}".encode()).hexdigest()[:32]


@contextmanager
def _alone(store: Store) -> Iterator[Tx]:
    """A transaction in which nobody else writes. It is waited for, for those who write may be many."""
    with ExitStack() as stack:
        yield _begun(stack, store)


def _begun(stack: ExitStack, store: Store) -> Tx:
    until = time.monotonic() + _TURN_S
    while True:
        try:
            return stack.enter_context(store.fill())
        except PinakesError:
            if time.monotonic() > until:
                raise


def _still_used(store: Store, hashes: set[str]) -> set[str]:
    """Those of the hashes that rows refer to."""
    with store.survey() as tx:
        return set(tx.upkeep.users(sorted(hashes)))


def _show_nothing(_what: str, _done: int, _total: int) -> None:
    return
