"""Who may do what: one table of every call and every kind of key, with good bodies and things that exist."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from conftest import OpenDatabase
from contract_server import Key, Server, assert_error, serving

from pinakes.api.app import ROUTES

SCOPED = "assets.read;collections.write"
TABLE = """
                                                    nobody  wrong  theirs  reader  scoped  editor  admin
    GET    /collections                                401    401     200     200     403     200    200
    POST   /collections                                401    401     200     403     200     200    200
    GET    /collections/{collectionId}                 401    401     404     200     403     200    200
    PUT    /collections/{collectionId}                 401    401     404     403     200     200    200
    DELETE /collections/{collectionId}                 401    401     404     403     200     200    200
    PUT    /collections/{collectionId}/assets          401    401     404     403     200     200    200
    DELETE /collections/{collectionId}/assets          401    401     404     403     200     200    200
    PUT    /collections/{collectionId}/models          401    401     404     403     200     200    200
    DELETE /collections/{collectionId}/models          401    401     404     403     200     200    200
    GET    /assets                                     401    401     200     200     200     200    200
    POST   /assets                                     401    401     200     403     403     200    200
    DELETE /assets                                     401    401     200     403     403     200    200
    POST   /assets/restore                             401    401     200     403     403     200    200
    POST   /assets/get-bulk                            401    401     200     200     200     200    200
    GET    /assets/{assetId}                           401    401     404     200     200     200    200
    PUT    /assets/{assetId}                           401    401     404     403     403     200    200
    PUT    /assets/{assetId}/tags                      401    401     404     403     403     200    200
    POST   /assets/{assetId}/copy                      401    401     404     403     403     200    200
    POST   /assets/download                            401    401     404     200     200     200    200
    GET    /assets/download/{jobId}                    401    401     404     200     200     200    200
    POST   /assets/{assetId}/download                  401    401     404     200     200     200    200
    GET    /models                                     401    401     200     200     403     200    200
    POST   /models                                     401    401     200     403     403     200    200
    POST   /models/get-bulk                            401    401     200     200     403     200    200
    GET    /models/{modelId}                           401    401     404     200     403     200    200
    PUT    /models/{modelId}                           401    401     404     403     403     200    200
    DELETE /models/{modelId}                           401    401     404     403     403     200    200
    POST   /models/{modelId}/restore                   401    401     404     403     403     200    200
    PUT    /models/{modelId}/tags                      401    401     404     403     403     200    200
    POST   /models/{modelId}/copy                      401    401     404     403     403     200    200
    GET    /models/{modelId}/description               401    401     404     200     403     200    200
    PUT    /models/{modelId}/description               401    401     404     403     403     200    200
    GET    /models/{modelId}/examples                  401    401     404     200     403     200    200
    PUT    /models/{modelId}/examples                  401    401     404     403     403     200    200
    POST   /search/assets                              401    401     200     200     200     200    200
    POST   /search/models                              401    401     200     200     403     200    200
    POST   /models/{modelId}/download                  401    401     404     404     403     404    404
    POST   /uploads                                    401    401     200     403     403     200    200
    GET    /uploads/{uploadId}                         401    401     404     200     200     200    200
    POST   /uploads/{uploadId}/action                  401    401     404     403     403     200    200
    GET    /tags                                       401    401     200     200     403     200    200
    GET    /projects                                   401    401     200     200     403     200    200
    POST   /projects                                   401    401     200     403     403     403    200
    GET    /projects/{projectId}                       401    401     404     200     403     200    200
    PUT    /projects/{projectId}                       401    401     404     403     403     403    200
    DELETE /projects/{projectId}                       401    401     404     403     403     403    200
    POST   /projects/{projectId}/api-keys              401    401     404     403     403     403    200
    DELETE /projects/{projectId}/api-keys/{keyId}      401    401     404     403     403     403    200
    GET    /teams                                      401    401     200     200     403     200    200
    GET    /teams/{teamId}                             401    401     200     200     403     200    200
    GET    /teams/{teamId}/limits                      401    401     200     200     403     200    200
