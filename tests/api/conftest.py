"""A real server as a process of its own, and the clients that talk to it: the official SDK, httpx and curl.

A test gets a project of its own, so that tests share a server and nothing else.
"""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import OpenDatabase
from stores import S3

from api.clients import Curl, Key, Sdk, open_http, open_sdk
from pinakes.blob_urls import open_blobs
from pinakes.config import Config
from pinakes.library import Library, open_library

sys.path.append(str(Path(__file__).parents[1] / "media"))  # for `pictures`


ORIGIN = "https://app.example.com"
PUBLIC_URL = "https://media.example.com/pinakes"


class Server(NamedTuple):
    """A running server. `admin` administers its first project."""

    url: str
    pid: int
    config: Config
    admin: Key

    @property
    def data(self) -> Path:
        return Path(self.config.data)

    def rss_mb(self) -> float:
        """Memory of the server's own process, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1000

    @property
    def library(self) -> Library:
        """Its library, opened by this process as well. Whoever opens it closes it."""
        return open_library(self.config, create=False)

    def keys(self, prefix: str) -> list[str]:
        """The names of what the server keeps under a prefix of its blobs, wherever these are."""
        return sorted(path.rpartition("/")[2] for path, _, _ in open_blobs(self.config.blobs_url).paths(prefix))

    def blobs(self) -> list[Path]:
        """The files that hold uploads."""
        return [path for path in (self.data / "blobs" / "blobs").rglob("*") if path.is_file()]


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[StartServer]:
    """Starts servers with the settings given, and ends them after the last test; each must end well."""
    processes, databases = [], ExitStack()

    def start(**settings: object) -> Server:
        data = tmp_path_factory.mktemp("server") / "data"
        env = {key: value for key, value in os.environ.items() if not key.startswith("PINAKES_")}
        url = databases.enter_context(open_database())
        given = {"data": data, "database_url": url, "access_log": "false", "port": 0, **settings}
        env |= {f"PINAKES_{name.upper()}": str(value) for name, value in given.items()}
        command = [sys.executable, "-m", "pinakes", "serve", "--json"]
        log = data.parent / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stderr)
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.readline()
        assert said, log.read_text()
        processes.append((process, log))
        first: dict[str, str] = json.loads(said)
        key = Key(first["apiKey"], first["apiSecret"], first["projectId"])
        config = Config(data=str(data), database_url=url, blob_url=str(given.get("blob_url", "")))
        return Server(first["url"], process.pid, config, key)

    yield start
    for process, _ in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process, _ in processes] == [0] * len(processes)
    for _, log in processes:
        text = log.read_text()
        assert "Traceback" not in text, text
    databases.close()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """The server that most tests share. Some ask for one whose bytes are in S3 as well."""
    if getattr(request, "param", "local") == "local":
        return start_server()
    s3: S3 = request.getfixturevalue("s3")
    return start_server(blob_url=s3.url())


@pytest.fixture
def fresh(request: pytest.FixtureRequest, server: Server, start_server: StartServer) -> Server:
    """A server that nobody has used, and keeps bytes where the shared one does."""
    if not server.config.blob_url:
        return start_server()
    s3: S3 = request.getfixturevalue("s3")
    return start_server(blob_url=s3.url())


@pytest.fixture(scope="session")
def tuned(start_server: StartServer) -> Server:
    """A server with settings of its own: for pages of one web site, behind a proxy, strict and with low limits."""
    return start_server(
        cors_origins=ORIGIN,
        public_url=PUBLIC_URL,
        require_if_match="true",
        max_body_bytes=2_000,
        max_upload_bytes=2_000_000,
        decode_time_limit_s=1,
        decode_processes=1,
    )


@pytest.fixture
def url(server: Server) -> str:
    return server.url


@pytest.fixture
def new_key(server: Server) -> Callable[..., Key]:
    """A new key of a project, a new project unless given."""
    return lambda role="admin", project_id=None: make_key(server, role, project_id)


def make_key(server: Server, role: str = "admin", project_id: str | None = None) -> Key:
    with open_http(server.url, server.admin) as http:
        if project_id is None:
            project_id = http.post("/projects", json={"name": "A test"}).json()["project"]["id"]
        made = http.post(f"/projects/{project_id}/api-keys", json={"name": "A test", "role": role}).json()
    return Key(made["id"], made["secret"], project_id)


@pytest.fixture
def key(server: Server) -> Key:
    """An admin of a new, empty project."""
    return make_key(server)


@pytest.fixture
def http(url: str, key: Key) -> Iterator[httpx.Client]:
    """A plain client in a new, empty project."""
    with open_http(url, key) as client:
        yield client


@pytest.fixture
def curl(url: str, key: Key) -> Curl:
    """Runs curl in a new, empty project."""
    return Curl(url, key)


@pytest.fixture(params=["sync", "async"])
def sdk(request: pytest.FixtureRequest, url: str, key: Key) -> Iterator[Sdk]:
    """The official client, checking every answer against its own types, in a new, empty project.

    A test that is marked with `calls` must make each of those calls.
    """
    with open_sdk(request.param, url, key) as sdk:
        yield sdk
        mark = request.node.get_closest_marker("calls")
        assert mark is None or set(mark.args) <= sdk.called


@pytest.fixture
def upload(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Uploads bytes and returns the asset."""

    def upload(data: bytes, name: str, **more: object) -> dict[str, Any]:
        body = {"name": name, "image": base64.b64encode(data).decode(), **more}
        answer = http.post("/assets", json=body)
        assert answer.status_code == 200, answer.text
        asset: dict[str, Any] = answer.json()["asset"]
        return asset

    return upload


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module whose `STORES` name kinds of stores has its tests run on each of them."""
    kinds = getattr(metafunc.module, "STORES", None)
    if kinds and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", kinds, indirect=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "calls(*names): the calls of the SDK that the test makes")
