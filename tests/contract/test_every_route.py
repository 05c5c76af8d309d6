"""What is true of every call there is. The cases are made from the table of routes, so a new one is tested as well."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from conftest import OpenDatabase
from contract_server import Answer, Key, Server, assert_error, basic, serving

from pinakes.access import READ_SCOPES, SCOPES
from pinakes.api.app import ROUTES
from pinakes.api.http import STATUS
from pinakes.api.routes import Route

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND")
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
NEW_UPLOAD = {"fileName": "a.txt", "fileSize": 3, "kind": "text", "parts": 1}
BODIES = (None, b"", b"{", b"[]", b'{"name": 5}', b"\xff")
NOWHERE = [
    "/v1",
    "/v1/",
    "/v1/nothing",
    "/v1/collections//",
    "/v1//collections",
    "/v1collections",
    "/v2/collections",
    "/collections",
    "/nothing",
    "/docs/nothing",
    "/docs/../healthz",
    "/files",
    "/files/a/b",
    "/files/a/b/c/d",
    "/uploads",
    "/uploads/a/b",
    "/v1/jobs",
    "/v1/generate/txt2img",
    "/%2e%2e/%2e%2e/etc/passwd",
]
UNKNOWN = {
    "collectionId": "col_0000000000000000000000",
    "assetId": "asset_0000000000000000000000",
    "modelId": "flux.1-none",
    "uploadId": "upload_0000000000000000000000",
    "jobId": "job_0000000000000000000000",
    "projectId": "proj_0000000000000000000000",
    "keyId": "key_0000000000000000000000",
    "teamId": "team_0000000000000000000000",
}

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
every_path = pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))


class World(NamedTuple):
    """A server, keys for it, its description, and ids by path parameter: of ours, and of the other project."""

    server: Server
    openapi: dict[str, Any]
    keys: dict[str, Key]
    ours: dict[str, str]
    theirs: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[World]:
    with open_database() as url, serving(tmp_path_factory.mktemp("contract"), database_url=url) as server:
        keys = {"admin": server.ours, "revoked": server.new_key("admin")}
        # One key for each scope that lacks nothing but this scope.
        keys |= {scope: server.new_key(";".join(sorted(SCOPES - {scope}))) for scope in sorted(SCOPES)}
        server.ask("DELETE", f"/projects/{server.ours.project_id}/api-keys/{keys['revoked'].id}")
        openapi = server.send("GET", "/openapi.json").json
        yield World(server, openapi, keys, _things(server, server.ours), _things(server, server.theirs))


def _things(server: Server, key: Key) -> dict[str, str]:
    """One thing of every kind in the project of a key, by path parameter."""
    role = {"name": "spare", "role": "reader"}
    asset_id = server.ask("POST", "/assets", {"name": "a.gif", "image": PIXEL}, key)["asset"]["id"]
    archive = {"query": {"assetIds": [asset_id]}, "options": {"fileNameTemplate": "<id>"}}
    return {
        "collectionId": server.ask("POST", "/collections", {"name": "c"}, key)["collection"]["id"],
        "assetId": asset_id,
        "uploadId": server.ask("POST", "/uploads", NEW_UPLOAD, key)["upload"]["id"],
        "jobId": server.ask("POST", "/assets/download", archive, key)["jobId"],
        "modelId": server.ask("POST", "/models", {"name": "m"}, key)["model"]["id"],
        "projectId": key.project_id,
        "keyId": server.ask("POST", f"/projects/{key.project_id}/api-keys", role, key)["id"],
        "teamId": server.ask("GET", "/teams", None, key)["teams"][0]["id"],
    }


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _call(
    world: World,
    route: Route,
    key: Key | None,
    ids: dict[str, str] = UNKNOWN,
    *,
    query: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """The route's answer, whose status and body are as the description says."""
    path = route.path.format(**ids)
    answer = world.server.send(route.method, f"/v1{path}{query}", key, body, headers)
    described = _operation(world, route)["responses"]
    assert str(answer.status) in described, f"{answer.status} is not in the description"
    _validator(world, _resolved(world, described[str(answer.status)])).validate(answer.json)
    return answer


