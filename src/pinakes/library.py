"""A library: everything a verb needs, and the only place where the parts are put together."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pinakes import ids
from pinakes.blob_urls import open_blobs, open_parts
from pinakes.blobs import Blobs
from pinakes.config import Config, aws_key
from pinakes.errors import PinakesError
from pinakes.links import Links
from pinakes.media import Media
from pinakes.page import Tokens
from pinakes.parts import Parts
from pinakes.store import Store

if TYPE_CHECKING:
    from pinakes.bearer import Verifier

_DAY_MS = 86_400_000


class Library(msgspec.Struct, frozen=True):
    """The parts. Verbs live in the noun modules and take a library as their first argument."""

    config: Config
    store: Store
    blobs: Blobs
    parts: Parts
    media: Media
    links: Links
    tokens: Tokens
    verifier: Verifier | None
    work: threading.Event
    """Set when there may be background work to do; the worker need not look for some for so long then."""

    def trash_cutoff(self) -> str:
        """What was deleted at or before this time is gone for good."""
        return ids.iso(ids.now_ms() - self.config.trash_days * _DAY_MS)

    def ready(self) -> None:
        """UNAVAILABLE unless readers and the writer of the store and the blobs answer."""
        with self.store.read() as tx:
            tx.upkeep.ready()
        self.store.ready()
        self.blobs.ready()

    def close(self) -> None:
        """Finish queued writes and let go of files and processes."""
        self.store.close()
        self.media.close()


def open_library(config: Config, *, create: bool = True) -> Library:
    """Open the library that the configuration names. `create` makes the data folder and an empty database if need be.

    UNAVAILABLE when there is none and `create` is false, when it was written by another version, or cannot be opened.
    """
    engine = _prepared(config, create)
    blobs = open_blobs(config.blobs_url, is_direct=config.blob_links == "direct", key=aws_key())
    store = engine.open()
    media = Media(
        max_pixels=config.max_pixels,
        time_limit_s=config.decode_time_limit_s,
        memory_limit_bytes=config.decode_memory_bytes,
        processes=config.decode_processes,
    )
    secret = _secret(store)
    links = Links(secret, config.link_lifetime_s)
    parts, tokens = open_parts(blobs), Tokens(secret)
    return Library(config, store, blobs, parts, media, links, tokens, _verifier(config), threading.Event())


def _verifier(config: Config) -> Verifier | None:
    """What checks tokens is loaded when an issuer is named: with its cryptography it takes 10 MB."""
    if not config.jwt_issuer:
        return None
    from pinakes.bearer import Verifier

    return Verifier(config)


def open_store(config: Config, *, create: bool = False) -> Store:
    """Open the database alone."""
    return _prepared(config, create).open()


def _prepared(config: Config, create: bool) -> _Engine:
    """A database that there is."""
    engine = _engine(config)
    if not create:
        _require_created(config)
    elif not engine.is_created():
        _make_folder(Path(config.data))
        engine.create_or_upgrade()
    return engine


def upgrade(config: Config) -> list[str]:
    """Bring a library's database to the newest schema; which migrations ran. UNAVAILABLE when there is none."""
    _require_created(config)
    return _engine(config).create_or_upgrade()


class _Engine(NamedTuple):
    """What can be done with the database that a configuration names."""

    name: str
    is_created: Callable[[], bool]
    create_or_upgrade: Callable[[], list[str]]
    open: Callable[[], Store]


def _engine(config: Config) -> _Engine:
    """A driver is loaded when it is needed: PostgreSQL's takes longer than all of a small command on SQLite."""
    if config.is_postgres:
        from pinakes.store import postgres, postgres_schema

        postgres_schema.check_url(config.database_url)

        url = config.database_url
        return _Engine(
            "the database",
            partial(postgres_schema.is_created, url),
            partial(postgres_schema.create_or_upgrade, url),
            lambda: postgres.open_store(config),
        )
    from pinakes.store import sqlite

    path = config.database_path

    def create() -> list[str]:
        _make_folder(path.parent)
        return sqlite.create_or_upgrade(path)

    open = partial(sqlite.SqliteStore, path, config.busy_timeout_s)
    return _Engine(str(path.parent), partial(sqlite.is_created, path), create, open)


def _require_created(config: Config) -> None:
    engine = _engine(config)
    if not engine.is_created():
        raise PinakesError("UNAVAILABLE", f"There is no library in {engine.name}; `pinakes serve` makes one.")


def _make_folder(path: Path) -> None:
    """Only for the owner: the folder holds everything a library knows, its link secret included."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise PinakesError("UNAVAILABLE", f"The data folder {path} cannot be made: {error.strerror}") from error


def _secret(store: Store) -> bytes:
    """The key of signed links and page tokens; it belongs to the library, so both outlive a restart and a move."""
    with store.read() as tx:
        known = tx.upkeep.find_setting("link_secret")
    if not known:
        with store.write() as tx:
            known = tx.upkeep.setting("link_secret", secrets.token_hex(32))
    return bytes.fromhex(known)
