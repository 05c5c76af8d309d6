"""What commands print: text for people, JSON for programs, progress on a terminal. Errors are not printed here."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import typer

from pinakes.upkeep import Finding, Progress


def show_json(value: Any) -> None:
    """One line."""
    typer.echo(msgspec.json.encode(value).decode())


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on a terminal; fields separated by tabs, without headings, in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = [Column(heading, overflow="fold") for heading in headings]  # an id that is cut is of no use
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def show_findings(findings: Sequence[Finding]) -> None:
    """Findings as a table."""
    rows = [(finding.code, finding.project_id, finding.subject, finding.message) for finding in findings]
    show_table(("finding", "project", "subject", "what is wrong"), rows)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A bar on stderr while something runs, when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for each of the things that are done one after the other, when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            unit = f" {size_of(done)} of {size_of(total)}" if "files" in what else f" {done} of {total}"
            bar.update(tasks[what], description=what + unit, completed=done, total=total)

        yield show


def size_of(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
