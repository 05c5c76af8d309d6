"""The services of a run, which hold the same things and, as far as the benchmark goes, behave the same."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from bench import large, prepare, services
from bench.peers import Peer
from bench.services import Service
from local.postgres import QUICK, temporary_server

SAY = Console(stderr=True, style="dim", highlight=False)


@contextmanager
def databases(engine: str) -> Iterator[Callable[[str], str]]:
    """Makes an empty database that keeps what it answers, and tells its URL, or nothing for SQLite."""
    if engine == "sqlite":
        yield lambda _: ""
        return
    durable = QUICK | {"fsync": True, "synchronous_commit": True, "full_page_writes": True, "autovacuum": True}
    with temporary_server(**(durable | {"shared_buffers": "512MB", "max_wal_size": "4GB"})) as server:
        yield server.create_database


def make(
    folder: Path, new_database: Callable[[str], str], options: argparse.Namespace, peers: list[Peer]
) -> list[Service]:
    """Filled services, of which ours is the first."""
    database_url = new_database("pinakes")
    ours = services.pinakes(
        _sub(folder, "pinakes"), database_url, options.workers, large.make if options.large else services.make_key
    )
    SAY.print(f"filling {ours.name}")
    with ours.running():
        (large.look if options.large else prepare.fill)(ours)
        answers, refusals, counts = prepare.record(ours), prepare.refusals(ours), prepare.trashed(ours)
        thumbnails = prepare.thumbnails(ours)
    made = [ours]
    if options.beside_uploads:
        made.append(dataclasses.replace(ours, name="beside uploads", uploads=ours.folder / "uploaded"))
    bare = services.bare(_sub(folder, "bare"), ours, answers)
    made += [bare, services.static(_sub(folder, "static"), thumbnails)]
    if not database_url:
        made.append(services.querying(_sub(folder, "querying"), ours, bare))
    for peer in peers:
        if peer.is_large != options.large:
            continue
        if options.engine not in peer.engines:
            SAY.print(f"without {peer.name}, which needs {' or '.join(peer.engines)}")
            continue
        SAY.print(f"filling {peer.name}")
        theirs = peer.make(_sub(folder, peer.name), new_database(peer.name))
        with theirs.running():
            peer.fill(theirs)
            if peer.speaks_ours:
                said = prepare.record(theirs)
                _compare(f"refusals of {peer.name}", refusals, prepare.refusals(theirs))
                _compare(f"counts of {peer.name}", counts, prepare.trashed(theirs))
                if not options.large:  # where things are not all alike
                    _compare(f"answers of {peer.name}", _shapes(answers, theirs.can), _shapes(said, theirs.can))
        made.append(theirs)
    return made


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _shapes(answers: prepare.Answers, of: frozenset[str]) -> dict[str, object]:
    return {name: prepare.shape(json.loads(body)) for name, (_, body) in answers.items() if name in of - {"thumbnail"}}


def _compare(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        sys.exit(f"The {what} differ from ours, so there is nothing to compare.\nours:   {ours}\ntheirs: {theirs}")
