"""Kinto, Mozilla's store of JSON records in collections, on PostgreSQL as its documentation advises for production.

A collection is one of Kinto's, in a bucket that stands for a project. A member of it is a record without fields, with
the asset's id. Assets are records of a collection in another bucket. `kinto.ini` has what differs from the defaults.

* It checks less than pinakes: who asks, what they may do, and that the collection is there, but not that assets are. It
  keeps no counts of members. A page of a collection is of its members' ids; to get the assets takes another request.
* A batch that adds is one transaction, but a request in it that is refused as wrong leaves the others standing.
* It removes with one statement, and adds with several for each member.
* It runs in waitress, which it comes with and its image uses. Its documentation has uWSGI behind nginx, which is more
  than one process; a request takes about as much CPU time there, and in gunicorn.
* It has one thread: two writes at once may take the same millisecond for their version, and then one is refused.
  So it waits for PostgreSQL with the rest of its core idle: believe `CPU ×` rather than `rate ×`.
* The first request after a start takes a quarter of a second for bcrypt; from then on the password is in its cache.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from bench import prepare
from bench.peers import Peer, python_versions
from bench.services import ASSETS, COLLECTIONS, Service, basic

Json = dict[str, Any]
FOLDER = Path(__file__).parent
PROGRAMS = FOLDER / ".venv/bin"
CONFIGURATION = str(FOLDER / "kinto.ini")
PACKAGES = ("kinto", "pyramid", "waitress", "sqlalchemy", "psycopg2-binary")
USER = "benchmark"
COLLECTIONS_PATH = "/buckets/library/collections"
ASSETS_PATH = "/buckets/assets/collections/assets/records"
BATCH = 49


def make(folder: Path, database_url: str) -> Service:
    """Its tables and its user."""
    environment = {"KINTO_STORAGE_URL": database_url, "KINTO_PERMISSION_URL": database_url}
    password = secrets.token_hex(16)
    for command in (["migrate"], ["create-user", "--username", USER, "--password", password]):
        program = [str(PROGRAMS / "kinto"), *command, "--ini", CONFIGURATION]
        subprocess.run(program, env=os.environ | environment, capture_output=True, check=True)
    return Service(
        "kinto",
        [str(PROGRAMS / "pserve"), CONFIGURATION, "http_port={port}"],
        folder,
        environment,
        authorization=basic(USER, password),
        script=FOLDER / "operations.lua",
        can=frozenset({"get", "list", "create", "add", "remove", "first", "last", "bulk"}),
    )


def fill(service: Service) -> None:
    """What `prepare.fill` makes. Assets and members are written as the rows that they are: it is much quicker."""
    with service.client() as client:
        for bucket in ("library", "assets"):
            _ask(client, "PUT", f"/buckets/{bucket}", json={"permissions": {"write": [f"account:{USER}"]}})
        _ask(client, "PUT", ASSETS_PATH.removesuffix("/records"))
        names = [*(f"Collection {n}" for n in range(COLLECTIONS)), "Large"]
        *collections, large = _batch(client, "POST", [_new(COLLECTIONS_PATH, name=name) for name in names])
        assets = [str(uuid4()) for _ in range(ASSETS)]
        shared, sharing = assets[-prepare.SHARED :], collections[: prepare.SHARED_BY]
        rows = [
            (id, ASSETS_PATH, json.dumps({"name": f"Asset {n}", "mimeType": "image/png", "size": 1000 + n}))
            for n, id in enumerate(assets)
        ]
        rows += [(id, _members(large), "{}") for id in assets]
        rows += [(id, _members(collection), "{}") for collection in sharing for id in shared]
        _write(service.environment["KINTO_STORAGE_URL"], rows)
        known = {"collections": collections[prepare.SHARED_BY :], "assets": assets[: -prepare.SHARED]}
        _prove(client, known["collections"][0], known["assets"])
        known |= _pages(client, large)
    prepare.write(service, known)


def _members(collection: str) -> str:
    return f"{COLLECTIONS_PATH}/{collection}/records"


def _new(path: str, **data: str) -> Json:
    return {"path": path, "body": {"data": data}}


def _batch(client: httpx.Client, method: str, requests: list[Json]) -> list[str]:
    """The ids of what the requests make. A batch is answered with 200 whatever becomes of the requests in it."""
    made = []
    for at in range(0, len(requests), BATCH):
        batch = {"defaults": {"method": method}, "requests": requests[at : at + BATCH]}
        for answer in _ask(client, "POST", "/batch", json=batch).json()["responses"]:
            if answer["status"] != 201:
                sys.exit(f"{method} {answer['path']} in a batch was answered with {answer['status']}: {answer['body']}")
            made.append(answer["body"]["data"]["id"])
    return made


def _write(database_url: str, rows: list[tuple[str, str, str]]) -> None:
    """Store records: id, path of where they are listed, and JSON. A trigger of Kinto gives each its version."""
    insert = "INSERT INTO objects (id, parent_id, resource_name, data, deleted) VALUES (%s, %s, 'record', %s, false)"
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(insert, [(id, path.removesuffix("/records"), data) for id, path, data in rows])


def _prove(client: httpx.Client, collection: str, assets: list[str]) -> None:
    """That the requests of a run do what their status does not tell: remove what is there, and find all of 200."""
    members, few = _members(collection), {"in_id": ",".join(assets[:BATCH])}
    _batch(client, "PUT", [{"path": f"{members}/{id}"} for id in assets[:BATCH]])
    asked = [("DELETE", members, few), ("DELETE", members, few), ("GET", members, few)]
    asked.append(("GET", ASSETS_PATH, {"in_id": ",".join(assets[:200])}))
    counts = [len(_ask(client, method, path, params=ids).json()["data"]) for method, path, ids in asked]
    if counts != [BATCH, 0, 0, 200]:
        sys.exit(f"Kinto removed, removed again, still had and found in bulk {counts}")


def _pages(client: httpx.Client, large: str) -> prepare.Known:
    """The paths of the first and the last page of a collection's members, found by walking through it."""
    first = last = f"{_members(large)}?_limit=100"
    following: str | None = first
    seen = 0
    while following:
        answer = _ask(client, "GET", following)
        seen += len(answer.json()["data"])
        last, following = following, answer.headers.get("Next-Page")
    if seen != ASSETS:
        sys.exit(f"Kinto has {seen} members in its large collection")
    return {"first": [f"/v1{first}"], "last": [httpx.URL(last).raw_path.decode()]}


def _ask(client: httpx.Client, method: str, path: str, **sent: Any) -> httpx.Response:
    answer = client.request(method, path, **sent)
    if not answer.is_success:
        sys.exit(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
    return answer


PEER = Peer(
    "kinto",
    PROGRAMS.joinpath("pserve").exists,
    frozenset({"postgres"}),
    make,
    fill,
    lambda: python_versions(PROGRAMS / "python", PACKAGES),
)
