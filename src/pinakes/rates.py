"""How fast keys use the library, counted over all of its processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinakes.library import Library


def exchange(library: Library, per_second: int, used: Mapping[str, int]) -> dict[str, float]:
    """Add what this process saw keys use, for what each has spent in all processes.

    What is spent comes back with `per_second`. UNAVAILABLE when the database does not answer; nothing is counted then.
    """
    with library.store.transaction() as tx:
        return tx.rates.exchange(per_second, used)
