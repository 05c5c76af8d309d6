"""What came out, as a table and as JSON."""

import datetime as dt
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.load import Sample
from bench.operations import OPERATIONS
from bench.services import ASSETS, COLLECTIONS

# samples[service][operation]: one for each round
Samples = dict[str, dict[str, list[Sample]]]
OURS = "pinakes"
WIDTH = 120
"""Columns of the table where nobody says how many there are."""
PACKAGES = ("pinakes", "starlette", "uvicorn", "msgspec", "apsw")


def summary(
    samples: Samples, versions: dict[str, str], engine: str, clients: int, seconds: int, load_before: float
) -> dict[str, Any]:
    """Everything a reader needs to judge and to repeat the figures.

    `versions` are those of peers. `load_before`: what else the machine was doing.

    Ratios are medians over the rounds of ours to theirs in that round: how many times the requests a second, and how
    many times less CPU a request. The first means nothing where others use the machine: a service that saturates its
    core loses less of it than one that waits for wrk. The second moves less.
    """
    results = {
        name: {operation: _medians(runs) for operation, runs in operations.items()}
        for name, operations in samples.items()
    }
    ratios = {
        other: {operation: _ratio(samples[OURS][operation], runs) for operation, runs in samples[other].items()}
        for other in samples
        if other != OURS
    }
    return {
        "setup": _setup(samples, versions, seconds)
        | {"engine": engine, "connections": clients, "loadBefore": load_before},
        "results": results,
        "ratios": ratios,
        "samples": samples,
    }


def print_tables(found: dict[str, Any]) -> None:
    """Requests a second, latencies and ratios, for people."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    setup = found["setup"]
    console.print(f"{setup['date']}, {setup['machine']}")
    console.print(f"{setup['rounds']} × {setup['seconds']} s, {setup['connections']} connections, {setup['engine']}")
    console.print(f"load average before: {setup['loadBefore']:.1f}")
    heads = ("req/s", "p50 ms", "p99 ms", "longest", "CPU µs", "core", "MB", "SQL", "rate ×", "CPU ×")
    columns = ("operation", "service", *heads)
    table = Table(*columns, box=box.SIMPLE, padding=(0, 0, 0, 1))
    for column in table.columns[2:]:
        column.justify = "right"
    for name, label in OPERATIONS.items():
        table.add_section()
        for service, results in found["results"].items():
            if name in results:
                ratio = found["ratios"].get(service, {}).get(name)
                table.add_row(label if service == OURS else "", service, *_cells(results[name], ratio))
    console.print(table)
    for name, versions in setup["versions"].items():
        console.print(f"{name}: {versions}", style="dim")


def _cells(figures: dict[str, Any], ratio: dict[str, float] | None) -> list[str]:
    return [
        f"{figures['perSecond']:,.0f}",
        f"{figures['p50']:.1f}",
        f"{figures['p99']:.1f}",
        f"{figures['longest']:.1f}",
        f"{figures['cpuMicroseconds']:,.0f}",
        f"{figures['cpuShare']:.0%}",
        f"{figures['memory']:.0f}",
        "" if figures["statements"] is None else f"{figures['statements']:.1f}",
        *([f"{ratio['rate']:.2f}", f"{ratio['cpu']:.2f}"] if ratio else []),
    ]


def _medians(runs: list[Sample]) -> dict[str, float | None]:
    return {
        "perSecond": round(median(run.per_second for run in runs), 1),
        "p50": round(median(run.p50 for run in runs), 3),
        "p99": round(median(run.p99 for run in runs), 3),
        "longest": round(max(run.longest for run in runs), 3),
        "cpuMicroseconds": round(median(run.cpu_us for run in runs), 1),
        "cpuShare": round(median(run.cpu_share for run in runs), 3),
        "memory": round(max(run.memory for run in runs), 1),
        "statements": None if runs[0].statements is None else round(median(run.statements or 0 for run in runs), 2),
    }


def _ratio(ours: list[Sample], theirs: list[Sample]) -> dict[str, float]:
    rounds = list(zip(ours, theirs, strict=True))
    return {
        "rate": round(median(our.per_second / their.per_second for our, their in rounds), 3),
        "cpu": round(median(their.cpu_us / our.cpu_us for our, their in rounds), 3),
    }


def _setup(samples: Samples, peers: dict[str, str], seconds: int) -> dict[str, Any]:
    packages = " ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    versions = {OURS: f"python {platform.python_version()} {packages}"} | peers
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "versions": versions,
        "rounds": max(len(runs) for runs in samples[OURS].values()),
        "seconds": seconds,
        "collections": COLLECTIONS,
        "assets": ASSETS,
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
