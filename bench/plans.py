"""python -m bench.plans: looks at the plan of every statement that verbs run on a large library, and times the verbs.

The library is one that `python -m bench.large` has made; the verbs add a little to it. Ends with 1 if a plan is bad.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bench.explain import Explained, Step, explained
from bench.large_rows import COLUMNS
from bench.large_verbs import World, look_around, reads, writes
from pinakes import access, projects
from pinakes.access import NewApiKey
from pinakes.config import Config
from pinakes.library import Library, open_library

OWNED = {*COLUMNS, "upload_part"} - {"job"}
MOST_SORTED, MOST_SORTED_SHARE = 20_001, 0.65
"""Rows that a search may look at one by one (`store.search.MANY`), and so sort; in a small library they are most."""
MOST_SHARE, LARGE = 0.2, 200_000
"""Of the rows of a large table that a statement may read: a search estimates how many it finds by the newest 10,000."""
WORK, WORK_A_ROW = 100_000, 4
"""Steps of SQLite's machine. To walk all rows takes more; lists of words that most rows have are read whole."""
WALKS = ("VIRTUAL TABLE INDEX 1:", "TABLE INDEX 0:=", "CONSTANT ROW")
"""How SQLite says that it reads a list that came as a parameter, or one row."""


def faults(found: list[Explained], rows: int) -> Iterator[str]:
    """What is wrong with plans in a library of so many assets."""
    for one in found:
        wrong = [step for step in one.steps if _is_bad(step, rows)] if one.mode else _scans(one)
        if wrong or one.work > WORK + WORK_A_ROW * rows:
            yield f"{one.name} {one.mode} {one.work or ''}: {wrong}\n{one.sql}"


def _is_bad(step: Step, rows: int) -> bool:
    is_scan = step.kind in ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")
    if is_scan and step.relation in OWNED | {"asset_terms"} and not step.condition:
        return True
    if step.kind == "Sort" and step.reads > min(MOST_SORTED, MOST_SORTED_SHARE * rows):
        return True
    return rows >= LARGE and step.relation != "" and step.reads > MOST_SHARE * rows


def _scans(one: Explained) -> list[Step]:
    """Whole tables and indexes that are read. Full-text tables are, in the order of their words."""
    inner = {step.relation.split()[0] for step in one.steps if step.kind in ("CO-ROUTINE", "MATERIALIZE")}
    return [
        step
        for step in one.steps
        if step.kind == "SCAN"
        and step.relation.split()[0] not in inner
        and step.relation.split()[0] in OWNED | set(_ALIASES)
        and "VIRTUAL TABLE INDEX" not in step.relation
        and not step.relation.endswith(WALKS)
    ]


_ALIASES = ("x", "c", "m", "t", "u", "k", "l", "a", "e", "t0", "t1")
"""What statements call owned tables."""


def somebody(library: Library) -> World:
    """An admin of the project that holds nearly all, who has looked around."""
    first = min(projects.get_all(library), key=lambda project: project.number)
    key = access.create_first_key(library, first.id, NewApiKey("Plans", "admin"))
    return look_around(library, access.authenticate(library, key.id, access.hash_secret(key.secret), None))


def count(library: Library) -> int:
    """How many assets there are, about."""
    with library.store.read() as tx:
        return tx.upkeep.newest().asset


def main() -> None:
    options = _options()
    library = open_library(Config(data=options.data, database_url=options.database_url), create=False)
    rows = count(library)
    world = somebody(library)
    table = Table("Verb", "least ms", "p50 ms", "p95 ms", "Statements", title=f"{rows:,} assets")
    wrong = []
    for name, verb in {**reads(world), **writes(world)}.items():
        if options.only not in name:
            continue
        with explained(library) as found:
            verb()
        wrong += [f"{name}: {fault}" for fault in faults(found, rows)]
        times, statements = [], library.store.statements()
        for _ in range(options.times):
            begun = time.perf_counter()
            verb()
            times.append((time.perf_counter() - begun) * 1000)
        per_call = (library.store.statements() - statements) / options.times
        shown = (min(times), statistics.median(times), statistics.quantiles(times, n=20)[-1])
        table.add_row(name, *(f"{ms:.2f}" for ms in shown), f"{per_call:.1f}")
    Console().print(table)
    library.close()
    if wrong:
        sys.exit("\n".join(wrong))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description=__doc__)
    parser.add_argument("--data", required=True, help="the folder of the library's data")
    parser.add_argument("--database-url", default="", help="its PostgreSQL database, if it is not in the folder")
    parser.add_argument("--times", type=int, default=30, help="calls of each verb that are timed (30)")
    parser.add_argument("--only", default="", help="only verbs with this in their name")
    return parser.parse_args()


if __name__ == "__main__":
    main()
