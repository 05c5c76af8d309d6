"""Keys that end while the server runs, and secrets that are told once and nowhere else."""

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import OpenDatabase
from servers import Place, Server, environment, make_place, new_collection, ok, serving

from pinakes import access
from pinakes.config import Config
from pinakes.library import open_library


@pytest.fixture
def place(tmp_path: Path, open_database: OpenDatabase) -> Iterator[Place]:
    with open_database() as url:
        yield make_place(tmp_path, 1, database_url=url)


@pytest.fixture
def server(place: Place) -> Iterator[Server]:
    with serving(place, log_level="debug") as server:
        yield server


def new_key(client: httpx.Client, project_id: str, role: str = "editor") -> Any:
    return ok(client.post(f"/projects/{project_id}/api-keys", json={"name": "Another", "role": role}))


def command(place: Place, *words: str) -> str:
    """What a command on the machine prints."""
    arguments = [sys.executable, "-m", "pinakes", *words, "--data", str(place.data)]
    env = environment(database_url=place.database_url)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_dead(client: httpx.Client) -> bool:
    """Whether the key is refused everywhere, on a connection on which it was good before: changes at once, and reads
    within a second, for as long as a server on PostgreSQL may remember whom it let in.
    """
    changed = client.post("/collections", json={"name": "more"}).status_code
    until = time.monotonic() + 1
    while client.get("/collections").status_code == 200 and time.monotonic() < until:
        time.sleep(0.05)
    answers = [client.get("/collections"), client.post("/collections", json={"name": "more"}), client.get("/nowhere")]
    return [changed, *(answer.status_code for answer in answers)] == [401, 401, 401, 404]


def test_revoked_through_the_api(server: Server) -> None:
    project = server.place.project_id
    with server.client() as admin:
        key = new_key(admin, project)
        with server.client((key["id"], key["secret"])) as editor:
            new_collection(editor)
            ok(admin.delete(f"/projects/{project}/api-keys/{key['id']}"))
            assert is_dead(editor)
        ok(admin.get("/collections"))


def test_revoked_on_the_machine(server: Server) -> None:
    """A process of its own writes it, and tells nobody."""
    key = json.loads(command(server.place, "key", "create", "--json", "--role", "admin"))
    with server.client((key["apiKey"], key["apiSecret"])) as admin:
        new_collection(admin)
        command(server.place, "key", "revoke", key["apiKey"])
        assert is_dead(admin)
    with server.client() as other:
        ok(other.get("/collections"))


@pytest.mark.engine("sqlite")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/collections", None),
        ("GET", "/collections/none", None),
        ("GET", "/assets?tags=none", None),
        ("POST", "/assets/get-bulk", {"assetIds": ["none"]}),
        ("POST", "/search/assets", {"query": "none"}),
        ("GET", "/assets?inferenceId=none", None),
        ("GET", "/assets?tags=none&pageSize=0", None),
        ("GET", "/models?collectionIds=none", None),
        ("POST", "/assets/{asset}/download", {"targetFormat": "png"}),
        ("POST", "/assets/none/download", {"targetFormat": "png"}),
        ("POST", "/assets", {"name": "a.png", "image": "AAAA"}),
        ("POST", "/collections", {"name": "more"}),
    ],
)
def test_whom_the_server_knows_is_refused_at_once(server: Server, method: str, path: str, body: Any) -> None:
    """It has let them in a moment ago, and another process revokes the key before the next request."""
    with closing(open_library(Config(data=str(server.place.data)), create=False)) as elsewhere:
        project, path = server.place.project_id, path.format(asset=server.place.asset_ids[0])
        key = access.create_first_key(elsewhere, project, access.NewApiKey("Short", "admin"))
        with server.client((key.id, key.secret)) as client:
            for _ in range(20):
                ok(client.get("/collections"))
                assert client.request(method, path, json=body).status_code in (200, 400, 404)
            access.revoke_first_key(elsewhere, [project], key.id)
            assert client.request(method, path, json=body).status_code == 401


