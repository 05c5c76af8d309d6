"""What every service holds before it is timed, and the proof that they answer alike."""

import base64
import itertools
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from bench.services import ASSETS, COLLECTIONS, Service

Answers = dict[str, tuple[list[tuple[str, str]], str]]


def fill(service: Service) -> None:
    """Make the collections, and the assets unless the service was given them; write the file of ids."""
    with service.client() as client:
        assets = service.key.get("assetIds") or _assets(client)
        collections = _each(
            client, "/collections", [{"name": f"Collection {n}"} for n in range(COLLECTIONS)], "collection"
        )
    service.ids.write_text(f"{' '.join(collections)}\n{' '.join(assets)}\n")


def record(service: Service) -> Answers:
    """What the service says to each operation: headers and body."""
    collection, assets = _chosen(service)
    with service.client() as client:
        answers = {
            "get": client.get(f"/collections/{collection}"),
            "list": client.get("/collections", params={"pageSize": 100}),
            "create": client.post("/collections", json={"name": "Recorded"}),
            "add": client.put(f"/collections/{collection}/assets", json={"assetIds": assets}),
        }
    for operation, answer in answers.items():
        if answer.status_code != 200:
            sys.exit(f"{service.name} answers {operation} with {answer.status_code}: {answer.text[:300]}")
    return {name: (answer.headers.multi_items(), answer.text) for name, answer in answers.items()}


def refusals(service: Service) -> dict[str, int]:
    """The status of requests that must be refused: a service that checks less would be faster."""
    collection, assets = _chosen(service)
    members = f"/collections/{collection}/assets"
    with service.client() as client:
        wrong = httpx.BasicAuth(service.key["apiKey"], "wrong")
        answers = {
            "wrong secret": client.get("/collections", headers={"Authorization": ""}, auth=wrong),
            "another project": client.get("/collections", params={"projectId": "proj_other"}),
            "unknown collection": client.get("/collections/none"),
            "page of 101": client.get("/collections", params={"pageSize": 101}),
            "blank name": client.post("/collections", json={"name": " "}),
            "no ids": client.put(members, json={"assetIds": []}),
            "50 ids": client.put(members, json={"assetIds": [*assets, "one-more"]}),
            "unknown id": client.put(members, json={"assetIds": [*assets[:48], "none"]}),
        }
    return {name: answer.status_code for name, answer in answers.items()}


def shape(value: Any) -> Any:
    """The keys and types of an answer. Lists are as their first item: all of a list are alike here."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def _chosen(service: Service) -> tuple[str, list[str]]:
    collections, assets = (line.split() for line in service.ids.read_text().splitlines())
    return collections[0], assets[:49]


def _assets(client: httpx.Client) -> list[str]:
    """One small picture, and copies of it: an asset's row is the same whether or not it has bytes of its own."""
    picture = base64.b64encode(png(64)).decode()
    first = _post(client, "/assets", {"name": "Asset", "image": picture})["asset"]["id"]
    return [first, *_each(client, f"/assets/{first}/copy", [{}] * (ASSETS - 1), "asset")]


def _each(client: httpx.Client, path: str, bodies: list[dict[str, Any]], noun: str) -> list[str]:
    with ThreadPoolExecutor(8) as threads:
        return [
            made[noun]["id"] for made in threads.map(_post, itertools.repeat(client), itertools.repeat(path), bodies)
        ]


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        sys.exit(f"POST {path} was answered with {answer.status_code}: {answer.text[:300]}")
    made: dict[str, Any] = answer.json()
    return made


def png(side: int) -> bytes:
    """A grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
