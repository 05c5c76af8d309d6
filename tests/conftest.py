"""What most tests stand on: a real library on disk, somebody who asks, a clock that can be moved, and quick assets."""

import base64
import signal
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.pgbouncer import Pooler
from local.postgres import PostgresServer
from pinakes import access, asset_bytes, assets, ids, projects
from pinakes.access import Actor, ApiKeySecret, NewApiKey
from pinakes.asset_types import THUMBNAIL_SIZES, Asset, Bytes
from pinakes.assets import NewAsset
from pinakes.blobs import thumbnail_key
from pinakes.config import Config
from pinakes.library import Library, open_library
from pinakes.store.postgres_schema import create_or_upgrade

pytest_plugins = ["archives", "issuers", "postgres", "shelves", "stores"]
"""Modules whose fixtures several files of tests share."""

OpenDatabase = Callable[[], AbstractContextManager[str]]

ENGINES = ["sqlite", "postgres"]
"""Everything below the edges is tested on each of these."""

POOLED = frozenset(
    {"test_collection_rules", "test_job_rules", "test_sdk_collections", "test_sweep", "test_upload_rules"}
)
"""Modules that are tested through PgBouncer too, where a transaction has a connection, and a process has none."""

DAY_MS = 86_400_000
WEBP = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
"""One transparent pixel."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--blob-url", help="run the tests of stores on this one too, such as gs://bucket or az://container"
    )


class Clock:
    """The time that the package sees; it stands still unless moved."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms

    def move(self, *, days: float = 0, ms: int = 0) -> None:
        self.ms += int(days * DAY_MS) + ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1_700_000_000_000)
    monkeypatch.setattr(ids, "now_ms", clock)
    monkeypatch.setattr(ids, "_last_tick", 0)
    return clock


def pytest_configure(config: pytest.Config) -> None:
    for sign in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(sign) is signal.SIG_IGN:  # as in the background; what tests start must not inherit that
            signal.signal(sign, signal.default_int_handler)
    config.addinivalue_line("markers", "engine(name): a test of what one engine does, and not of what both promise")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a library runs on each engine, unless it is about one; some through a pooler too."""
    mark = metafunc.definition.get_closest_marker("engine")
    pooled = ["pgbouncer"] if metafunc.module.__name__.rpartition(".")[2] in POOLED else []
    named = {name for found in metafunc.definition.iter_markers("parametrize") for name in _names(found.args[0])}
    for name in {"config", "engine"} & {*metafunc.fixturenames} - named:
        engines = [*ENGINES, *pooled] if mark is None else mark.args
        metafunc.parametrize(name, engines, indirect=True, scope=None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bytes know nothing of the engine: what is tested in a bucket is tested on one."""
    items[:] = [item for item in items if not _is_twice_elsewhere(getattr(item, "callspec", None))]


def _is_twice_elsewhere(call: Any) -> bool:
    given = {} if call is None else call.params
    engine = given.get("engine", given.get("config", "sqlite"))
    return given.get("blob_kind") == "s3" and engine != "sqlite"


def _names(given: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else [*given]


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path, blob_url: str) -> Iterator[Config]:
    """The configuration of a library of its own, on each engine in turn."""
    with new_database(request.param, request) as url:
        yield Config(data=str(tmp_path / "data"), busy_timeout_s=1, database_url=url, blob_url=blob_url)


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """On which servers run that tests start."""
    return str(request.param)


@pytest.fixture(scope="session")
def open_database(engine: str, request: pytest.FixtureRequest) -> OpenDatabase:
    """The `database_url` of a new library for a server, for as long as it is needed."""
    if engine != "sqlite":
        request.getfixturevalue("pooler" if engine == "pgbouncer" else "postgres")  # ends after what uses it
    return partial(new_database, engine, request)


@contextmanager
def new_database(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The `database_url` of an empty library on one of `ENGINES`, for as long as it is needed."""
    if engine == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.make_template("library", _create)
    with server.fresh("library") as url:
        if engine != "pgbouncer":
            yield url
            return
        pooler: Pooler = request.getfixturevalue("pooler")
        yield pooler.url(url.rpartition("/")[2])


def _create(url: str) -> None:
    create_or_upgrade(url)


@pytest.fixture
def open_with(config: Config) -> Iterator[Callable[[Config], Library]]:
    """Opens libraries, also several on the same data, and closes them after the test."""
    opened: list[Library] = []

    def open_one(wanted: Config = config) -> Library:
        opened.append(open_library(wanted))
        return opened[-1]

    yield open_one
    for library in opened:
        library.close()


@pytest.fixture
def library(open_with: Callable[[Config], Library], config: Config) -> Library:
    return open_with(config)


@pytest.fixture
def admin(library: Library) -> Actor:
    """An admin of the only project."""
    return new_actor(library)


@pytest.fixture
def other(library: Library) -> Actor:
    """An admin of another project."""
    return new_actor(library)


def new_actor(library: Library, role: str = "admin", project_id: str | None = None) -> Actor:
    """Whoever holds a new key of a project, a new one unless given."""
    return sign_in(library, new_key(library, role, project_id))


def new_key(library: Library, role: str = "admin", project_id: str | None = None) -> ApiKeySecret:
    """A new key of a project, a new one unless given."""
    owner = project_id or projects.create_first(library, "A project")
    return access.create_first_key(library, owner, NewApiKey("A key", role))


def sign_in(library: Library, key: ApiKeySecret, project_id: str | None = None) -> Actor:
    """Whoever holds the key, in its own project or another that it may see."""
    return access.authenticate(library, key.id, access.hash_secret(key.secret), project_id)


def make_png(width: int = 2, height: int = 2, grey: int = 128) -> bytes:
    """A valid PNG, made without a picture library."""
    rows = (b"\0" + bytes([grey]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def new_asset(name: str = "a.png", data: bytes | None = None) -> NewAsset:
    """An upload of a small PNG, or of the bytes given."""
    return NewAsset(name, base64.b64encode(make_png() if data is None else data).decode())


def upload(library: Library, actor: Actor, new: NewAsset) -> Asset:
    """Both halves of an upload."""
    return assets.create(library, actor, new, asset_bytes.store(library, actor, new))


def store_png(library: Library) -> Bytes:
    """A small PNG stored without starting a process to decode it. Its thumbnails are one transparent pixel each."""
    data = make_png()
    sha256 = library.blobs.put(data)
    for size in THUMBNAIL_SIZES:
        if library.blobs.size(thumbnail_key(sha256, size)) is None:
            library.blobs.put_pictures(sha256, {size: WEBP}, None)
    return Bytes(sha256, len(data), "image", "image/png", "png", 2, 2, 1, has_thumbnail=True)


def make_assets(library: Library, actor: Actor, n: int, collection_ids: list[str] | None = None) -> list[str]:
    """The ids of `n` new assets on the same bytes, oldest first."""
    stored = store_png(library)
    new = NewAsset("a.png", "", collection_ids=collection_ids or [])
    return [assets.create(library, actor, new, stored).id for _ in range(n)]
