"""Schemathesis on the server's own description, all checks on: what it promises is so, whatever is sent."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenDatabase
from contract_server import Server, serving

LEAST_CASES = 2_000
SEED = 20_260_131
NEW_UPLOAD = {"fileName": "a.txt", "fileSize": 3, "kind": "text", "parts": 1}
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CONFIG = """
hooks = "{hooks}"
seed = {seed}
continue-on-failure = true
[checks]
enabled = true
[generation]
database = "none"
max-examples = 15
# Wrong credentials are the business of the check `ignored_auth`; generated ones would be replaced by ours anyway.
with-security-parameters = false
[phases.stateful.generation]
max-examples = 100
[dictionaries]
{dictionaries}
[parameters]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[Server]:
    with open_database() as url, serving(tmp_path_factory.mktemp("contract"), database_url=url) as running:
        yield running


def _real_ids(server: Server) -> dict[str, str]:
    """Things that exist, by path parameter."""
    asset_id = server.ask("POST", "/assets", {"name": "a.gif", "image": PIXEL})["asset"]["id"]
    archive = {"query": {"assetIds": [asset_id]}, "options": {"fileNameTemplate": "<id>"}}
    return {
        "projectId": server.ours.project_id,
        "collectionId": server.ask("POST", "/collections", {"name": "c"})["collection"]["id"],
        "assetId": asset_id,
        "jobId": server.ask("POST", "/assets/download", archive)["jobId"],
        "uploadId": server.ask("POST", "/uploads", NEW_UPLOAD)["upload"]["id"],
        "modelId": server.ask("POST", "/models")["model"]["id"],
        "teamId": server.ask("GET", "/teams")["teams"][0]["id"],
    }


def _examples(openapi: dict[str, Any]) -> dict[str, str]:
    """The ids that the description shows, by path parameter."""
    operations = [operation for path in openapi["paths"].values() for operation in path.values()]
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", [])]
    return {parameter["name"]: parameter["example"] for parameter in parameters if "example" in parameter}


def _config(ids: dict[str, str], folder: Path) -> Path:
    tables = "\n".join(f'{name} = {{ values = ["{value}"] }}' for name, value in ids.items())
    text = CONFIG.format(hooks=Path(__file__).with_name("schemathesis_hooks.py"), seed=SEED, dictionaries=tables)
    text += "\n".join(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}' for name in ids)
    path = folder / "schemathesis.toml"
    path.write_text(text)
    return path


@pytest.mark.timeout(400)
def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    openapi, ids = server.send("GET", "/openapi.json").json, _real_ids(server)
    examples = _examples(openapi)
    environment = {
        **os.environ,
        "CONTRACT_KEY_ID": server.ours.id,
        "CONTRACT_PROJECT_ID": server.ours.project_id,
        "CONTRACT_REAL": json.dumps({examples[name]: id for name, id in ids.items()}),
    }
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_config(ids, tmp_path)), "run"),
        *(f"{server.url}/openapi.json", "--auth", f"{server.ours.id}:{server.ours.secret}", "--no-color"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    print(run.stdout, run.stderr)
    assert run.returncode == 0
    assert _told(run.stdout, r"(\d+) generated") >= LEAST_CASES
    assert _told(run.stdout, r"Tested: (\d+)") == sum(map(len, openapi["paths"].values()))
    assert server.send("GET", "/v1/collections", server.ours).status == 200


def _told(output: str, pattern: str) -> int:
    found = re.search(pattern, output)
    assert found is not None, output
    return int(found[1])
