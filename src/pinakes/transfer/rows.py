"""The rows of a library on their way into another database, while others change them.

A run reads every slice of every table, and writes what differs in the target. It remembers what each slice looked like,
so that the next run has to compare those only that have changed since. The last run is one while nobody writes; it is
short, because by then nearly everything is there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pinakes.errors import PinakesError, bad_request
from pinakes.store.copying import SLICE, Key
from pinakes.store.portable import NOUNS

if TYPE_CHECKING:
    from pinakes.store import Store, Tx
    from pinakes.store.dialect import Row
    from pinakes.store.tables import Table

Show = Callable[[int, int], None]
Read = Callable[[], "AbstractContextManager[Tx]"]

_encode = msgspec.json.Encoder().encode


class Seen(NamedTuple):
    """A slice as it was: up to which key it goes, None for the last, and its hash."""

    upto: Key | None
    digest: bytes


class Measure(msgspec.Struct, frozen=True):
    """A table at one moment: the number of rows, that of each owner, and a hash of them all in order of their key."""

    rows: int
    owners: dict[int, int]
    sha256: str


class _Meter:
    """Takes the measure of a table from its slices."""

    def __init__(self, table: Table) -> None:
        self._owner = None if table.owner is None else itemgetter(table.owner)
        self._digest = hashlib.sha256()
        self._owners: Counter[int] = Counter()
        self._rows = 0

    def take(self, rows: list[Row], encoded: bytes) -> None:
        if rows:
            self._rows += len(rows)
            self._digest.update(encoded[1:-1] + b",")
            if self._owner:
                self._owners.update(map(self._owner, rows))

    def measure(self) -> Measure:
        return Measure(self._rows, dict(sorted(self._owners.items())), self._digest.hexdigest())


class Rows:
    """Two databases, and what is known of them. `changed` are hashes of bytes that new rows have referred to."""

    def __init__(self, source: Store, target: Store, run: str) -> None:
        self._run_id = run
        self._source = source
        self._target = target
        self._seen: dict[str, list[Seen]] = {}
        self.changed: set[str] = set()
        self.written = 0
        with source.read() as tx:
            self._tables = tx.rows.tables()
        with target.read() as tx:
            self._into = {table.name: table for table in tx.rows.tables()}
        if [table[:3] for table in self._tables] != [self._into[table.name][:3] for table in self._tables]:
            raise PinakesError("UNAVAILABLE", "The two databases have other tables: run `pinakes migrate` on both.")

    def count(self) -> int:
        """How many rows there are to copy, for a progress bar."""
        with self._source.read() as tx:
            return sum(tx.rows.count(table.name) for table in self._tables)

    def run(self, show: Show, within: Tx | None = None) -> dict[str, Measure]:
        """Make the target equal to what each slice of the source is when it is read.

        `within` is a transaction in which nobody writes: then both are equal when this returns, and the measures are
        of that moment.
        """
        read: Read = self._source.read if within is None else lambda: nullcontext(within)
        total, done, found = self.count() if within is None else 0, 0, {}
        for table in self._tables:
            meter = _Meter(table)
            for rows, encoded in self._slices_of(table, read):
                meter.take(rows, encoded)
                done += len(rows)
                show(done, max(done, total))
            found[table.name] = meter.measure()
        return found

    @contextmanager
    def filling(self) -> Iterator[Tx]:
        """A transaction on the target, as long as no other run of the command has begun to fill it."""
        with self._target.fill() as tx:
            mark = tx.upkeep.closed()
            if mark is None or mark.run != self._run_id:
                raise bad_request("--to-database", "another `pinakes move` to this database has begun; let it end")
            yield tx

    def _slices_of(self, table: Table, read: Read) -> Iterator[tuple[list[Row], bytes]]:
        own, after, seen = self._into[table.name], None, []
        for old in self._seen.get(table.name) or [Seen(None, b"")]:
            is_whole, is_over = True, False
            while not is_over:
                limit = 2 * SLICE if old.digest else SLICE
                with read() as tx:
                    rows = tx.rows.slice(table, after, old.upto, limit)
                is_over = len(rows) < limit
                rows, encoded = self._encoded(own, rows)
                upto = old.upto if is_over else rows[-1][: len(table.key)]
                digest = hashlib.sha256(encoded).digest()
                if not (is_whole and is_over and digest == old.digest):
                    self._fix(own, after, upto, rows)
                seen.append(Seen(upto, digest))
                after, is_whole = upto, False
                yield rows, encoded
        self._seen[table.name] = seen

    def _encoded(self, table: Table, rows: list[Row]) -> tuple[list[Row], bytes]:
        """Rows as the target can hold them, and as bytes."""
        encoded = _encode(rows)
        if b"\\u0000" in encoded:
            with self._target.read() as tx:
                rows = tx.rows.cleaned(table, rows)
            encoded = _encode(rows)
        return rows, encoded

    def _fix(self, table: Table, after: Key | None, upto: Key | None, rows: list[Row]) -> None:
        """Have the target hold these rows, and no others, in a slice."""
        with self._target.read() as tx:
            there = tx.rows.slice(table, after, upto)
        old, wanted = set(there), set(rows)
        gone, new = [row for row in there if row not in wanted], [row for row in rows if row not in old]
        if gone or new:
            with self.filling() as tx:
                tx.rows.replace(table, gone, new)
            self.written += len(new)
        if "sha256" in table.columns and table.name != "upload":
            self.changed.update(filter(None, map(itemgetter(table.at("sha256")), new)))

    def set_numbers(self, source: Tx) -> None:
        """Have the target number new rows as the source would."""
        with self.filling() as tx:
            for table in self._tables:
                if (own := self._into[table.name]).counter:
                    tx.rows.set_last_number(own, source.rows.last_number(table))

    def index(self) -> None:
        """Have searches of the target find whatever they do not yet."""
        for noun in NOUNS:
            after: Key | None = (0, "")
            while after is not None:
                with self.filling() as tx:
                    after = tx.rows.index_some(noun, after)


def measure(store: Store, show: Show | None = None) -> dict[str, Measure]:
    """The measures of all tables, each slice as it is when it is read."""
    found, done = {}, 0
    with store.read() as tx:
        tables = tx.rows.tables()
        total = sum(tx.rows.count(table.name) for table in tables) if show else 0
    for table in tables:
        meter = _Meter(table)
        for rows in _slices(store.read, table):
            meter.take(rows, _encode(rows))
            done += len(rows)
            if show:
                show(done, max(done, total))
        found[table.name] = meter.measure()
    return found


def _slices(read: Read, table: Table) -> Iterator[list[Row]]:
    after: Key | None = None
    while True:
        with read() as tx:
            rows = tx.rows.slice(table, after, None, SLICE)
        if rows:
            yield rows
        if len(rows) < SLICE:
            return
        after = rows[-1][: len(table.key)]


def differences(ours: dict[str, Measure], theirs: dict[str, Measure]) -> list[str]:
    """What two databases do not have in common, in words."""
    found = []
    for name, one in ours.items():
        other = theirs[name]
        if one.rows != other.rows:
            found.append(f"{name} has {one.rows} rows here and {other.rows} there")
        elif one.owners != other.owners:
            found.append(f"{name} has as many rows, but not of each project")
        elif one.sha256 != other.sha256:
            found.append(f"{name} has other contents")
    return found