def test_a_key_that_ends_itself(server: Server) -> None:
    """Its last request is answered."""
    with server.client() as admin:
        key = new_key(admin, server.place.project_id, "admin")
    with server.client((key["id"], key["secret"])) as itself:
        ok(itself.delete(f"/projects/{server.place.project_id}/api-keys/{key['id']}"))
        assert is_dead(itself)


def test_a_project_that_ends_takes_its_keys_along(server: Server) -> None:
    with server.client() as admin:
        project = ok(admin.post("/projects", json={"name": "Short"}))["project"]["id"]
        keys = [new_key(admin, project, role) for role in ("admin", "editor", "reader")]
        own = [server.client((key["id"], key["secret"])) for key in keys]
        for client in own:
            ok(client.get("/collections"))
        ok(admin.get("/collections", params={"projectId": project}))
        ok(admin.delete(f"/projects/{project}"))
        assert all(is_dead(client) for client in own)
        assert admin.get("/collections", params={"projectId": project}).status_code == 403
        ok(admin.get("/collections"))
        for client in own:
            client.close()


def test_a_signed_link_ends_with_the_project(server: Server) -> None:
    """It holds no key, and outlives the one it was made for, but not the project."""
    with server.client() as admin:
        project = ok(admin.post("/projects", json={"name": "Short"}))["project"]["id"]
        copied = ok(admin.post(f"/assets/{server.place.asset_ids[0]}/copy", json={"targetProjectId": project}))["asset"]
        assert httpx.get(copied["url"]).status_code == 200
        ok(admin.delete(f"/projects/{project}"))
        assert httpx.get(copied["url"]).status_code == 404


@pytest.mark.engine("sqlite")
def test_secrets_are_told_once(server: Server) -> None:
    """Not in logs, later answers or files; of the hash, only the database knows."""
    heard: list[bytes] = []
    project = server.place.project_id
    with server.client() as admin:
        admin.event_hooks["response"] = [
            lambda response: heard.append(response.read() + repr(response.headers).encode())
        ]
        answer = admin.post(f"/projects/{project}/api-keys", json={"name": "Another"})
        key, heard[:] = ok(answer), []
        for path in ("/projects", f"/projects/{project}", "/teams", "/collections", "/assets", "/models", "/nowhere"):
            admin.get(path)
        for auth in ((key["id"], key["secret"] + "x"), ("nobody", key["secret"]), (key["secret"], key["id"])):
            admin.get("/collections", auth=auth)
        admin.get("/collections", headers={"Authorization": f"Bearer {key['secret']}"})
        admin.post("/collections", content=b'{"name": ' + key["secret"].encode(), auth=(key["id"], key["secret"]))
        admin.get("/collections", auth=(key["id"], key["secret"]))
        admin.delete(f"/projects/{project}/api-keys/{key['id']}")
        heard.append(admin.get(f"{server.url}/metrics").content + admin.get(f"{server.url}/openapi.json").content)
    listed = command(server.place, "key", "list", "--json").encode()
    files = [path.read_bytes() for path in server.place.data.rglob("*") if path.is_file()]
    assert server.stop() == 0
    log = server.place.log.read_bytes()
    assert b"/collections" in log
    for secret in (key["secret"], server.place.secret):
        hashed = hashlib.sha256(secret.encode()).digest()
        assert any(hashed in file for file in files)
        for text in (*heard, log, listed):
            assert not any(form in text for form in forms(secret, hashed))
        for file in (*files, *(path.read_bytes() for path in server.place.data.rglob("*") if path.is_file())):
            assert secret.encode() not in file


def forms(secret: str, hashed: bytes) -> list[bytes]:
    """A secret and its hash as they could be written; base64 without its last digits, which the neighbours change."""
    whole = [secret.encode(), hashed, hashed.hex().encode(), hashed.hex().upper().encode()]
    return [*whole, base64.b64encode(hashed)[:-2], base64.urlsafe_b64encode(hashed)[:-2]]
