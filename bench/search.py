"""python -m bench.search: how fast searches are in a library of a million assets, over HTTP.

The server has no core of its own here, because searches run in threads and are to use them all.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench import search_library, services
from bench.search_library import word
from pinakes.config import Config

SCRIPT = Path(__file__).parent / "search.lua"
SAY = Console(stderr=True, style="dim", highlight=False)
CLIENTS = (1, 32)
RARE, COMMON, COMMONEST = (10_000, 11_000), (20, 30), (0, 3)
"""Ranks of words that about 50, 50,000 and 600,000 of a million prompts have."""


def searches(dice: random.Random) -> dict[str, Any]:
    """Bodies by what they ask for, each time of another word."""

    def some(ranks: tuple[int, int]) -> str:
        return word(dice.randrange(*ranks))

    def times(make: Any) -> list[dict[str, Any]]:
        return [make() for _ in range(200)]

    return {
        "rare word": times(lambda: {"query": some(RARE) + " "}),
        "word in 5 %": times(lambda: {"query": some(COMMON) + " "}),
        "word in 60 %": times(lambda: {"query": some(COMMONEST) + " "}),
        "two common words": times(lambda: {"query": f"{some(COMMON)} {some((30, 40))} "}),
        "prefix of 2 letters": times(lambda: {"query": some(COMMON)[:2]}),
        "prefix of 5 letters": times(lambda: {"query": some(COMMON)[:5]}),
        "common word, not another": times(lambda: {"query": f"{some(COMMON)} -{some(COMMONEST)}"}),
        "phrase of common words": times(lambda: {"query": f'"{some(COMMONEST)} {some(COMMON)}"'}),
        "filter, few pass": times(lambda: {"filter": f'kind = 3d AND tags = "tag {dice.randrange(100)}"'}),
        "filter, most pass": times(lambda: {"filter": "kind = image AND width >= 1024"}),
        "filter, one collection": times(lambda: {"filter": f"collectionIds = col_{dice.randrange(5, 900)}"}),
        "filter, model and date": times(
            lambda: {"filter": f"modelId = model_{dice.randrange(50)} AND createdAt > 2025-06-01"}
        ),
        "common word, most pass": times(lambda: {"query": some(COMMON), "filter": "width >= 1024"}),
        "common word, few pass": times(lambda: {"query": some(COMMON), "filter": "width = 4096"}),
        "rare word, most pass": times(lambda: {"query": some(RARE), "filter": "kind = image"}),
        "sorted by size": times(lambda: {"filter": "kind = image", "sortBy": ["size:desc"]}),
        "common word by date": times(lambda: {"query": some(COMMON), "sortBy": ["createdAt:asc"]}),
        "look-alikes": [],
        "look-alikes, filtered": [],
    }


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(options.folder or made)
        service = _prepared(folder, options.assets)
        with service.running(None):
            cases = _cases(service, options.only)
            found = {name: _measured(service, folder, bodies, options.seconds) for name, bodies in cases.items()}
    _print(found, options.assets)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--assets", type=int, default=1_000_000, help="how many there are (1,000,000)")
    parser.add_argument("--seconds", type=int, default=4, help="for each kind of search and number of clients (4)")
    parser.add_argument("--folder", help="keep the library here, and use it if it is there")
    parser.add_argument("--only", default="", help="only kinds of search with this in their name")
    return parser.parse_args()


def _prepared(folder: Path, count: int) -> services.Service:
    def make(config: Config) -> services.Key:
        key = services.make_key(config)
        SAY.print(f"filling a library with {count:,} assets")
        started = time.monotonic()
        search_library.fill(config.database_path, count)
        SAY.print(f"filled in {time.monotonic() - started:.0f} s")
        return key

    folder.mkdir(exist_ok=True)
    return services.pinakes(folder, make=make)


def _cases(service: services.Service, only: str) -> dict[str, list[dict[str, Any]]]:
    cases = searches(random.Random(7))
    with service.client() as client:
        pages = [
            client.post("/search/assets", json={"filter": "kind = image", "limit": 100, "offset": at}).json()
            for at in (0, 100)
        ]
    assets = [hit["id"] for page in pages for hit in page["hits"]]
    cases["look-alikes"] = [{"image": id} for id in assets]
    cases["look-alikes, filtered"] = [{"image": id, "filter": "width >= 1024", "query": word(0)} for id in assets]
    return {name: bodies for name, bodies in cases.items() if only in name}


def _measured(service: services.Service, folder: Path, bodies: list[dict[str, Any]], seconds: int) -> dict[str, Any]:
    file = folder / "bodies"
    file.write_text("\n".join(json.dumps(body) for body in bodies) + "\n")
    with service.client() as client:
        answers = [_answer(client, body) for body in bodies[:20]]
    hits = sorted(answer["estimatedTotalHits"] for answer in answers)
    return {"hits": hits[len(hits) // 2], **{str(count): _load(service, file, count, seconds) for count in CLIENTS}}


def _answer(client: httpx.Client, body: dict[str, Any]) -> Any:
    answer = client.post("/search/assets", json=body)
    if answer.status_code != 200:
        sys.exit(f"{body}: {answer.text}")
    return answer.json()


def _load(service: services.Service, file: Path, clients: int, seconds: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), service.url]
    arguments = ["--", service.authorization, "/v1/search/assets", str(file)]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    seen = json.loads([line for line in run.stdout.splitlines() if line.startswith("{")][-1])
    if seen["failed"]:
        sys.exit(f"{seen['failed']} of {seen['requests']} searches failed; see {service.log}")
    rate = seen["requests"] * 1e6 / seen["duration"]
    return {"per_second": rate, "p50": seen["p50"] / 1000, "p99": seen["p99"] / 1000}


def _print(found: dict[str, dict[str, Any]], count: int) -> None:
    table = Table(title=f"{count:,} assets, {os.cpu_count()} cores, wrk among them")
    heads = [f"{head}, {clients}" for clients in CLIENTS for head in ("p50 ms", "p99 ms", "per second")]
    for head in ("search", "hits", *heads):
        table.add_column(head, justify="left" if head == "search" else "right", no_wrap=True)
    for name, seen in found.items():
        loads = [seen[str(clients)] for clients in CLIENTS]
        cells = [f"{load[key]:,.1f}" for load in loads for key in ("p50", "p99", "per_second")]
        table.add_row(name, f"{seen['hits']:,}", *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
