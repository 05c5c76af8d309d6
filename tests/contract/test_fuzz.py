"""Whatever is sent, the answer is one of ours: never a 5xx, always JSON, errors in their one shape."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from conftest import OpenDatabase
from contract_server import SECONDS, Answer, Server, assert_error, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinakes.api.app import ROUTES
from pinakes.api.http import STATUS
from pinakes.api.routes import Route

EXAMPLES = 40
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CODE_OF = {status: code for code, (status, _, _) in STATUS.items()}

# Parts of a request line that go wrong in real life: broken escapes, bad UTF-8, quotes, dots, other people's arrays.
ODD = [
    "%",
    "%zz",
    "%00",
    "%ff",
    "%c3%28",
    "%ed%a0%80",
    "%2e%2e",
    "%2F",
    "..",
    "'",
    '"',
    "[]",
    "{}",
    "|",
    "\\",
    "^",
    "`",
]
ODD += [
    "\x00",
    "\x7f",
    "\t",
    "é",
    "\u2028",
    "💥",
    ";",
    "&",
    "=",
    ",",
    "+",
    "null",
    "true",
    "-1",
    "1e99",
    "9" * 30,
    "x" * 5000,
]
HEADERS = ["If-Match", "If-None-Match", "Range", "Content-Type", "Accept", "x-stainless-retry-count", "Host", "Expect"]

junk = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=8)), max_size=4).map("".join)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1]))
words = st.one_of(
    junk, st.text(), st.sampled_from(["", " ", "\x00", "\ud800", "2026-01-31T12:00:00Z", "9999-12-31T23:59:59Z"])
)
leaves = st.one_of(st.none(), st.booleans(), numbers, words)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(words, inner, max_size=5)),
    max_leaves=12,
)


class World(NamedTuple):
    server: Server
    ids: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[World]:
    with open_database() as url, serving(tmp_path_factory.mktemp("contract"), database_url=url) as server:
        ids = {
            "projectId": server.ours.project_id,
            "collectionId": server.ask("POST", "/collections", {"name": "c"})["collection"]["id"],
            "assetId": server.ask("POST", "/assets", {"name": "a.gif", "image": PIXEL})["asset"]["id"],
            "modelId": server.ask("POST", "/models", {"id": "flux.1-dev"})["model"]["id"],
            "teamId": server.ask("GET", "/teams")["teams"][0]["id"],
            "keyId": server.new_key("reader").id,
        }
        archive = {"query": {"assetIds": [ids["assetId"]]}, "options": {"fileNameTemplate": "<id>"}}
        new = {"fileName": "a.txt", "fileSize": 3, "kind": "text", "parts": 1}
        ids["uploadId"] = server.ask("POST", "/uploads", new)["upload"]["id"]
        ids["jobId"] = server.ask("POST", "/assets/download", archive)["jobId"]
        yield World(server, ids)


@st.composite
def bodies(draw: st.DrawFn, route: Route) -> bytes:
    """Any bytes, any JSON, or the body of the route with something odd in it."""
    if route.body is None or draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    body = draw(trees)
    if draw(st.integers(0, 3)):
        body = {**(route.example or {}), draw(st.sampled_from(route.body.__struct_encode_fields__)): body}
    return json.dumps(body).encode("utf-8", "surrogatepass")


@st.composite
def targets(draw: st.DrawFn, route: Route, ids: dict[str, str]) -> str:
    """The path of a route with real or odd ids, and its parameters with odd values."""
    chosen = {name: draw(st.one_of(st.just(id), st.just(id), junk, words.map(_quoted))) for name, id in ids.items()}
    names = st.one_of(st.sampled_from(route.query.__struct_encode_fields__), junk)
    pairs = draw(st.lists(st.tuples(names, st.sampled_from(["=", "[]=", "", "=="]), junk), max_size=3))
    query = "&".join(map("".join, pairs))
    return f"/v1{route.path.format(**chosen)}" + (f"?{query}" if query else "")


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _send(server: Server, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    """A request as it is, however wrong; only line ends are taken out, which would make it two."""
    fields = {
        "Host": server.host,
        "Authorization": server.ours.authorization,
        **headers,
        "Content-Length": str(len(body)),
    }
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
        "Connection: close",
    ]
    head = "\r\n".join(re.sub(r"[\r\n]", "", line) for line in lines) + "\r\n\r\n"
    with socket.create_connection((server.host, server.port), SECONDS) as connection:
        connection.sendall(head.encode("utf-8", "surrogatepass") + body)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


def _check(answer: Answer, sent: Any) -> None:
    assert answer.status < 500, sent
    if answer.status >= 400:
        assert_error(answer, CODE_OF[answer.status])
    elif answer.status != 304:
        assert isinstance(answer.json, dict), sent


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_no_body_or_parameter_breaks_a_call(world: World, route: Route) -> None:
    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(targets(route, world.ids), bodies(route))
    def send(target: str, body: bytes) -> None:
        _check(_send(world.server, route.method, target, {"Content-Type": "application/json"}, body), (target, body))

    send()
    assert world.server.send("GET", "/healthz").json == {"status": "ok"}


def test_no_header_breaks_a_call(world: World) -> None:
    @settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(HEADERS), junk, max_size=3))
    def send(route: Route, headers: dict[str, str]) -> None:
        target = f"/v1{route.path.format(**{**world.ids, 'keyId': 'key_none', 'projectId': 'proj_none'})}"
        body = json.dumps(route.example or {}).encode()
        _check(_send(world.server, route.method, target, headers, body), (target, headers))

    send()
    assert world.server.send("GET", "/healthz").json == {"status": "ok"}


def test_no_credentials_break_a_call(world: World) -> None:
    @settings(max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["", "Basic ", "basic", "Bearer ", "Digest "]), st.one_of(junk, st.text(max_size=40)))
    def send(scheme: str, value: str) -> None:
        answer = _send(world.server, "GET", "/v1/collections", {"Authorization": scheme + value}, b"")
        assert answer.status in (400, 401), (scheme, value)
        assert_error(answer, CODE_OF[answer.status])

    send()


def test_no_link_breaks_the_files(world: World) -> None:
    link = world.server.ask("GET", f"/assets/{world.ids['assetId']}")["asset"]["url"].removeprefix(world.server.url)

    @settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(link)), junk, junk)
    def send(cut: int, odd: str, span: str) -> None:
        answer = _send(world.server, "GET", link[:cut] + odd + link[cut:], {"Range": f"bytes={span}"}, b"")
        assert answer.status < 500
        if answer.status >= 400:
            assert_error(answer, CODE_OF[answer.status])

    send()
