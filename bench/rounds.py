"""The rounds of a run, in which each service has its turn alone: A B C, A B C."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench import loops, naive, prepare
from bench.beside import uploading
from bench.contenders import SAY
from bench.load import Sample, measure
from bench.operations import OPERATIONS
from bench.peers.invokeai import service as invokeai
from bench.services import Service
from pinakes import projects
from pinakes.library import open_library

Samples = dict[str, dict[str, list[Sample]]]
"""By service and operation, one for each round."""

BATCHES = {"loop of 32": 32, "loop of 1": 1}
"""Changes for each commit in bare loops, by the name of the loop."""

NAIVE = "naive loop of 32"

CHANGES, MORE_TIME = 1_600, 5
"""Requests to add in a turn, and to remove; and for how many times the seconds of others they may last."""


def run(
    contenders: list[Service], boards: Path | None, wanted: list[str], rounds: int, seconds: int, clients: list[int]
) -> dict[int, Samples]:
    """Samples by the number of clients. Those of the first service's changes in bare loops are with each number.

    `boards` is where InvokeAI has its database, if it takes part; it is as a bare loop.
    """
    looped: Samples = {name: {} for name in (*BATCHES, *([invokeai.NAME] if boards else []))}
    samples: dict[int, Samples] = {count: {one.name: {} for one in contenders} | looped for count in clients}
    for turn in range(rounds):
        for service in contenders:
            can = [name for name in wanted if name in service.can]
            if not can:
                continue
            SAY.print(f"round {turn + 1} of {rounds}: {service.name}")
            for count, operation, sample in _turn(service, can, turn, seconds, clients):
                samples[count][service.name].setdefault(operation, []).append(sample)
        SAY.print(f"round {turn + 1} of {rounds}: bare loops")
        for name, operation, sample in _loops(contenders[0], wanted, turn, seconds):
            looped[name].setdefault(operation, []).append(sample)
        if boards:
            SAY.print(f"round {turn + 1} of {rounds}: {invokeai.NAME}")
            for operation, found in invokeai.rates(boards, wanted, seconds).items():
                looped[invokeai.NAME].setdefault(operation, []).append(_of_loop(*found))
    return samples


def run_naive(folder: Path, rounds: int, seconds: int) -> list[Sample]:
    """Adds in a bare loop in a schema of random ids, as large as our large one."""
    SAY.print(f"filling a naive schema, then {rounds} rounds of it")
    with naive.library(folder, 1_000_000, 1_000_000, 5_000_000) as made:
        return [_of_loop(made.rate(seconds, 32)) for _ in range(rounds)]


def _turn(
    service: Service, wanted: list[str], turn: int, seconds: int, clients: list[int]
) -> Iterator[tuple[int, str, Sample]]:
    """`remove` ends what `add` made before it with the same seed, so that tables are as large as they were.

    Both end after as many changes for everybody, or whoever is fast would have the larger tables and look slower.
    """
    if service.is_told:
        for name in wanted:
            with service.running(OPERATION=name):
                for count in clients:
                    yield count, name, measure(service, name, seconds, turn, count)
        return
    with service.running(), uploading(service):
        for at, count in enumerate(clients):
            added = CHANGES
            for name in wanted:
                seed = _seed(name, turn * len(clients) + at, service)
                most = {"add": CHANGES, "remove": added}.get(name, 0)
                sample = measure(service, name, seconds * (MORE_TIME if most else 1), seed, count, most)
                added = sample.requests if name == "add" else added
                yield count, name, sample


def _seed(operation: str, turn: int, service: Service) -> int:
    """Another for each run in one library, but for `remove`."""
    at = list(OPERATIONS).index("add" if operation == "remove" else operation)
    return turn * 100 + at + (50 if service.uploads else 0)


def _loops(like: Service, wanted: list[str], turn: int, seconds: int) -> Iterator[tuple[str, str, Sample]]:
    """In the library of `like`, which does not run meanwhile."""
    known = prepare.read(like)
    with closing(open_library(like.config, create=False)) as library:
        numbers = {project.id: project.number for project in projects.get_all(library)}
        owner = numbers[like.key["projectId"]]
        for name, batch in BATCHES.items():
            for operation in (one for one in ("create", "add", "remove") if one in wanted):
                most, lasts = (sys.maxsize, seconds) if operation == "create" else (CHANGES, seconds * MORE_TIME)
                done = loops.rate(library, owner, known, operation, lasts, batch, turn * 2 + (batch == 1), most)
                yield name, operation, _of_loop(done)


def _of_loop(per_second: float, cpu_us: float | None = None) -> Sample:
    """Without a measured CPU time, all of the time counts as such."""
    cpu_us = cpu_us or 1e6 / per_second
    return Sample(per_second, 0, 0, 0, cpu_us, cpu_us * per_second / 1e6, 0, None)
