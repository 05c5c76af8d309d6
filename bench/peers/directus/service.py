"""Directus, a server that gives any table an API, with users, roles and permissions.

Its tables, relations, role and user are made through that API, as an admin makes them. Whoever asks is a user with a
static token, whose role may read and write these tables, so that every request looks up the token and what it may do.
Its cache, its limiters and the log of activity and revisions that it keeps of each change are off: others have none.
SQLite is in WAL mode with `synchronous=FULL`, which is what its driver is built with. It is one process of Node.

It refuses a blank name, an unknown asset or collection, and a wrong token. It does and checks less than we do:

* It keeps no counts. It could count on reading, but is not asked to.
* An asset that is added again is in the collection twice. A unique index on the pair, which its API cannot make, would
  refuse the whole request, since it has no way to leave out what is there.
* `remove` does not change when the collection was updated; `add` does. Removing what is not there is no error.
* It has no projects, and no limit of ids in a request or of a page.
* Pages have numbers: the last one skips all before it.
* A search looks for letters within names and kinds, and ranks nothing.
* The link of a thumbnail is not signed. It takes the token, like all else.
* It has no trash: to archive is to set a field, by which only its pages filter.

This is the last version that needs no bought license to send no telemetry. It compiles two native modules where their
makers have no build to download, with the headers that its own Node brings.
"""

import os
import secrets
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from bench import prepare
from bench.operations import OPERATIONS
from bench.peers import Peer
from bench.services import ASSETS, COLLECTIONS, Service

FOLDER = Path(__file__).parent
STAMP = FOLDER / "node_modules/.stamp"
NODE = FOLDER / "node_modules/.bin/node"
PROGRAM = FOLDER / "node_modules/@directus/api/dist/cli/run.js"
"""What the command `directus` starts after it asked the npm registry whether there is a newer version."""

SETTINGS = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "LOG_LEVEL": "error",
    "TELEMETRY": "false",
    "SERVE_APP": "false",
    "CACHE_ENABLED": "false",
    "RATE_LIMITER_ENABLED": "false",
    "PRESSURE_LIMITER_ENABLED": "false",
    "STORAGE_LOCATIONS": "local",
    "STORAGE_LOCAL_DRIVER": "local",
}
CHUNK, PICTURES = 500, 20
THUMBNAIL = "width=512&height=512&fit=inside&withoutEnlargement=true&format=webp"

Row = dict[str, Any]
ID = {"field": "id", "type": "uuid", "meta": {"special": ["uuid"]}, "schema": {"is_primary_key": True}}
NAME = {
    "field": "name",
    "type": "string",
    "meta": {"required": True, "validation": {"_and": [{"name": {"_regex": r"\S"}}]}},
    "schema": {"is_nullable": False},
}
CREATED = {
    "field": "created",
    "type": "timestamp",
    "meta": {"special": ["date-created"]},
    "schema": {"is_indexed": True},
}
UPDATED = {"field": "updated", "type": "timestamp", "meta": {"special": ["date-updated"]}, "schema": {}}
TABLES: dict[str, list[Row]] = {
    "collections": [ID, NAME, CREATED, UPDATED],
    "assets": [
        ID,
        NAME,
        {"field": "kind", "type": "string", "schema": {}},
        {"field": "width", "type": "integer", "schema": {}},
        {"field": "height", "type": "integer", "schema": {}},
        CREATED,
        UPDATED,
        {"field": "file", "type": "uuid", "meta": {"special": ["file"]}, "schema": {}},
    ],
    "collections_assets": [
        {"field": "id", "type": "integer", "schema": {"is_primary_key": True, "has_auto_increment": True}},
        {"field": "collections_id", "type": "uuid", "schema": {"is_nullable": False, "is_indexed": True}},
        {"field": "assets_id", "type": "uuid", "schema": {"is_nullable": False, "is_indexed": True}},
    ],
}


