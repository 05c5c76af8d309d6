"""Real server processes on folders of their own, and clients of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from conftest import make_png, new_asset

from pinakes import access, asset_bytes, assets, projects, upkeep
from pinakes.access import NewApiKey
from pinakes.assets import NewAsset
from pinakes.config import Config
from pinakes.library import open_library
from pinakes.upkeep import Finding

STOP_LIMIT_S = 30


class Place(NamedTuple):
    """A library's folder and database, an admin's key, and assets that are there from the start."""

    data: Path
    project_id: str
    key_id: str
    secret: str
    asset_ids: list[str]
    database_url: str = ""

    @property
    def auth(self) -> tuple[str, str]:
        return self.key_id, self.secret

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def database(self) -> Path:
        return self.data / "pinakes.db"

    @property
    def log_of_database(self) -> Path:
        return self.data / "pinakes.db-wal"


class Server(NamedTuple):
    """A process that answers at `url`."""

    place: Place
    url: str
    process: "subprocess.Popen[str]"

    def client(self, auth: tuple[str, str] | None = None, timeout: float = 30) -> httpx.Client:
        """Keeps its connections alive."""
        return httpx.Client(base_url=f"{self.url}/v1", auth=auth or self.place.auth, timeout=timeout)

    def kill(self) -> None:
        """As a power cut to the process: it gets no chance to do anything more."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; the exit status."""
        self.process.send_signal(how)
        return self.process.wait(STOP_LIMIT_S)


def make_place(folder: Path, asset_count: int = 0, **settings: Any) -> Place:
    """A new library; its assets share the bytes of one picture."""
    data = folder / "library"
    library = open_library(Config(data=str(data), **settings))
    try:
        project_id = projects.create_first(library, "A project")
        key = access.create_first_key(library, project_id, NewApiKey("A key", "admin"))
        actor = access.authenticate(library, key.id, access.hash_secret(key.secret), None)
        if not asset_count:
            return Place(data, project_id, key.id, key.secret, [], library.config.database_url)
        stored = asset_bytes.store(library, actor, new_asset(data=make_png(8, 8)))
        with library.store.write():
            made = [assets.create(library, actor, NewAsset("a.png", ""), stored).id for _ in range(asset_count)]
        return Place(data, project_id, key.id, key.secret, made, library.config.database_url)
    finally:
        library.close()


def command(data: Path, *options: str) -> list[str]:
    """What serves a folder, on a port that the system chooses unless the options name one."""
    return [sys.executable, "-m", "pinakes", "serve", "--data", str(data), "--port", "0", "--json", *options]


def environment(**settings: object) -> dict[str, str]:
    return os.environ | {f"PINAKES_{name.upper()}": str(value) for name, value in settings.items()}


def start(place: Place, *options: str, **settings: object) -> Server:
    """Start a process and wait until it accepts requests. Whoever starts it ends it."""
    env = environment(**{"database_url": place.database_url} | settings)
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            command(place.data, *options), stdout=subprocess.PIPE, stderr=log, text=True, env=env
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    server = Server(place, json.loads(line)["url"] if line else "", process)
    if not line:
        server.kill()
        raise AssertionError(f"it did not start: {place.log.read_text()}")
    return server


@contextmanager
def serving(place: Place, *options: str, **settings: object) -> Iterator[Server]:
    """A server for as long as the block runs, killed afterwards if it still runs then."""
    server = start(place, *options, **settings)
    try:
        yield server
    finally:
        server.kill()


def findings(place: Place, **settings: Any) -> list[Finding]:
    """What a full check finds wrong, beside the server if one runs."""
    given: dict[str, Any] = {"database_url": place.database_url} | settings
    library = open_library(Config(data=str(place.data), **given), create=False)
    try:
        return upkeep.check(library)
    finally:
        library.close()


def ok(response: httpx.Response) -> Any:
    """The body of an answer that must be 200."""
    assert response.status_code == 200, response.text
    return response.json()


def walk(client: httpx.Client, noun: str, **query: str) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    token = ""
    while True:
        page = ok(client.get(f"/{noun}", params={"pageSize": "100", "paginationToken": token} | query))
        items += page[noun]
        token = page.get("nextPaginationToken", "")
        if not token:
            return items


def walk_members(client: httpx.Client, collection_id: str) -> list[str]:
    return [asset["id"] for asset in walk(client, "assets", collectionId=collection_id)]


def new_collection(client: httpx.Client, name: str = "A collection") -> str:
    return str(ok(client.post("/collections", json={"name": name}))["collection"]["id"])
