"""HTTP as real clients speak it, where the official SDK would not: by curl, which sends what it is told to."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import make_png

from api.clients import Answer, Curl, Key
from api.conftest import ORIGIN, Server
from pinakes.access import hash_secret
from pinakes.api.authorization import credentials

JSON = ("-H", "Content-Type: application/json")


@pytest.fixture
def collection(http: httpx.Client) -> dict[str, Any]:
    made: dict[str, Any] = http.post("/collections", json={"name": "Forest"}).json()["collection"]
    return made


def check_error(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The one shape that every error has; its body."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    body: dict[str, Any] = answer.json
    keys = {"status", "statusCode", "code", "name", "error", "reason", "message", "details", "traceId"}
    assert set(body) == keys
    assert (body["status"], body["statusCode"], body["code"]) == ("error", status, code)
    assert body["reason"] == body["message"]
    assert body["traceId"] == answer.headers["x-trace-id"]
    return body


def test_get_with_a_body(curl: Curl) -> None:
    answer = curl("/v1/collections", "-X", "GET", *JSON, "-d", "{}")
    assert (answer.status, answer.json) == (200, {"collections": []})


def test_delete_with_a_content_type_and_no_body(curl: Curl, collection: dict[str, Any]) -> None:
    answer = curl(f"/v1/collections/{collection['id']}", "-X", "DELETE", *JSON)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"{}")
    check_error(curl(f"/v1/collections/{collection['id']}", "-X", "DELETE", *JSON), 404, "NOT_FOUND")


def test_delete_with_a_chunked_body(curl: Curl, http: httpx.Client, collection: dict[str, Any]) -> None:
    image = base64.b64encode(make_png()).decode()
    body = {"name": "a.png", "image": image, "collectionIds": [collection["id"]]}
    asset = http.post("/assets", json=body).json()["asset"]["id"]
    chunked = ("-X", "DELETE", *JSON, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-")
    data = json.dumps({"assetIds": [asset]}).encode()
    answer = curl(f"/v1/collections/{collection['id']}/assets", *chunked, data=data)
    assert (answer.status, answer.json["report"]) == (200, {"removed": [asset], "unchanged": []})
    answer = curl("/v1/assets", *chunked, data=data)
    assert (answer.status, answer.body) == (200, b"{}")
    check_error(curl("/v1/assets", "-X", "DELETE", *JSON), 400, "BAD_REQUEST")


@pytest.mark.parametrize("path", ["/v1/collections", "/v1/collections/{id}", "/v1/assets", "/v1/models", "/v1/tags"])
def test_a_slash_at_the_end_makes_no_difference(curl: Curl, collection: dict[str, Any], path: str) -> None:
    path = path.format(**collection)
    plain, slashed = curl(path), curl(f"{path}/")
    assert plain.status == slashed.status == 200
    assert plain.json == slashed.json
    check_error(curl(f"{path}//"), 404, "NOT_FOUND")


def test_a_slash_at_the_end_of_a_change(curl: Curl, collection: dict[str, Any]) -> None:
    made = curl("/v1/collections/", *JSON, "-d", '{"name":"x"}')
    assert made.status == 200
    renamed = curl(f"/v1/collections/{collection['id']}/", "-X", "PUT", *JSON, "-d", '{"name":"y"}')
    assert (renamed.status, renamed.json["collection"]["name"]) == (200, "y")
    assert curl(f"/v1/collections/{collection['id']}/", "-X", "DELETE").status == 200


@pytest.mark.parametrize(
    "path", ["/v1x/collections", "/v12/collections", "/v1", "/v1/", "/v1//collections", "/", "/v1/x/%2e%2e/collections"]
)
def test_only_the_exact_path_is_served(curl: Curl, path: str) -> None:
    if path == "/":
        assert curl(path, user="").json["api"] == "/v1"
    else:
        check_error(curl(path), 404, "NOT_FOUND")


def test_head_is_get_without_the_body(curl: Curl, collection: dict[str, Any]) -> None:
    for path in ("/v1/collections", f"/v1/collections/{collection['id']}", "/healthz", "/openapi.json", "/docs"):
        got, head = curl(path), curl(path, "-I")
        assert (head.status, head.body) == (200, b"")
        for name in ("content-length", "content-type"):
            assert head.headers[name] == got.headers[name]
    assert curl("/v1/collections/col_unknown", "-I").status == 404
    assert curl("/v1/collections", "-I", user="").status == 401


def test_options_tell_the_methods(curl: Curl) -> None:
    answer = curl("/v1/collections", "-X", "OPTIONS", user="")
    assert (answer.status, answer.headers["allow"]) == (200, "GET, HEAD, OPTIONS, POST")
    answer = curl("/v1/collections/x/assets", "-X", "PATCH")
    assert check_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "DELETE, OPTIONS, PUT"
    check_error(curl("/v1/nothing", "-X", "OPTIONS"), 404, "NOT_FOUND")
    check_error(curl("/healthz", "-X", "POST"), 405, "METHOD_NOT_ALLOWED")


def test_cors_only_for_the_origins_that_are_configured(tuned: Server, curl: Curl) -> None:
    web = Curl(tuned.url, tuned.admin)
    headers = "Access-Control-Request-Headers: authorization,content-type,if-match,x-stainless-lang"
    asks = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: PUT", "-H", headers)
    allowed = web("/v1/collections/x", *asks, "-H", f"Origin: {ORIGIN}", user="")
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    for status, user in ((200, None), (401, "")):
        answer = web("/v1/collections", "-H", f"Origin: {ORIGIN}", user=user)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, ORIGIN)
        assert "X-Trace-Id" in answer.headers["access-control-expose-headers"]
    for answer in (
        web("/v1/collections", "-H", "Origin: https://evil.example"),
        web("/v1/collections/x", *asks, "-H", "Origin: https://evil.example", user=""),
        curl("/v1/collections", "-H", f"Origin: {ORIGIN}"),
        curl("/v1/collections/x", *asks, "-H", f"Origin: {ORIGIN}", user=""),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_arrays_in_a_query(curl: Curl, http: httpx.Client) -> None:
    for type in ("flux.1", "flux.1-lora", "custom"):
        http.post("/models", json={"type": type, "name": type})
    for query in (
        "types=flux.1,custom",
        "types[]=flux.1&types[]=custom",
        "types=flux.1&types=custom",
        "types%5B%5D=flux.1&types%5B%5D=custom",
    ):
        answer = curl(f"/v1/models?{query}")
        assert [model["type"] for model in answer.json["models"]] == ["custom", "flux.1"], query
    assert len(curl("/v1/models?types=").json["models"]) == 3


def test_text_in_a_query_is_percent_encoded(curl: Curl, http: httpx.Client) -> None:
    model = http.post("/models", json={"name": "m"}).json()["model"]["id"]
    assert http.put(f"/models/{model}/tags", json={"add": ["moß & 森"]}).status_code == 200
    for spelled in ("mo%C3%9F%20%26%20%E6%A3%AE", "mo%C3%9F+%26+%E6%A3%AE", "mo%c3%9f+%26%20%e6%a3%ae"):
        assert [found["id"] for found in curl(f"/v1/models?tags={spelled}").json["models"]] == [model]


def test_a_repeated_parameter_counts_with_its_last_value(curl: Curl, http: httpx.Client) -> None:
    for name in "ab":
        http.post("/collections", json={"name": name})
    assert len(curl("/v1/collections?pageSize=2&pageSize=1&unknown=1&unknown=2").json["collections"]) == 1
    check_error(curl("/v1/collections?pageSize=1&pageSize=0"), 400, "BAD_REQUEST")


@pytest.mark.parametrize("accept", ["Accept:", "Accept: text/html", "Accept: */*", "Accept: image/png;q=0.1"])
def test_any_or_no_accept(curl: Curl, accept: str) -> None:
    answer = curl("/v1/collections", "-H", accept)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


def test_percent_encoded_ids(curl: Curl, http: httpx.Client, collection: dict[str, Any]) -> None:
    http.post("/models", json={"id": "flux.1-dev"})
    for id, path in ((collection["id"], "/v1/collections/"), ("flux.1-dev", "/v1/models/")):
        spelled = "".join(f"%{ord(letter):02x}" for letter in id)
        (noun,) = curl(path + spelled).json.values()
        assert noun["id"] == id
    for id in ("%00", "%zz", "%ff", "%2f", "%ed%a0%80", "..%2fcollections", "x" * 5000):
        check_error(curl(f"/v1/collections/{id}"), 404, "NOT_FOUND")


def test_credentials_as_they_come(curl: Curl, key: Key) -> None:
    encoded = base64.b64encode(":".join(key.auth).encode()).decode()
    for scheme in ("Basic", "basic", "BASIC", "bAsIc", "Basic "):
        assert curl("/v1/collections", "-H", f"Authorization: {scheme} {encoded}", user="").status == 200
    assert credentials(b"Basic " + base64.b64encode(b"key:se:cr:et")) == ("key", hash_secret("se:cr:et"))


def test_credentials_that_are_none(curl: Curl, key: Key) -> None:
    good = base64.b64encode(":".join(key.auth).encode()).decode()
    told = set()
    for header in (
        "X-Nothing: 1",
        "Authorization: Basic",
        "Authorization: Basic ***",
        "Authorization: Basic /w==",
        "Authorization: Basic " + base64.b64encode(b"no colon").decode(),
        "Authorization: Basic " + base64.b64encode(b":").decode(),
        "Authorization: Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Authorization: Bearer " + good,
        "Authorization: Basic " + good + "A",
        f"Authorization: {good}",
    ):
        answer = curl("/v1/collections", "-H", header, user="")
        check_error(answer, 401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    for user in (f"{key.id}:wrong", f"{key.id}:{key.secret}:", f"{key.id}:", f"unknown:{key.secret}", "a:b:c"):
        body = check_error(curl("/v1/collections", user=user), 401, "UNAUTHORIZED")
        told.add(body["reason"])
        assert key.secret not in json.dumps(body)
    assert len(told) == 1


def test_another_project_is_forbidden_whether_it_exists_or_not(curl: Curl, new_key: Callable[..., Key]) -> None:
    told = set()
    for project in (new_key().project_id, "proj_unknown", ""):
        body = check_error(curl(f"/v1/collections?projectId={project}"), 403, "FORBIDDEN")
        told.add(body["reason"].replace(repr(project), "…"))
    assert len(told) == 1
    assert curl(f"/v1/collections?projectId={curl.key.project_id}").status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(tuned: Server) -> None:
    small = Curl(tuned.url, tuned.admin)
    at_most, over = (b'{"name":"x","pad":"' + b"x" * n + b'"}' for n in (2000 - 21, 2000 - 20))
    assert small("/v1/collections", *JSON, "--data-binary", "@-", data=at_most).status == 200
    check_error(small("/v1/collections", *JSON, "--data-binary", "@-", data=over), 413, "PAYLOAD_TOO_LARGE")
    huge = ("-H", "Content-Length: 99999999999", "-d", "{}")
    check_error(small("/v1/collections", *JSON, *huge), 413, "PAYLOAD_TOO_LARGE")
    endless = ("-X", "POST", *JSON, "-H", "Expect:", "-H", "Transfer-Encoding: chunked", "-T", "/dev/zero")
    before = tuned.rss_mb()
    check_error(small("/v1/collections", *endless), 413, "PAYLOAD_TOO_LARGE")
    assert tuned.rss_mb() < before + 20
    assert small("/v1/collections").status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
def test_a_body_that_is_not_json_is_refused(curl: Curl, kind: str) -> None:
    answer = curl("/v1/collections", "-H", f"Content-Type: {kind}", "-d", '{"name":"x"}')
    check_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/x+json", ""])
def test_json_by_any_of_its_names(curl: Curl, kind: str) -> None:
    assert curl("/v1/collections", "-H", f"Content-Type:{kind}", "-d", '{"name":"x"}').status == 200


DEEP = 100_000
BROKEN: list[tuple[bytes, str]] = [
    (b"", "body"),
    (b"{", "body"),
    (b'{"name":"x"', "body"),
    (b'{"name":"x",}', "body"),
    (b"{'name':'x'}", "body"),
    (b'{"name":"x"} {}', "body"),
    (b"NaN", "body"),
    (b"null", "body"),
    (b'"x"', "body"),
    (b"[]", "body"),
    (b"{}", "name"),
    (b'{"name":null}', "name"),
    (b'{"name":1}', "name"),
    (b'{"name":["x"]}', "name"),
    (b'{"name":""}', "name"),
    (b'{"name":"a\\u0000b"}', "name"),
    (b'{"name":"a\0b"}', "body"),
    (b'{"name":"\xff\xfe"}', "body"),
    (b'{"name":"\xc0\xaf"}', "body"),
    (b'{"name":"\xed\xa0\x80"}', "body"),
    (b'{"name":"\\ud800"}', "body"),
    (b'{"name":"\\udc00\\ud800"}', "body"),
    (b"\xff\xfe{\0}\0", "body"),
    (b"[" * DEEP, "body"),
    (b"[" * DEEP + b"]" * DEEP, "body"),
    (b'{"name":"x","deep":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "body"),
]


@pytest.mark.parametrize(("data", "field"), BROKEN, ids=[repr(data[:24]) for data, _ in BROKEN])
def test_what_is_no_json_or_of_another_shape_is_refused_by_name(curl: Curl, data: bytes, field: str) -> None:
    body = check_error(curl("/v1/collections", *JSON, "--data-binary", "@-", data=data), 400, "BAD_REQUEST")
    assert body["details"]["field"] == field
    assert curl("/v1/collections").json == {"collections": []}


@pytest.mark.parametrize(
    "name",
    [
        " leading and trailing ",
        "\u00e9 composed, e\u0301 not",
        "森の💚 \u200d\u202e",
        'tab\tnewline\nquote"back\\slash/',
        "\ufeff\ufffe\uffff",
        "</script><b>",
        "x" * 1024,
    ],
)
def test_names_are_echoed_byte_for_byte(curl: Curl, name: str) -> None:
    for data in (json.dumps({"name": name}), json.dumps({"name": name}, ensure_ascii=False)):
        answer = curl("/v1/collections", *JSON, "--data-binary", "@-", data=data.encode())
        id, echoed = (answer.json["collection"][field] for field in ("id", "name"))
        assert echoed.encode() == name.encode()
        assert curl(f"/v1/collections/{id}").json["collection"]["name"] == name


def test_unknown_keys_are_ignored_and_the_last_of_two_counts(curl: Curl) -> None:
    data = '{"id":"col_mine","name":"first","extra":{"deep":[1]},"name":"last","assetCount":5}'
    made = curl("/v1/collections", *JSON, "-d", data).json["collection"]
    assert (made["name"], made["assetCount"]) == ("last", 0)
    assert made["id"] != "col_mine"


def test_reading_again_what_has_not_changed(curl: Curl, collection: dict[str, Any]) -> None:
    path = f"/v1/collections/{collection['id']}"
    etag = curl(path).headers["etag"]
    for condition in (etag, f"W/{etag}", f'"other", {etag}'):
        answer = curl(path, "-H", f"If-None-Match: {condition}")
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    changed = curl(path, "-X", "PUT", *JSON, "-d", '{"name":"y"}')
    assert changed.headers["etag"] != etag
    answer = curl(path, "-H", f"If-None-Match: {etag}")
    assert (answer.status, answer.headers["etag"]) == (200, changed.headers["etag"])


def test_changing_only_what_was_read(curl: Curl, collection: dict[str, Any]) -> None:
    path = f"/v1/collections/{collection['id']}"
    etag = curl(path).headers["etag"]
    rename = ("-X", "PUT", *JSON, "-d", '{"name":"y"}')
    newer = curl(path, *rename, "-H", f"If-Match: {etag}").headers["etag"]
    check_error(curl(path, *rename, "-H", f"If-Match: {etag}"), 412, "PRECONDITION_FAILED")
    check_error(curl(path, "-X", "DELETE", "-H", f"If-Match: {etag}"), 412, "PRECONDITION_FAILED")
    assert curl(path, *rename, "-H", "If-Match: *").status == 200
    check_error(curl(path, *rename, "-H", f"If-Match: {newer}"), 412, "PRECONDITION_FAILED")
    assert curl(path, "-X", "DELETE", "-H", f"If-Match: {curl(path).headers['etag']}").status == 200


def test_members_of_only_what_was_read(curl: Curl, collection: dict[str, Any]) -> None:
    path = f"/v1/collections/{collection['id']}"
    model = curl("/v1/models", *JSON, "-d", "{}").json["model"]["id"]
    image = base64.b64encode(make_png()).decode()
    asset = curl("/v1/assets", *JSON, "-d", json.dumps({"name": "a.png", "image": image})).json["asset"]["id"]
    again = ("-H", "x-stainless-retry-count: 1")
    for where, body in (("assets", {"assetIds": [asset]}), ("models", {"modelIds": [model]})):
        for method in ("PUT", "DELETE"):
            change = (f"{path}/{where}", "-X", method, *JSON, "-d", json.dumps(body))
            fresh = ("-H", f"If-Match: {curl(path).headers['etag']}")
            done = curl(*change, *fresh)
            assert done.status == 200
            check_error(curl(*change, *fresh), 412, "PRECONDITION_FAILED")
            assert curl(*change, *fresh, *again).json["collection"] == done.json["collection"]
    rename = (path, "-X", "PUT", *JSON, "-d", '{"name":"y"}', "-H", f"If-Match: {curl(path).headers['etag']}")
    assert [curl(*rename).status, curl(*rename).status, curl(*rename, *again).status] == [200, 412, 200]


def test_a_server_may_ask_for_conditions(tuned: Server) -> None:
    curl = Curl(tuned.url, tuned.admin)
    made = curl("/v1/collections", *JSON, "-d", '{"name":"x"}').json["collection"]
    path = f"/v1/collections/{made['id']}"
    rename = ("-X", "PUT", *JSON, "-d", '{"name":"y"}')
    check_error(curl(path, *rename), 428, "PRECONDITION_REQUIRED")
    check_error(curl(path, "-X", "DELETE"), 428, "PRECONDITION_REQUIRED")
    for where, data in (("assets", '{"assetIds":["x"]}'), ("models", '{"modelIds":["x"]}')):
        for method in ("PUT", "DELETE"):
            check_error(curl(f"{path}/{where}", "-X", method, *JSON, "-d", data), 428, "PRECONDITION_REQUIRED")
    assert curl(path, *rename, "-H", f"If-Match: {curl(path).headers['etag']}").status == 200
    assert curl(path, "-X", "DELETE", "-H", "If-Match: *").status == 200
