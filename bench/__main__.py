"""python -m bench: start each service in turn, time its operations, print what came out."""

import argparse
import json
import os
import sys
import tempfile
from itertools import count
from pathlib import Path

from rich.console import Console

from bench import prepare, services
from bench.load import OPERATIONS, measure, require_tools
from bench.report import Samples, print_tables, summary
from bench.services import Service

SAY = Console(stderr=True, style="dim", highlight=False)


def main() -> None:
    options = _options()
    require_tools()
    if options.peers and not services.PEER_PYTHON.exists():
        sys.exit("The peers are not set up: make bench-peers")
    load_before = os.getloadavg()[0]
    if load_before > 0.3:
        SAY.print(f"the machine is busy (load average {load_before:.1f}): the rates will be too low", style="yellow")
    seconds, rounds = (1, 1) if options.quick else (options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        contenders = _prepare(Path(folder), has_peer=services.PEER_PYTHON.exists())
        samples = _run(contenders, rounds, seconds)
    found = summary(samples, seconds, load_before)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print_tables(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--peers", action="store_true", help="stop if bench/peers is not set up; without this, leave the peers out"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, every sample in it")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does it work?")
    parser.add_argument("--rounds", type=int, default=5, help="times each service has its turn (5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds for each operation and turn (4)")
    return parser.parse_args()


def _prepare(folder: Path, has_peer: bool) -> list[Service]:
    """Services that hold the same things and, as far as the benchmark goes, behave the same."""
    ours = services.pinakes(_sub(folder, "pinakes"))
    SAY.print(f"filling {ours.name}")
    with ours.running():
        prepare.fill(ours)
        answers, refusals = prepare.record(ours), prepare.refusals(ours)
    contenders = [ours, services.bare(_sub(folder, "bare"), ours, answers)]
    if not has_peer:
        SAY.print("without the peers, which are not set up: make bench-peers")
        return contenders
    peer = services.idiomatic(_sub(folder, "idiomatic"))
    SAY.print(f"filling {peer.name}")
    with peer.running():
        prepare.fill(peer)
        _compare("answers", _shapes(answers), _shapes(prepare.record(peer)))
        _compare("refusals", refusals, prepare.refusals(peer))
    return [*contenders, peer]


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _shapes(answers: prepare.Answers) -> dict[str, object]:
    return {operation: prepare.shape(json.loads(body)) for operation, (_, body) in answers.items()}


def _compare(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        sys.exit(f"The {what} differ, so there is nothing to compare.\npinakes:   {ours}\nidiomatic: {theirs}")


def _run(contenders: list[Service], rounds: int, seconds: int) -> Samples:
    """Round after round, each service alone: A B C, A B C."""
    samples: Samples = {service.name: {operation: [] for operation in OPERATIONS} for service in contenders}
    seeds = count(1)
    for turn in range(rounds):
        for service in contenders:
            SAY.print(f"round {turn + 1} of {rounds}: {service.name}")
            with service.running():
                for operation in OPERATIONS:
                    samples[service.name][operation].append(measure(service, operation, seconds, next(seeds)))
    return samples


if __name__ == "__main__":
    main()
