"""python -m bench: start each service in turn, time its operations, print what came out."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from bench import chart, contenders, report, rounds, starts, uploads
from bench.contenders import SAY
from bench.load import CONNECTIONS, require_tools
from bench.operations import APART, OPERATIONS
from bench.peers.invokeai import service as invokeai
from bench.peers.known import PEERS


def main() -> None:
    options = _options()
    require_tools()
    peers = [peer for peer in PEERS if peer.is_set_up() and (options.peers or not options.quick)]
    if options.peers and not (peers == PEERS and invokeai.is_set_up()):
        sys.exit("Not all peers are set up: make bench-peers")
    load_before = os.getloadavg()[0]
    if load_before > 0.3:
        SAY.print(f"the machine is busy (load average {load_before:.1f}): the rates will be too low", style="yellow")
    seconds, count = (2, 1) if options.quick else (options.seconds, options.rounds)
    wanted = options.only or [*OPERATIONS, *APART]
    sent = [name for name in wanted if name in OPERATIONS]
    apart = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as made, contenders.databases(options.engine) as new_database:
        folder = Path(made)
        services = contenders.make(folder, new_database, options, peers)
        boards = _boards(folder, options)
        samples = rounds.run(services, boards, sent, count, seconds, options.clients) if sent else {}
        if options.large and "add" in sent:
            looped = rounds.run_naive(folder, count, seconds)
            for one in samples.values():
                one[rounds.NAIVE] = {"add": looped}
        if "upload" in wanted:
            SAY.print("uploads")
            apart["upload"] = uploads.measure_uploads(services[0], folder, count, seconds)
        if "start" in wanted:
            SAY.print("starts")
            apart["start"] = starts.measure_starts(services[0])
    versions = {peer.name: peer.versions() for peer in peers if peer.name in {service.name for service in services}}
    versions |= {invokeai.NAME: invokeai.versions()} if boards else {}
    setup = report.setup(versions, options.engine, options.clients, count, seconds, load_before)
    found = report.summary(setup, samples) | apart
    if options.svg:
        chart.save(found, options.svg)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        report.print_tables(found)


def _boards(folder: Path, options: argparse.Namespace) -> Path | None:
    """An empty folder for InvokeAI, if it is set up and takes part."""
    if not invokeai.is_set_up() or options.engine != "sqlite" or options.large or (options.quick and not options.peers):
        return None
    boards = folder / "invokeai"
    boards.mkdir()
    return boards


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--peers", action="store_true", help="stop if bench/peers is not set up; without this, leave out who is not"
    )
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite", help="of pinakes (sqlite)")
    parser.add_argument(
        "--large",
        action="store_true",
        help="a million assets and collections, five million memberships; of the peers idiomatic alone",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes of pinakes, on postgres (1)")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        default=[CONNECTIONS],
        metavar="CLIENTS",
        help=f"connections, each number measured alone ({CONNECTIONS})",
    )
    parser.add_argument("--beside-uploads", action="store_true", help="pinakes also while files of 64 MiB are uploaded")
    names = [*OPERATIONS, *APART]
    parser.add_argument("--only", nargs="+", choices=names, metavar="OPERATION", help=", ".join(names))
    parser.add_argument("--json", action="store_true", help="print JSON, every sample in it")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart, too")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds, without peers unless --peers")
    parser.add_argument("--rounds", type=int, default=5, help="times each service has its turn (5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds for each operation and turn (4)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
