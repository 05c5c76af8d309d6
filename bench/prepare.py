"""What every service holds before it is timed, and the proof that they answer alike."""

import base64
import itertools
import random
import re
import struct
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from bench.operations import OPERATIONS
from bench.services import ASSETS, COLLECTIONS, Service

Answers = dict[str, tuple[list[tuple[str, str]], bytes]]
Known = dict[str, list[str]]
"""What `wrk.lua` picks from."""

LARGE, SHARED, SHARED_BY = 10_000, 64, 100
"""Members of the one large collection; assets that are in many collections, and in how many."""
MEMBERS, PER_REQUEST = 196, 49
"""Assets that each of the other collections has, and how many are added at once."""
PAGE = {"pageSize": 100}


def fill(service: Service) -> None:
    """Make the collections, and the assets unless the service was given them; write what there is into a file.

    One collection, which `collections` do not name, holds all assets; some assets are in a hundred more. The others
    have many memberships from the start, so that those which a fast service adds while it is timed matter little.
    """
    with service.client() as client:
        assets = service.key.get("assetIds") or _assets(client)
        new = [{"name": f"Collection {n}"} for n in range(COLLECTIONS)]
        collections = _each(client, "/collections", new, "collection")
        large = _post(client, "/collections", {"name": "Large"})["collection"]["id"]
        shared = assets[-SHARED:]
        known = {"collections": collections[SHARED_BY:], "assets": assets[:-SHARED], "shared": shared}
        dice = random.Random(1)
        wanted = [(large, assets), *((id, shared) for id in collections[:SHARED_BY])]
        wanted += [(id, dice.sample(known["assets"], MEMBERS)) for id in known["collections"]]
        _put_all(client, wanted)
        known |= pages(client, large) if "last" in service.can else {}
        if "thumbnail" in service.can:
            known |= {"words": ["asset"], "thumbnails": [thumbnail(client, id) for id in assets[:20]]}
    write(service, known)


def write(service: Service, known: Known) -> None:
    """Store what `wrk.lua` reads."""
    service.known.write_text("".join(f"{name} {' '.join(words)}\n" for name, words in known.items()))


def read(service: Service) -> Known:
    """What was stored."""
    lines = [line.split() for line in service.known.read_text().splitlines()]
    return {line[0]: line[1:] for line in lines}


def pages(client: httpx.Client, large: str) -> Known:
    """The paths of the first, the last and all pages of a collection's assets, found by walking through it."""
    first = f"/v1/assets?pageSize=100&collectionId={large}"
    walk = [first]
    while token := client.get(_below(walk[-1])).json().get("nextPaginationToken"):
        walk.append(f"{first}&paginationToken={token}")
    return {"first": [first], "last": [walk[-1]], "walk": walk}


def thumbnail(client: httpx.Client, id: str) -> str:
    """The path of an asset's thumbnail."""
    url: str = client.get(f"/assets/{id}").json()["asset"]["thumbnail"]["url"]
    return "/" + url.split("/", 3)[3]


def thumbnails(service: Service) -> list[bytes]:
    """The bytes of those that wrk asks for."""
    with service.client() as client:
        answers = [client.get(f"{service.url}{path}").raise_for_status() for path in read(service)["thumbnails"]]
    return [answer.content for answer in answers]


def _below(path: str) -> str:
    return path.removeprefix("/v1")


def record(service: Service) -> Answers:
    """What the service says to each operation that it can do: headers and body."""
    known = read(service)
    collection, assets = known["collections"][0], known["assets"][:200]
    members, few = f"/collections/{collection}/assets", {"assetIds": assets[:49]}
    asked: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "get": lambda client: client.get(f"/collections/{collection}"),
        "list": lambda client: client.get("/collections", params=PAGE),
        "create": lambda client: client.post("/collections", json={"name": "Recorded"}),
        "add": lambda client: client.put(members, json=few),
        "remove": lambda client: client.request("DELETE", members, json=few),
        "first": lambda client: client.get(_below(known["first"][0])),
        "last": lambda client: client.get(_below(known["last"][0])),
        "walk": lambda client: client.get(_below(known["walk"][len(known["walk"]) // 2])),
        "bulk": lambda client: client.post("/assets/get-bulk", json={"assetIds": assets}),
        "thumbnail": lambda client: client.get(f"{service.url}{known['thumbnails'][0]}"),
        "search": lambda client: client.post("/search/assets", json={"query": "asset ", "limit": 20}),
        "trash": lambda client: client.request("DELETE", "/assets", json={"assetIds": ["none"]}),
    }
    with service.client() as client:
        answers = {name: asked[name](client) for name in OPERATIONS if name in service.can}
    for operation, answer in answers.items():
        if answer.status_code != 200:
            sys.exit(f"{service.name} answers {operation} with {answer.status_code}: {answer.text[:300]}")
    return {name: (answer.headers.multi_items(), answer.content) for name, answer in answers.items()}


def refusals(service: Service) -> dict[str, int]:
    """The status of requests that must be refused: a service that checks less would be faster."""
    known = read(service)
    collection, assets, thumbnail = known["collections"][0], known["assets"][:49], known["thumbnails"][0]
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
            "assets of an unknown collection": client.get("/assets", params={"collectionId": "none"}),
            "no token": client.get("/assets", params={"paginationToken": "none"}),
            "201 ids": client.post("/assets/get-bulk", json={"assetIds": ["none"] * 201}),
            "101 hits": client.post("/search/assets", json={"query": "asset", "limit": 101}),
            "101 for the trash": client.request("DELETE", "/assets", json={"assetIds": ["none"] * 101}),
            "wrong signature": client.get(f"{service.url}{thumbnail}0"),
            "late for a link": client.get(f"{service.url}{re.sub('expires=[0-9]+', 'expires=1', thumbnail)}"),
        }
    return {name: answer.status_code for name, answer in answers.items()}


def trashed(service: Service) -> list[set[int]]:
    """By how much the counts of an asset's collections change: in the trash, and back again."""
    asset = {"assetIds": read(service)["shared"][:1]}
    with service.client() as client:
        (shown,) = _post(client, "/assets/get-bulk", asset)["assets"]

        def counts() -> list[int]:
            answers = (client.get(f"/collections/{id}").json() for id in shown["collectionIds"])
            return [answer["collection"]["assetCount"] for answer in answers]

        before = counts()
        client.request("DELETE", "/assets", json=asset).raise_for_status()
        without = counts()
        _post(client, "/assets/restore", asset)
        return [{now - then for now, then in zip(late, before, strict=True)} for late in (without, counts())]


def shape(value: Any) -> Any:
    """The keys and types of an answer. Lists are as their first item: all of a list are alike here."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


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


def _put_all(client: httpx.Client, wanted: list[tuple[str, list[str]]]) -> None:
    parts = [(id, assets[at : at + PER_REQUEST]) for id, assets in wanted for at in range(0, len(assets), PER_REQUEST)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda part: _put(client, *part), parts))


def _put(client: httpx.Client, collection: str, assets: list[str]) -> None:
    answer = client.put(f"/collections/{collection}/assets", json={"assetIds": assets})
    if answer.status_code != 200:
        sys.exit(f"adding to {collection} was answered with {answer.status_code}: {answer.text[:300]}")


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
