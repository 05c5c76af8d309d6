"""What keeps a server standing, and its secrets its own, whatever is sent."""

import base64
import json
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import structlog

from api.clients import Curl, Key, open_http
from api.conftest import ORIGIN, Server
from pinakes import config
from pinakes.api.http import parse_query
from pinakes.api.limits import RateLimit, UploadMemory
from pinakes.api.observe import configure_logs
from pinakes.api.tags import TagsQuery
from pinakes.errors import PinakesError


def held_back(server: Server, key: Key, method: str, path: str, body: bytes) -> Callable[[], int]:
    """Sends all of a request but the last byte of its body; the call sends that and returns the status."""
    parts = urlsplit(server.url)
    line = socket.create_connection((parts.hostname or "", parts.port or 0))
    auth = base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()
    head = (
        f"{method} /v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {auth}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    line.sendall(head.encode() + body[:-1])
    time.sleep(0.2)

    def finish() -> int:
        with line:
            line.sendall(body[-1:])
            return int(line.recv(65536).split()[1])

    return finish


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", {"name": "Mine for ever"}),
        ("/collections", {"name": "Late"}),
        ("/assets/get-bulk", {"assetIds": ["a"]}),
    ],
)
def test_a_key_revoked_while_the_body_arrives_does_nothing(
    server: Server, http: httpx.Client, key: Key, new_key: Callable[..., Key], path: str, body: object
) -> None:
    doomed = new_key("admin", key.project_id)
    finish = held_back(server, doomed, "POST", path, json.dumps(body).encode())
    assert http.delete(f"/projects/{key.project_id}/api-keys/{doomed.id}").status_code == 200
    assert finish() == 401
    assert http.get("/collections").json()["collections"] == []
    with open_http(server.url, doomed) as late:
        assert late.get("/projects").status_code == 401


def test_literal_braces_are_an_id_like_any_other(http: httpx.Client) -> None:
    for path in ("/collections/%7B%7D", "/assets/%7B%7D", "/projects/%7B%7D/api-keys/%7B%7D"):
        answer = http.request("DELETE" if "keys" in path else "GET", path)
        assert answer.status_code == 404, path


def test_long_credentials_are_refused_and_not_kept(server: Server, http: httpx.Client) -> None:
    before = server.rss_mb()
    for number in range(300):
        header = "Basic " + base64.b64encode(f"{number}:".encode() + b"x" * 30_000).decode()
        answer = httpx.get(f"{server.url}/v1/collections", headers={"Authorization": header})
        assert answer.status_code == 401
    assert server.rss_mb() < before + 8
    assert http.get("/collections").status_code == 200


def test_a_query_beyond_reason_is_refused(http: httpx.Client) -> None:
    answer = http.get("/collections?" + "a=1&" * 5_000)
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "query")
    assert http.get("/collections?" + "a=1&" * 1_000).status_code == 200


def test_project_id_counts_however_it_is_spelled(http: httpx.Client) -> None:
    assert http.get("/collections?project%49d=proj_of_others").status_code == 403


def test_a_tag_with_a_comma_can_be_filtered_by(http: httpx.Client, upload: Callable[..., dict[str, str]]) -> None:
    asset = upload(b"text", "a.txt")
    http.put(f"/assets/{asset['id']}/tags", json={"add": ["red, blue"]})
    found = http.get("/assets?tags[]=red%2C%20blue").json()["assets"]
    assert [one["id"] for one in found] == [asset["id"]]
    assert http.get("/assets?tags=red").json()["assets"] == []


def test_pages_of_other_sites_change_nothing(http: httpx.Client, tuned: Server) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert http.post("/models", headers=foreign).status_code == 403
    assert http.get("/models", headers=foreign).json()["models"] == []
    assert http.post("/models", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    with open_http(tuned.url, tuned.admin) as there:
        assert there.post("/models", headers={"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}).status_code == 200


def test_a_preflight_that_is_not_allowed_gets_a_plain_answer(tuned: Server) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = httpx.options(f"{tuned.url}/v1/collections", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {})
    assert "access-control-allow-origin" not in answer.headers


def test_a_file_says_which_methods_it_takes(server: Server) -> None:
    answer = httpx.options(f"{server.url}/files/a/b/original")
    assert (answer.status_code, answer.headers["allow"]) == (200, "GET, HEAD, OPTIONS")


def test_an_empty_body_where_one_is_needed(http: httpx.Client) -> None:
    answer = http.post("/collections")
    assert (answer.status_code, answer.json()["reason"]) == (400, "This call needs a JSON body.")


def test_ready_and_closed_metrics(start_server: Callable[..., Server]) -> None:
    server = start_server(metrics_public="false", rate_limit=5)
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert b"pinakes_sql_statements" in httpx.get(f"{server.url}/metrics", auth=server.admin.auth).content
    with open_http(server.url, server.admin) as http:
        answers = [http.get("/tags") for _ in range(12)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert limited[0].headers["retry-after"] == "1"
    assert limited[0].json()["details"]["limit"] == 5


def test_a_rate_limit_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = RateLimit(2)
    limit.take("a")
    limit.take("a")
    with pytest.raises(PinakesError, match="2 requests a second"):
        limit.take("a")
    limit.take("b")
    now[0] += 0.5
    limit.take("a")


def test_uploads_share_what_memory_there_is() -> None:
    memory = UploadMemory(100)
    with memory.hold(60):
        with pytest.raises(PinakesError) as caught, memory.hold(60):
            raise AssertionError
        assert caught.value.code == "UNAVAILABLE"
    with memory.hold(100):
        pass


def test_short_queries_alone_are_kept() -> None:
    assert parse_query(TagsQuery, b"pageSize=7") is parse_query(TagsQuery, b"pageSize=7")
    long = b"pageSize=7&x=" + b"x" * 300
    assert parse_query(TagsQuery, long) is not parse_query(TagsQuery, long)


def test_logs_show_no_values_and_no_escapes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configure_logs(config.load({"data": tmp_path, "log_format": "console"}, {}))
    try:
        secret = "a" + "-very-secret-value"
        try:
            raise ArithmeticError(len(secret))
        except ArithmeticError as error:
            structlog.get_logger("test").error("bug", exc_info=error)
        logging.getLogger("uvicorn.error").warning("from a library")
        said = capfd.readouterr().err
        assert "ArithmeticError" in said
        assert "from a library" in said
        assert "very-secret" not in said
    finally:
        structlog.reset_defaults()


def test_a_path_without_a_route_is_logged_escaped(start_server: Callable[..., Server]) -> None:
    server = start_server(access_log="true", log_format="console")
    Curl(server.url, server.admin)("/v1/x%1b[2Jpwn", "-g")
    path, until = server.data.parent / "log", time.monotonic() + 10
    while "pwn" not in (log := path.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    assert "/v1/x%1b[2Jpwn" in log
    assert "\x1b[2Jpwn" not in log
