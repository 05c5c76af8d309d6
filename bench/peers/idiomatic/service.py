"""The service that a Python developer writes in a day, in the modules beside this one. It speaks our API."""

import json
import os
import subprocess
from pathlib import Path

from bench import prepare
from bench.peers import Peer, python_versions
from bench.services import ASSETS, UVICORN, Service, basic

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv/bin/python"
PACKAGES = ("fastapi", "pydantic", "sqlalchemy", "aiosqlite", "uvicorn")


def make(folder: Path, database_url: str) -> Service:
    """A new database with a key and assets; its collections are made like everybody's, by `fill`."""
    environment = {"DATABASE_URL": database_url or f"sqlite+aiosqlite:///{folder / 'idiomatic.db'}"}
    seed = [str(PYTHON), "-m", "idiomatic.seed", str(ASSETS)]
    made = subprocess.run(seed, cwd=FOLDER.parent, env=os.environ | environment, capture_output=True, check=True)
    key = json.loads(made.stdout)
    command = [str(PYTHON), *UVICORN, "--port", "{port}", "idiomatic.app:app"]
    can = frozenset({"get", "list", "create", "add", "remove"})
    who = basic(key["apiKey"], key["apiSecret"])
    return Service("idiomatic", command, folder, environment, FOLDER.parent, key, who, can=can)


PEER = Peer(
    "idiomatic",
    PYTHON.exists,
    frozenset({"sqlite"}),
    make,
    prepare.fill,
    lambda: python_versions(PYTHON, PACKAGES),
    speaks_ours=True,
)