def _operation(world: World, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = world.openapi["paths"][f"/v1{route.path}"][route.method.lower()]
    return operation


def _resolved(world: World, part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    resolved: dict[str, Any] = world.openapi["components"]["responses"][part["$ref"].rpartition("/")[2]]
    return resolved


def _validator(world: World, part: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    schema = {**part["content"]["application/json"]["schema"], "components": world.openapi["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def _refuse(world: World, route: Route, header: str | None) -> None:
    answer = _call(world, route, None, headers={} if header is None else {"Authorization": header})
    assert_error(answer, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    _assert_no_secret(world, answer, header or "")


def _assert_no_secret(world: World, answer: Answer, header: str = "") -> None:
    said = answer.body.decode() + str(answer.headers)
    secrets = [key.secret for key in world.keys.values()] + [key.authorization[6:] for key in world.keys.values()]
    assert not [secret for secret in [*secrets, *header.split()[1:]] if secret in said]


@every_route
def test_nobody_gets_in_without_good_credentials(world: World, route: Route) -> None:
    admin, other = world.keys["admin"], world.server.theirs
    _refuse(world, route, None)
    for malformed in ("", "Basic", "Basic ", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /w==", "Bearer abc.def.ghi"):
        _refuse(world, route, malformed)
    _refuse(world, route, basic(f"{admin.id}:wrong-secret"))
    _refuse(world, route, basic(f"{admin.id}:"))
    _refuse(world, route, basic(f"{admin.id}:{admin.secret}x"))
    _refuse(world, route, basic(f"{admin.id}:{other.secret}"))
    _refuse(world, route, basic(f"key_unknown:{admin.secret}"))
    _refuse(world, route, world.keys["revoked"].authorization)


@every_route
def test_the_scheme_may_be_spelled_in_any_case(world: World, route: Route) -> None:
    header = world.keys["admin"].authorization.replace("Basic", "bAsIc")
    assert _call(world, route, None, headers={"Authorization": header}, query="?projectId=none").status == 403


@every_route
def test_a_key_without_the_scope_is_refused_before_the_body_is_read(world: World, route: Route) -> None:
    for body in BODIES:
        answer = _call(world, route, world.keys[route.scope], world.ours, body=body)
        error = assert_error(answer, "FORBIDDEN")
        assert route.scope in error["reason"]
        assert error["details"] == {"scope": route.scope}
        _assert_no_secret(world, answer)


@every_route
def test_a_key_of_another_project_is_refused_whether_that_exists_or_not(world: World, route: Route) -> None:
    reasons = set()
    for project_id in (world.server.ours.project_id, UNKNOWN["projectId"]):
        for body in BODIES:
            answer = _call(world, route, world.server.theirs, world.ours, query=f"?projectId={project_id}", body=body)
            reasons.add(assert_error(answer, "FORBIDDEN")["reason"].replace(project_id, "…"))
    assert len(reasons) == 1


@every_route
def test_an_unknown_thing_reads_as_one_of_another_project(world: World, route: Route) -> None:
    """Also when only the last id of a path is wrong. There is one team, so that no other project's can be asked for."""
    for name in _names(route.path):
        strangers = [UNKNOWN[name]] + ([world.theirs[name]] if name != "teamId" else [])
        told = set()
        for id in strangers:
            answer = _call(world, route, world.server.ours, {**world.ours, name: id}, body=_example(route))
            error = assert_error(answer, "NOT_FOUND")
            told.add(json.dumps({**error, "traceId": ""}).replace(id, "…"))
        assert len(told) == 1


def _example(route: Route) -> Any:
    return route.example if route.example is not None else {} if route.body else None


@every_route
def test_a_body_must_be_json_of_the_right_shape_and_size(world: World, route: Route) -> None:
    if route.body is None:
        return
    admin = world.server.ours
    assert_error(
        _call(world, route, admin, body=b"a=b", headers={"Content-Type": "text/plain"}), "UNSUPPORTED_MEDIA_TYPE"
    )
    for body in (b"{", b"[]", b"1", b"\xff", b"[" * 10_000):
        assert_error(_call(world, route, admin, body=body), "BAD_REQUEST")
    if route.needs_body:
        for nothing in (None, b"", b" "):
            assert_error(_call(world, route, admin, body=nothing), "BAD_REQUEST")
    assert_error(_call(world, route, admin, headers={"Content-Length": "99999999999"}), "PAYLOAD_TOO_LARGE")


@every_route
def test_a_wrong_parameter_is_named(world: World, route: Route) -> None:
    for parameter in _operation(world, route)["parameters"]:
        if parameter["in"] == "query" and _is_closed(parameter["schema"]):
            for wrong in ("%00no", "null"):
                query = f"?{parameter['name']}={wrong}"
                answer = _call(world, route, world.server.ours, query=query, body=_example(route))
                assert assert_error(answer, "BAD_REQUEST")["reason"].startswith(parameter["name"])


def _is_closed(schema: dict[str, Any]) -> bool:
    """Whether some text is no value of it."""
    return "enum" in schema or schema.get("type") in ("integer", "boolean")


@every_path
def test_other_methods_are_refused_with_those_there_are(world: World, path: str) -> None:
    routes = {route.method: route for route in ROUTES if route.path == path}
    allowed = {*routes, "OPTIONS"} | ({"HEAD"} if "GET" in routes else set())
    where = f"/v1{path.format(**world.ours)}"
    for method in METHODS:
        if method in allowed:
            continue
        for key in (None, world.server.ours):
            answer = world.server.send(method, where, key)
            assert set(answer.headers["allow"].split(", ")) == allowed
            if method == "HEAD":
                assert (answer.status, answer.body) == (405, b"")
            else:
                assert_error(answer, "METHOD_NOT_ALLOWED")
    options = world.server.send("OPTIONS", where)
    assert (options.status, options.body, set(options.headers["allow"].split(", "))) == (200, b"{}", allowed)


@every_path
def test_head_is_get_without_the_body(world: World, path: str) -> None:
    if not any((route.method, route.path) == ("GET", path) for route in ROUTES):
        return
    where = f"/v1{path.format(**world.ours)}"
    for key in (world.server.ours, None):
        get, head = world.server.send("GET", where, key), world.server.send("HEAD", where, key)
        assert (head.status, head.body) == (get.status, b"")
        changing = ("date", "x-trace-id")
        assert {name: value for name, value in head.headers.items() if name not in changing} == {
            name: value for name, value in get.headers.items() if name not in changing
        }


@every_route
def test_a_slash_at_the_end_makes_no_difference(world: World, route: Route) -> None:
    with_slash = f"/v1{route.path.format(**UNKNOWN)}/"
    for key, query in ((None, ""), (world.server.theirs, f"?projectId={world.server.ours.project_id}")):
        plain = _call(world, route, key, query=query, body=_example(route))
        slashed = world.server.send(route.method, with_slash + query, key, _example(route))
        assert (slashed.status, slashed.json["reason"]) == (plain.status, plain.json["reason"])
        assert "location" not in slashed.headers


@every_route
def test_the_description_is_whole(world: World, route: Route) -> None:
    operation = _operation(world, route)
    assert operation["summary"]
    assert f"Scope: `{route.scope}`." in operation["description"]
    assert {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"} == set(
        _names(route.path)
    )
    answer = operation["responses"]["200"]
    _validator(world, answer).validate(answer["content"]["application/json"]["example"])
    if route.body is None:
        assert "requestBody" not in operation
        return
    assert operation["requestBody"]["required"] == route.needs_body
    content = operation["requestBody"]["content"]["application/json"]
    if route.needs_body:
        assert content["example"]
    if "example" in content:
        _validator(world, operation["requestBody"]).validate(content["example"])


def test_the_description_has_no_more_than_there_is(world: World) -> None:
    described = {
        (method.upper(), path.removeprefix("/v1"))
        for path, operations in world.openapi["paths"].items()
        for method in operations
        if path.startswith("/v1/")
    }
    assert described == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for path in world.openapi["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


def test_every_error_has_an_example_in_the_one_shape(world: World) -> None:
    responses = world.openapi["components"]["responses"]
    assert set(responses) == set(STATUS)
    for code, response in responses.items():
        example = response["content"]["application/json"]["example"]
        _validator(world, response).validate(example)
        assert (example["code"], example["statusCode"]) == (code, STATUS[code][0])
        assert example["reason"] == example["message"]


def test_every_scope_is_needed_by_some_call() -> None:
    """But for reading keys, which decides what a project shows."""
    assert {route.scope for route in ROUTES} == SCOPES - {"keys.read"}
    assert {route.scope for route in ROUTES if route.method == "GET"} <= READ_SCOPES


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/start.js"])
def test_an_open_page_is_read_by_anybody(world: World, path: str) -> None:
    for where in (path, f"{path}/", f"{path}?a=%ff"):
        get, head = world.server.send("GET", where), world.server.send("HEAD", where)
        assert (get.status, head.status, head.body) == (200, 200, b"")
        assert get.headers["content-length"] == str(len(get.body))
    for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
        answer = world.server.send(method, path)
        assert_error(answer, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert world.server.send("OPTIONS", path).status == 200


def test_metrics_need_a_key_when_they_are_not_public(tmp_path: Path) -> None:
    with serving(tmp_path, metrics_public=False) as server:
        for header in ({}, {"Authorization": basic("a:b")}, {"Authorization": basic(f"{server.ours.id}:b")}):
            assert_error(server.send("GET", "/metrics", headers=header), "UNAUTHORIZED")
        assert server.send("GET", "/metrics", server.ours).status == 200


def test_what_is_not_http_is_answered_in_the_same_shape(world: World) -> None:
    for method in ("BREW", "get"):
        assert_error(world.server.send(method, "/v1/collections", world.server.ours), "BAD_REQUEST")


def test_nobody_can_send_headers_without_end(world: World) -> None:
    start = time.monotonic()
    for head in (b"GET /healthz", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: "):
        with socket.create_connection((world.server.host, world.server.port), 10) as connection:
            connection.sendall(head)
            with suppress(ConnectionError):
                for _ in range(100):
                    connection.sendall(b"/" * 1_000_000)
    assert time.monotonic() - start < 10
    with suppress(ConnectionError):  # when the connection is closed before all is sent
        assert_error(world.server.send("GET", "/healthz", headers={"X-Long": "x" * 1_000_000}), "BAD_REQUEST")
    assert world.server.send("GET", "/healthz", headers={"X-Long": "x" * 30_000}).status == 200


@pytest.mark.parametrize("path", NOWHERE)
def test_there_is_nothing_else(world: World, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PROPFIND"):
        for key in (None, world.server.ours):
            assert_error(world.server.send(method, path, key), "NOT_FOUND")


def test_a_file_needs_the_link_that_was_made_for_it(world: World) -> None:
    link = world.server.ask("GET", f"/assets/{world.ours['assetId']}")["asset"]["url"].removeprefix(world.server.url)
    path, _, query = link.partition("?")
    assert world.server.send("GET", link).status == 200
    head = world.server.send("HEAD", link)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "42")
    other = path.replace(world.ours["assetId"], world.theirs["assetId"])
    for wrong in (
        path,
        f"{path}?expires=1&signature=x",
        f"{other}?{query}",
        f"{path}?{query}0",
        f"/files/a/b/c?{query}",
    ):
        assert_error(world.server.send("GET", wrong, world.server.ours), "FORBIDDEN")
    for method in ("POST", "PUT", "DELETE"):
        answer = world.server.send(method, link)
        assert_error(answer, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert_error(world.server.send("GET", link, headers={"Range": "bytes=42-"}), "RANGE_NOT_SATISFIABLE")
