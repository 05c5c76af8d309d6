"""What came out, as a table and as JSON."""

import datetime as dt
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench import starts, uploads
from bench.load import Sample
from bench.operations import OPERATIONS
from bench.rounds import Samples
from bench.services import ASSETS, COLLECTIONS

OURS = "pinakes"
WIDTH = 120
"""Columns of the table where nobody says how many there are."""
FIGURES = (
    "req/s",
    "p50 ms",
    "p99 ms",
    "longest",
    "CPU µs",
    "core",
    "MB",
    "WAL MB",
    "up MB/s",
    "SQL",
    "failed",
    "rate ×",
    "CPU ×",
)
HEADS = ("operation", "service", *FIGURES)
PACKAGES = ("pinakes", "starlette", "uvicorn", "msgspec", "apsw")


def setup(
    peers: dict[str, str], engine: str, clients: list[int], rounds: int, seconds: int, load_before: float
) -> dict[str, Any]:
    """What was measured where. `peers` are their versions. `load_before`: what else the machine was doing."""
    packages = " ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "versions": {OURS: f"python {platform.python_version()} {packages}"} | peers,
        "engine": engine,
        "connections": clients,
        "rounds": rounds,
        "seconds": seconds,
        "loadBefore": load_before,
        "collections": COLLECTIONS,
        "assets": ASSETS,
    }


def summary(setup: dict[str, Any], samples: dict[int, Samples]) -> dict[str, Any]:
    """Everything a reader needs to judge and to repeat the figures, by the number of clients.

    Ratios are medians over the rounds of ours to theirs in that round: how many times the requests a second, and how
    many times less CPU a request. The first means nothing where others use the machine: a service that saturates its
    core loses less of it than one that waits for wrk. The second moves less.
    """
    return {
        "setup": setup,
        "results": {clients: _results(of) for clients, of in samples.items()},
        "ratios": {clients: _ratios(of) for clients, of in samples.items()},
        "samples": {clients: _named(of) for clients, of in samples.items()},
    }


def _named(samples: Samples) -> dict[str, Any]:
    return {
        name: {operation: [run._asdict() for run in runs] for operation, runs in operations.items()}
        for name, operations in samples.items()
    }


def _results(samples: Samples) -> dict[str, Any]:
    return {
        name: {operation: _medians(runs) for operation, runs in operations.items()}
        for name, operations in samples.items()
    }


def _ratios(samples: Samples) -> dict[str, Any]:
    return {
        other: {operation: _ratio(samples[OURS][operation], runs) for operation, runs in samples[other].items()}
        for other in samples
        if other != OURS
    }


def print_tables(found: dict[str, Any]) -> None:
    """Requests a second, latencies and ratios, for people."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    setup = found["setup"]
    console.print(f"{setup['date']}, {setup['machine']}")
    console.print(f"{setup['rounds']} × {setup['seconds']} s, {setup['engine']}")
    console.print(f"load average before: {setup['loadBefore']:.1f}")
    for clients, results in found["results"].items():
        console.print(f"\n{clients} connection{'s' * (clients > 1)}", style="bold")
        console.print(_table(results, found["ratios"][clients]))
    if "upload" in found:
        console.print(uploads.table(found["upload"]))
    if "start" in found:
        console.print(starts.told(found["start"]))
    for name, versions in setup["versions"].items():
        console.print(f"{name}: {versions}", style="dim")


def _table(results: dict[str, Any], ratios: dict[str, Any]) -> Table:
    """A row for each operation and service. A column that nobody has anything for is left out."""
    rows = [
        (label if service == OURS else "", service, *_cells(of[name], ratios.get(service, {}).get(name)))
        for name, label in OPERATIONS.items()
        for service, of in results.items()
        if name in of
    ]
    shown = [at for at in range(len(HEADS)) if any(row[at] for row in rows)]
    table = Table(*(HEADS[at] for at in shown), box=box.SIMPLE, padding=(0, 0, 0, 1))
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        if row[0]:
            table.add_section()
        table.add_row(*(row[at] for at in shown))
    return table


def _cells(figures: dict[str, Any], ratio: dict[str, float] | None) -> list[str]:
    return [
        f"{figures['perSecond']:,.0f}",
        f"{figures['p50']:.1f}",
        f"{figures['p99']:.1f}",
        f"{figures['longest']:.1f}",
        f"{figures['cpuMicroseconds']:,.0f}",
        f"{figures['cpuShare']:.0%}",
        f"{figures['memory']:.0f}",
        _cell(figures["logMb"], ".0f"),
        _cell(figures["uploaded"], ".0f"),
        _cell(figures["statements"], ".1f"),
        _cell(figures["failed"] or None, ",.0f"),
        *((f"{ratio['rate']:.2f}", f"{ratio['cpu']:.2f}") if ratio else ("", "")),
    ]


def _cell(figure: float | None, form: str) -> str:
    return "" if figure is None else format(figure, form)


def _medians(runs: list[Sample]) -> dict[str, float | None]:
    return {
        "perSecond": round(median(run.per_second for run in runs), 1),
        "p50": round(median(run.p50 for run in runs), 3),
        "p99": round(median(run.p99 for run in runs), 3),
        "longest": round(max(run.longest for run in runs), 3),
        "cpuMicroseconds": round(median(run.cpu_us for run in runs), 1),
        "cpuShare": round(median(run.cpu_share for run in runs), 3),
        "memory": round(max(run.memory for run in runs), 1),
        "statements": _of_known([run.statements for run in runs], median),
        "logMb": _of_known([run.log_mb for run in runs], max),
        "uploaded": _of_known([run.uploaded for run in runs], median),
        "failed": sum(run.failed for run in runs),
    }


def _of_known(figures: list[float | None], pick: Callable[[list[float]], float]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return round(pick(known), 2) if known else None


def _ratio(ours: list[Sample], theirs: list[Sample]) -> dict[str, float]:
    rounds = list(zip(ours, theirs, strict=True))
    return {
        "rate": round(median(our.per_second / their.per_second for our, their in rounds), 3),
        "cpu": round(median(their.cpu_us / our.cpu_us for our, their in rounds), 3),
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
