"""The service that a Python developer writes in a day, in the modules beside this one. It speaks our API."""

import json
import os
import secrets
import subprocess
from dataclasses import replace
from pathlib import Path

from bench import prepare
from bench.peers import Peer, python_versions
from bench.services import ASSETS, UVICORN, Service, basic

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv/bin/python"
PACKAGES = ("fastapi", "pydantic", "sqlalchemy", "aiosqlite", "asyncpg", "uvicorn")


def make(folder: Path, database_url: str) -> Service:
    """A new database with a key and assets; its collections are made like everybody's, by `fill`."""
    return _make(folder, database_url, "idiomatic.seed", str(ASSETS))


def make_large(folder: Path, database_url: str) -> Service:
    """The same with everything in it: its seed tells what to pick from, beside the key."""
    return _make(folder, database_url, "idiomatic.seed_large")


def look(service: Service) -> None:
    """Store what the operations pick from, which is as in our large library (`large.look`)."""
    known = {name: service.key[name] for name in ("collections", "assets", "shared", "words")}
    with service.client() as client:
        known |= prepare.pages(client, service.key["largest"])
        known["thumbnails"] = [prepare.thumbnail(client, id) for id in known["assets"][:20]]
    prepare.write(service, known)


def _make(folder: Path, database_url: str, *seed: str) -> Service:
    environment = {
        "DATABASE_URL": database_url.replace("postgresql://", "postgresql+asyncpg://")
        or f"sqlite+aiosqlite:///{folder / 'idiomatic.db'}",
        "FILES": str(folder),
        "LINK_SECRET": secrets.token_urlsafe(32),
    }
    command = [str(PYTHON), "-m", *seed]
    made = subprocess.run(command, cwd=FOLDER.parent, env=os.environ | environment, stdout=subprocess.PIPE, check=True)
    key = json.loads(made.stdout)
    serve = [str(PYTHON), *UVICORN, "--port", "{port}", "idiomatic.app:app"]
    who = basic(key["apiKey"], key["apiSecret"])
    may_fail = 0.01  # of 32 that wait for SQLite's lock on a slow machine one may wait for longer than it does
    return Service("idiomatic", serve, folder, environment, FOLDER.parent, key, who, may_fail=may_fail)


PEER = Peer(
    "idiomatic",
    PYTHON.exists,
    frozenset({"sqlite", "postgres"}),
    make,
    prepare.fill,
    lambda: python_versions(PYTHON, PACKAGES),
    speaks_ours=True,
)
LARGE = replace(PEER, make=make_large, fill=look, is_large=True)