"""
"""`theirs` is the admin of another project of the same team, asking for things of the first. A list and what takes ids
in its body then finds nothing, which is no error unless it cannot do with less. Models here have no file, so that
whoever may download it finds none."""

CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

Ids = dict[str, str]


def _archive(asset_id: str) -> dict[str, Any]:
    return {"query": {"assetIds": [asset_id]}, "options": {"fileNameTemplate": "<id>"}}


BODIES: dict[str, Callable[[Ids], Any]] = {
    "POST /collections": lambda _: {"name": "new"},
    "PUT /collections/{collectionId}": lambda ids: {"name": "new", "thumbnail": ids["assetId"]},
    "PUT /collections/{collectionId}/assets": lambda ids: {"assetIds": [ids["assetId"]]},
    "DELETE /collections/{collectionId}/assets": lambda ids: {"assetIds": [ids["assetId"]]},
    "PUT /collections/{collectionId}/models": lambda ids: {"modelIds": [ids["modelId"]]},
    "DELETE /collections/{collectionId}/models": lambda ids: {"modelIds": [ids["modelId"]]},
    "POST /assets": lambda _: {"name": "new.gif", "image": PIXEL},
    "DELETE /assets": lambda ids: {"assetIds": [ids["assetId"]]},
    "POST /assets/restore": lambda ids: {"assetIds": [ids["assetId"]]},
    "POST /assets/get-bulk": lambda ids: {"assetIds": [ids["assetId"]]},
    "POST /assets/download": lambda ids: _archive(ids["assetId"]),
    "POST /assets/{assetId}/download": lambda _: {"targetFormat": "gif"},
    "PUT /assets/{assetId}": lambda _: {"name": "new", "description": "new"},
    "PUT /assets/{assetId}/tags": lambda _: {"add": ["new"]},
    "POST /models/get-bulk": lambda ids: {"modelIds": [ids["modelId"]], "minimal": True},
    "PUT /models/{modelId}": lambda ids: {"name": "new", "thumbnail": ids["assetId"]},
    "PUT /models/{modelId}/tags": lambda _: {"add": ["new"]},
    "PUT /models/{modelId}/description": lambda ids: {"description": f"As in {ids['assetId']}."},
    "PUT /models/{modelId}/examples": lambda ids: {"assetIds": [ids["assetId"]]},
    "POST /search/assets": lambda ids: {"query": "c", "filter": f"collectionIds = {ids['collectionId']}"},
    "POST /search/models": lambda _: {"query": "c"},
    "POST /uploads": lambda _: {"fileName": "a.txt", "fileSize": 3, "kind": "text", "parts": 1},
    "POST /uploads/{uploadId}/action": lambda _: {"action": "complete"},
    "POST /projects": lambda _: {"name": "new"},
    "PUT /projects/{projectId}": lambda _: {"name": "new"},
}
"""Calls that are not here are sent without a body."""


class World(NamedTuple):
    server: Server
    asset_id: str
    keys: dict[str, Key | None]


def _rows() -> dict[str, dict[str, int]]:
    head, *lines = TABLE.strip().splitlines()
    rows = (line.split() for line in lines)
    return {f"{row[0]} {row[1]}": dict(zip(head.split(), map(int, row[2:]), strict=True)) for row in rows}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[World]:
    with open_database() as url, serving(tmp_path_factory.mktemp("contract"), database_url=url) as server:
        admin = server.ours
        keys = {
            "nobody": None,
            "wrong": admin._replace(secret="wrong"),
            "theirs": server.theirs,
            "reader": server.new_key("reader"),
            "scoped": server.new_key(SCOPED),
            "editor": server.new_key("editor"),
            "admin": admin,
        }
        yield World(server, server.ask("POST", "/assets", {"name": "a", "image": PIXEL})["asset"]["id"], keys)


def _fresh(world: World, call: str) -> Ids:
    """Things of the first project that no other case has touched, in the state that the call needs."""
    ask = world.server.ask
    own = world.server.ours.project_id
    ids = {
        "collectionId": ask("POST", "/collections", {"name": "c"})["collection"]["id"],
        "assetId": ask("POST", f"/assets/{world.asset_id}/copy")["asset"]["id"],
        "modelId": ask("POST", "/models")["model"]["id"],
        "keyId": world.server.new_key("reader").id,
        "teamId": ask("GET", "/teams")["teams"][0]["id"],
        "projectId": own
        if "keyId" in call or "GET" in call
        else ask("POST", "/projects", {"name": "p"})["project"]["id"],
    }
    ids["uploadId"] = _upload(world.server)
    ids["jobId"] = ask("POST", "/assets/download", _archive(ids["assetId"]))["jobId"]
    if call == "POST /assets/restore":
        ask("DELETE", "/assets", {"assetIds": [ids["assetId"]]})
    if call == "POST /models/{modelId}/restore":
        ask("DELETE", f"/models/{ids['modelId']}")
    return ids


def _upload(server: Server) -> str:
    """An upload of the first project with all that it needs to be completed."""
    upload = server.ask("POST", "/uploads", {"fileName": "a.txt", "fileSize": 3, "kind": "text", "parts": 1})["upload"]
    url = urlsplit(upload["parts"][0]["url"])
    assert server.send("PUT", f"{url.path}?{url.query}", None, b"abc").status == 200
    return str(upload["id"])


def test_every_call_is_in_the_table() -> None:
    assert set(_rows()) == {f"{route.method} {route.path}" for route in ROUTES}


@pytest.mark.parametrize("call", _rows())
def test_who_may(world: World, call: str) -> None:
    method, path = call.split()
    expected, statuses = _rows()[call], {}
    for who, key in world.keys.items():
        ids = _fresh(world, call)
        answer = world.server.send(
            method, f"/v1{path.format(**ids)}", key, BODIES[call](ids) if call in BODIES else None
        )
        statuses[who] = answer.status
        if answer.status == 200:
            assert isinstance(answer.json, dict)
        else:
            assert_error(answer, CODES[answer.status])
    assert statuses == expected


def test_what_a_key_may_not_do_it_does_not_do(world: World) -> None:
    ids = _fresh(world, "GET")
    before = world.server.ask("GET", f"/collections/{ids['collectionId']}")
    for who in ("nobody", "wrong", "theirs", "reader"):
        world.server.send("PUT", f"/v1/collections/{ids['collectionId']}", world.keys[who], {"name": who})
        world.server.send("DELETE", f"/v1/collections/{ids['collectionId']}", world.keys[who])
        world.server.send("DELETE", "/v1/assets", world.keys[who], {"assetIds": [ids["assetId"]]})
    assert world.server.ask("GET", f"/collections/{ids['collectionId']}") == before
    assert world.server.ask("GET", f"/assets/{ids['assetId']}")["asset"]["id"] == ids["assetId"]


def test_another_project_shows_none_of_ours(world: World) -> None:
    """Lists, and calls that take ids in the body, for the admin of the other project."""
    ids, theirs = _fresh(world, "GET"), world.server.theirs
    asset_ids = {"assetIds": [ids["assetId"]]}
    told = {
        path: world.server.ask(method, path, body, theirs)
        for method, path, body in (
            ("GET", "/tags", None),
            ("POST", "/assets/get-bulk", asset_ids),
            ("POST", "/models/get-bulk", {"modelIds": [ids["modelId"]]}),
            ("POST", "/assets/restore", asset_ids),
        )
    }
    skipped = [{"assetId": ids["assetId"], "reason": "not-found"}]
    assert told == {
        "/tags": {"tags": []},
        "/assets/get-bulk": {"assets": []},
        "/models/get-bulk": {"models": []},
        "/assets/restore": {"restoredAssetIds": [], "skippedAssets": skipped},
    }
    shown = str(
        [
            world.server.ask("GET", path, None, theirs)
            for path in ("/collections", "/assets", "/models", "/projects", "/teams")
        ]
    )
    assert not [id for name, id in ids.items() if name != "teamId" and id in shown]


def test_a_key_ends_when_it_is_revoked(world: World) -> None:
    key = world.server.new_key("reader")
    assert world.server.send("GET", "/v1/collections", key).status == 200
    world.server.ask("DELETE", f"/projects/{key.project_id}/api-keys/{key.id}")
    assert_error(world.server.send("GET", "/v1/collections", key), "UNAUTHORIZED")
