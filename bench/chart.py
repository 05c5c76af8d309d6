"""A chart of requests a second for the README: a bar for each service, as long as its share of the fastest."""

import io
from pathlib import Path
from typing import Any

from rich import box
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from bench.operations import OPERATIONS
from bench.peers.known import PEERS
from bench.report import OURS

COLOURS = {OURS: "#2f9e8f", "bare": "#9aa5b1", "bare SQL": "#9aa5b1", "static file": "#9aa5b1"} | dict.fromkeys(
    (peer.name for peer in PEERS), "#d08770"
)
WIDTH, BAR_WIDTH = 96, 50


def save(found: dict[str, Any], path: Path) -> None:
    """Write what came out as SVG, for the first number of clients."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    setup = found["setup"]
    table = Table("", "", "requests a second", "", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    table.columns[3].justify = "right"
    clients = setup["connections"][0]
    for name, label in OPERATIONS.items():
        rates = {
            service: results[name]["perSecond"]
            for service, results in found["results"].get(clients, {}).items()
            if name in results and service in COLOURS
        }
        for service, rate in rates.items():
            bar = Bar(max(rates.values()), 0, rate, width=BAR_WIDTH, color=COLOURS[service])
            table.add_row(
                label if service == OURS else "", service, bar, f"{rate:,.0f}", end_section=service == [*rates][-1]
            )
    console.print(table)
    where = f"{setup['machine']} · {setup['engine']} · {clients} connections · {setup['date'][:10]}"
    console.save_svg(str(path), title=where)