def make(folder: Path, database_url: str) -> Service:
    """Its own tables with an admin; the rest is made by `fill`."""
    key = {"admin": secrets.token_hex(16), "token": secrets.token_hex(16)}
    file = folder / "directus.db"
    database = {"DB_CLIENT": "sqlite3", "DB_FILENAME": str(file)}
    if database_url:
        database = {"DB_CLIENT": "pg", "DB_CONNECTION_STRING": database_url}
    own = {"SECRET": secrets.token_hex(32), "STORAGE_LOCAL_ROOT": str(folder / "uploads")}
    environment = SETTINGS | database | own
    admin = {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": secrets.token_hex(16), "ADMIN_TOKEN": key["admin"]}
    command = [str(NODE), str(PROGRAM)]
    subprocess.run([*command, "bootstrap"], cwd=folder, env=os.environ | environment | admin, check=True)
    if not database_url:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    return Service(
        "directus",
        ["env", "PORT={port}", *command, "start"],
        folder,
        environment,
        folder,
        key,
        f"Bearer {key['token']}",
        FOLDER / "operations.lua",
        root="",
        can=frozenset(OPERATIONS) - {"trash", "walk"},
        may_fail=0.01,  # deletes of the same rows at once deadlock on PostgreSQL now and then
    )


def fill(service: Service) -> None:
    """Make the tables and who uses them, and then, as that user, what everybody holds."""
    admin = {"Authorization": f"Bearer {service.key['admin']}"}
    with httpx.Client(base_url=service.url, headers=admin, timeout=60) as client:
        _make_tables(client)
        _make_user(client, service.key["token"])
    with service.client() as client:
        picture = {"file": ("asset.png", prepare.png(64), "image/png")}
        files = [_data(client.post("/files", files=picture))["id"] for _ in range(PICTURES)]
        asset = {"name": "Asset", "kind": "image", "width": 64, "height": 64}
        assets = _create(client, "assets", [asset | {"file": files[n % PICTURES]} for n in range(ASSETS)])
        collections = _create(client, "collections", [{"name": f"Collection {n}"} for n in range(COLLECTIONS)])
        (large,) = _create(client, "collections", [{"name": "Large"}])
        shared = assets[-prepare.SHARED :]
        pairs = [(large, asset) for asset in assets]
        pairs += [(collection, asset) for collection in collections[: prepare.SHARED_BY] for asset in shared]
        _create(client, "collections_assets", [{"collections_id": one, "assets_id": other} for one, other in pairs])
        thumbnails = [f"/assets/{file}?{THUMBNAIL}" for file in files]
        for path in thumbnails:  # it makes them when they are first asked for, and keeps them
            client.get(path).raise_for_status()
    known = {"collections": collections[prepare.SHARED_BY :], "assets": assets[: -prepare.SHARED], "large": [large]}
    prepare.write(service, known | {"words": ["asset"], "thumbnails": thumbnails})


def _make_tables(client: httpx.Client) -> None:
    for name, fields in TABLES.items():
        table = {"collection": name, "fields": fields, "schema": {}, "meta": {"accountability": None}}
        _data(client.post("/collections", json=table))
    _data(client.post("/fields/collections", json={"field": "assets", "type": "alias", "meta": {"special": ["m2m"]}}))
    many = {"one_field": "assets", "junction_field": "assets_id", "one_deselect_action": "delete"}
    _relate(client, ("collections_assets", "collections_id"), "collections", many, "CASCADE")
    _relate(client, ("collections_assets", "assets_id"), "assets", {"junction_field": "collections_id"}, "CASCADE")
    _relate(client, ("assets", "file"), "directus_files", {}, "SET NULL")


def _relate(client: httpx.Client, field: tuple[str, str], to: str, meta: Row, on_delete: str) -> None:
    """Have a field of a table refer to a table."""
    relation = {"collection": field[0], "field": field[1], "related_collection": to, "meta": meta}
    _data(client.post("/relations", json=relation | {"schema": {"on_delete": on_delete}}))


def _make_user(client: httpx.Client, token: str) -> None:
    allowed = [(table, action) for table in TABLES for action in ("create", "read", "update", "delete")]
    allowed += [("directus_files", "create"), ("directus_files", "read")]
    permissions = [{"collection": table, "action": action, "fields": ["*"]} for table, action in allowed]
    policy = _data(client.post("/policies", json={"name": "Benchmark", "permissions": {"create": permissions}}))["id"]
    role = {"name": "Benchmark", "policies": {"create": [{"policy": policy}]}}
    _data(client.post("/users", json={"email": "user@example.com", "token": token, "role": role}))


def _create(client: httpx.Client, table: str, rows: list[Row]) -> list[str]:
    """The ids of new rows, in any order."""
    made: list[str] = []
    for at in range(0, len(rows), CHUNK):
        answer = client.post(f"/items/{table}", params={"fields": "id"}, json=rows[at : at + CHUNK])
        made += [row["id"] for row in _data(answer)]
    return made


def _data(answer: httpx.Response) -> Any:
    """What is in an answer. One that is not a success says why."""
    if answer.is_error:
        raise RuntimeError(f"{answer.request.method} {answer.request.url} was answered with: {answer.text[:500]}")
    return answer.json()["data"]


def versions() -> str:
    """The versions of Node and Directus."""
    code = (
        "console.log('node', process.versions.node,"
        " ...['directus', 'knex', 'pg', 'sqlite3'].map((name) => name + ' ' + require(name + '/package.json').version))"
    )
    run = subprocess.run([NODE, "-e", code], cwd=FOLDER, capture_output=True, text=True, check=True)
    return run.stdout.strip()


PEER = Peer("directus", STAMP.exists, frozenset({"sqlite", "postgres"}), make, fill, versions)
