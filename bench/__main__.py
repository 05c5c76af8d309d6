"""python -m bench: start each service in turn, time its operations, print what came out."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from bench import chart, large, loops, naive, prepare, services
from bench.load import CONNECTIONS, Sample, measure, require_tools
from bench.operations import OPERATIONS
from bench.peers import Peer
from bench.peers.invokeai import service as invokeai
from bench.peers.known import PEERS
from bench.report import Samples, print_tables, summary
from bench.services import Service
from local.postgres import QUICK, temporary_server
from pinakes import projects
from pinakes.library import open_library

SAY = Console(stderr=True, style="dim", highlight=False)
BATCHES = {"loop of 32": 32, "loop of 1": 1}
"""Changes for each commit in bare loops, by the name of the loop."""

NAIVE = "naive loop of 32"


def main() -> None:
    options = _options()
    require_tools()
    peers = [peer for peer in PEERS if peer.is_set_up()]
    if options.peers and not (peers == PEERS and invokeai.is_set_up()):
        sys.exit("Not all peers are set up: make bench-peers")
    load_before = os.getloadavg()[0]
    if load_before > 0.3:
        SAY.print(f"the machine is busy (load average {load_before:.1f}): the rates will be too low", style="yellow")
    seconds, rounds = (2, 1) if options.quick else (options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _databases(options.engine) as new_database:
        contenders = _prepare(Path(folder), new_database, options, peers)
        wanted = options.only or list(OPERATIONS)
        has_boards = invokeai.is_set_up() and options.engine == "sqlite" and not options.large
        boards = _sub(Path(folder), "invokeai") if has_boards else None
        samples = _run(contenders, boards, wanted, rounds, seconds, options.clients)
        if options.large and "add" in wanted:
            samples[NAIVE] = {"add": _naive(Path(folder), rounds, seconds)}
    versions = {peer.name: peer.versions() for peer in peers if peer.name in samples}
    versions |= {invokeai.NAME: invokeai.versions()} if invokeai.NAME in samples else {}
    found = summary(samples, versions, options.engine, options.clients, seconds, load_before)
    if options.svg:
        chart.save(found, options.svg)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print_tables(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--peers", action="store_true", help="stop if bench/peers is not set up; without this, leave the peers out"
    )
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite", help="of pinakes (sqlite)")
    parser.add_argument(
        "--large",
        action="store_true",
        help="a million assets and collections, five million memberships; no peers",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes of pinakes, on postgres (1)")
    parser.add_argument("--clients", type=int, default=CONNECTIONS, help=f"connections ({CONNECTIONS})")
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, metavar="OPERATION", help=", ".join(OPERATIONS))
    parser.add_argument("--json", action="store_true", help="print JSON, every sample in it")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart, too")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds")
    parser.add_argument("--rounds", type=int, default=5, help="times each service has its turn (5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds for each operation and turn (4)")
    return parser.parse_args()


@contextmanager
def _databases(engine: str) -> Iterator[Callable[[str], str]]:
    """Makes an empty database that keeps what it answers, and tells its URL, or nothing for SQLite."""
    if engine == "sqlite":
        yield lambda _: ""
        return
    durable = QUICK | {"fsync": True, "synchronous_commit": True, "full_page_writes": True, "autovacuum": True}
    with temporary_server(**(durable | {"shared_buffers": "512MB", "max_wal_size": "4GB"})) as server:
        yield server.create_database


def _prepare(
    folder: Path, new_database: Callable[[str], str], options: argparse.Namespace, peers: list[Peer]
) -> list[Service]:
    """Services that hold the same things and, as far as the benchmark goes, behave the same."""
    database_url = new_database("pinakes")
    ours = services.pinakes(
        _sub(folder, "pinakes"), database_url, options.workers, large.make if options.large else services.make_key
    )
    SAY.print(f"filling {ours.name}")
    with ours.running():
        (large.look if options.large else prepare.fill)(ours)
        answers, refusals = prepare.record(ours), prepare.refusals(ours)
    contenders = [ours, services.bare(_sub(folder, "bare"), ours, answers)]
    if not database_url:
        contenders.append(services.querying(_sub(folder, "querying"), ours, contenders[1]))
    if options.large:
        SAY.print("without the peers, which are for the small size")
        return contenders
    for peer in peers:
        if options.engine not in peer.engines:
            SAY.print(f"without {peer.name}, which needs {' or '.join(peer.engines)}")
            continue
        SAY.print(f"filling {peer.name}")
        made = peer.make(_sub(folder, peer.name), new_database(peer.name))
        with made.running():
            peer.fill(made)
            if peer.speaks_ours:
                _compare(f"answers of {peer.name}", _shapes(answers, made.can), _shapes(prepare.record(made), made.can))
                _compare(f"refusals of {peer.name}", refusals, prepare.refusals(made))
        contenders.append(made)
    return contenders


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _shapes(answers: prepare.Answers, of: frozenset[str]) -> dict[str, object]:
    return {name: prepare.shape(json.loads(body)) for name, (_, body) in answers.items() if name in of}


def _compare(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        sys.exit(f"The {what} differ from ours, so there is nothing to compare.\nours:   {ours}\ntheirs: {theirs}")


def _run(
    contenders: list[Service], boards: Path | None, wanted: list[str], rounds: int, seconds: int, clients: int
) -> Samples:
    """Round after round, each service alone: A B C, A B C; and with the first, the same changes in bare loops.

    `boards` is where InvokeAI has its database, if it takes part.
    """
    samples: Samples = {service.name: {} for service in contenders} | {name: {} for name in BATCHES}
    for turn in range(rounds):
        for service in contenders:
            SAY.print(f"round {turn + 1} of {rounds}: {service.name}")
            for operation, sample in _turn(
                service, [name for name in wanted if name in service.can], turn, seconds, clients
            ):
                samples[service.name].setdefault(operation, []).append(sample)
        SAY.print(f"round {turn + 1} of {rounds}: bare loops")
        for name, operation, sample in _loops(contenders[0], wanted, turn, seconds):
            samples[name].setdefault(operation, []).append(sample)
        if boards:
            SAY.print(f"round {turn + 1} of {rounds}: {invokeai.NAME}")
            for operation, found in invokeai.rates(boards, wanted, seconds).items():
                samples.setdefault(invokeai.NAME, {}).setdefault(operation, []).append(_of_loop(*found))
    return samples


def _turn(service: Service, wanted: list[str], turn: int, seconds: int, clients: int) -> Iterator[tuple[str, Sample]]:
    """`remove` ends what `add` made before it with the same seed, for which there is twice the time."""
    seeds = {name: turn * 100 + at for at, name in enumerate(OPERATIONS)}
    seeds["remove"] = seeds["add"]
    times = {"add": 2} if "remove" in wanted else {}
    if service.is_told:
        for name in wanted:
            with service.running(OPERATION=name):
                yield name, measure(service, name, seconds, seeds[name], clients)
        return
    with service.running():
        for name in wanted:
            yield name, measure(service, name, seconds * times.get(name, 1), seeds[name], clients)


def _loops(like: Service, wanted: list[str], turn: int, seconds: int) -> Iterator[tuple[str, str, Sample]]:
    """In the library of `like`, which does not run meanwhile."""
    known = prepare.read(like)
    with closing(open_library(like.config, create=False)) as library:
        numbers = {project.id: project.number for project in projects.get_all(library)}
        owner = numbers[like.key["projectId"]]
        for name, batch in BATCHES.items():
            for operation in (one for one in ("create", "add", "remove") if one in wanted):
                done = loops.rate(library, owner, known, operation, seconds, batch, turn * 2 + (batch == 1))
                yield name, operation, _of_loop(done)


def _naive(folder: Path, rounds: int, seconds: int) -> list[Sample]:
    """The same for a schema of random ids, as large as ours."""
    SAY.print(f"filling a naive schema, then {rounds} rounds of it")
    with naive.library(folder, 1_000_000, 1_000_000, 5_000_000) as made:
        return [_of_loop(made.rate(seconds, 32)) for _ in range(rounds)]


def _of_loop(per_second: float, cpu_us: float | None = None) -> Sample:
    """Without a measured CPU time, all of the time counts as such."""
    cpu_us = cpu_us or 1e6 / per_second
    return Sample(per_second, 0, 0, 0, cpu_us, cpu_us * per_second / 1e6, 0, None)


if __name__ == "__main__":
    main()
