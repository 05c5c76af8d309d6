"""The limit of changes: the statements of a change in a bare loop, in process, with the durability of the server.

No HTTP, no JSON, no access, no checks of input; one commit for a batch of changes, or for each.
"""

import random
import time
from collections.abc import Callable

from bench.prepare import Known
from pinakes import ids
from pinakes.collections import FoundCollection
from pinakes.library import Library
from pinakes.store import Tx

Change = Callable[[Tx], None]


def changes(owner: int, known: Known, seed: int) -> dict[str, Change]:
    """What is done for one request, on things picked at random. `remove` of the same seed ends what `add` makes."""
    dice = random.Random(seed)

    def create(tx: Tx) -> None:
        now = ids.now()
        tx.collections.insert(owner, FoundCollection(0, ids.new("col"), "Collection", 0, 0, None, now, now))

    def member(is_add: bool) -> Change:
        def change(tx: Tx) -> None:
            row = tx.collections.find(owner, dice.choice(known["collections"]))
            assert row is not None
            states = tx.collection_assets.states(owner, row.number, dice.choices(known["assets"], k=49))
            numbers = [state.number for state in states.values() if state.is_in != is_add]
            if not numbers:
                return
            (tx.collection_assets.insert if is_add else tx.collection_assets.delete)(owner, row.number, numbers)
            tx.collections.update(owner, row, is_cover_set=False)

        return change

    return {"create": create, "add": member(True), "remove": member(False)}


def rate(
    library: Library, owner: int, known: Known, operation: str, seconds: float, batch: int, seed: int, most: int
) -> float:
    """Changes a second with a commit for each `batch` of them, until the time is over or so many are done."""
    change = changes(owner, known, seed)[operation]
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds and done < most:
        with library.store.write(owner) as tx:
            for _ in range(batch):
                change(tx)
        done += batch
    return done / (time.perf_counter() - begun)
