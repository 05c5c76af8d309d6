"""Bearer tokens over HTTP: the SDK with nothing but a token, what is refused and how, and that nobody waits for it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from issuers import ALGORITHMS, Issuer, SigningKey, issuing, unsigned

from api.clients import Curl, Key, open_sdk
from api.conftest import Server, StartServer, make_key


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture(scope="module")
def server(issuer: Issuer, start_server: StartServer) -> Server:
    return start_server(jwt_issuer=issuer.url, metrics_public="false")


def bearer(raw: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {raw}"}


def check_refused(answer: httpx.Response, reason: str) -> None:
    """A 401 for a token, in body and header."""
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    assert answer.json()["reason"] == f"The Bearer token is not good: {reason}."
    basic, told = answer.headers.get_list("www-authenticate")
    assert basic.startswith("Basic ")
    assert told == 'Bearer realm="Pinakes", error="invalid_token"'


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_sdk_with_nothing_but_a_token(server: Server, key: Key, issuer: Issuer, kind: str, algorithm: str) -> None:
    claims: dict[str, Any] = {
        "pinakes_project": {key.project_id: "editor", server.admin.project_id: "reader"},
        "sub": "ada",
    }
    raw = issuer.sign(issuer.keys[algorithm], **claims)
    with open_sdk(kind, server.url, None, bearer_auth=raw) as sdk:
        made = sdk.collections.create(name="Shelf").collection
        model = sdk.models.create(name="M").model
        assert (made.owner_id, model.owner_id) == (key.project_id, key.project_id)
        assert model.author_id.startswith("user_")
        report = sdk.collections.models.add(made.id, model_ids=[model.id])
        assert report.collection.item_count == 1
        assert [item.id for item in sdk.collections.list.walk()] == [made.id]
        assert {one.id for one in sdk.projects.list.walk()} == {key.project_id, server.admin.project_id}
        assert len(sdk.teams.list().teams) == 1
        assert sdk.collections.retrieve(made.id).collection.name == "Shelf"
    with open_sdk(kind, server.url, key, bearer_auth=raw) as sdk:
        assert sdk.models.create(name="M").model.author_id == key.id  # of both, the SDK sends the key


def test_a_role_and_the_query_parameter(server: Server, key: Key, issuer: Issuer) -> None:
    raw = issuer.sign(pinakes_project=[key.project_id, server.admin.project_id], pinakes_role="openid assets.read")
    with httpx.Client(base_url=f"{server.url}/v1", headers=bearer(raw)) as http:
        assert http.get("/assets").status_code == 200
        assert http.get("/assets", params={"projectId": server.admin.project_id}).status_code == 200
        lacks = http.get("/collections").json()
        assert (lacks["statusCode"], lacks["details"]) == (403, {"scope": "collections.read"})
        other = make_key(server).project_id
        for wrong in (other, "proj_never"):
            answer = http.get("/assets", params={"projectId": wrong})
            assert (answer.status_code, answer.json()["details"]) == (403, {"projectId": wrong})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARER", "Bearer "])
def test_the_scheme_in_any_case(server: Server, key: Key, issuer: Issuer, scheme: str) -> None:
    raw = issuer.sign(pinakes_project=key.project_id, pinakes_role="reader")
    assert httpx.get(f"{server.url}/v1/assets", headers=bearer(raw, scheme)).status_code == 200
    assert httpx.get(f"{server.url}/metrics", headers=bearer(raw, scheme)).status_code == 200


def test_what_is_refused(server: Server, key: Key, issuer: Issuer) -> None:
    claims: dict[str, Any] = {"pinakes_project": key.project_id, "pinakes_role": "admin"}
    signed = issuer.claims(**claims)
    allowed = "its algorithm must be one of RS256, ES256, EdDSA"
    for raw, reason in (
        ("x", "it is no JWT"),
        ("a.b.c", "it is no JWT"),
        (unsigned({"alg": "none"}, signed), allowed),
        (unsigned({"alg": "HS256", "kid": "RS256-1"}, signed, b"x" * 32), allowed),
        (unsigned({"alg": "RS256", "kid": "RS256-1"}, signed, b"x" * 256), "its signature is wrong"),
        (issuer.sign(SigningKey("ES256-1", "ES256"), **claims), "its signature is wrong"),
        (issuer.sign(SigningKey("mine", "ES256"), **claims), "its issuer has no such key for this algorithm"),
        (issuer.sign(exp=1, **claims), "it has expired"),
        (issuer.sign(aud="others", **claims), "it is meant for another audience"),
        (issuer.sign(iss="https://evil.example", **claims), "it is from another issuer"),
        (issuer.sign(more="x" * 20_000, **claims), "it is longer than 8192 bytes"),
    ):
        check_refused(httpx.get(f"{server.url}/v1/assets", headers=bearer(raw)), reason)
        check_refused(httpx.post(f"{server.url}/v1/collections", headers=bearer(raw), json={"name": "x"}), reason)
    unnamed = httpx.get(f"{server.url}/v1/assets", headers=bearer(issuer.sign()))
    assert (unnamed.status_code, unnamed.json()["code"]) == (403, "FORBIDDEN")
    assert "'pinakes_project'" in unnamed.json()["reason"]


def test_nothing_and_wrong_keys_are_told_of_both_ways(server: Server, key: Key) -> None:
    nothing = httpx.get(f"{server.url}/v1/assets")
    assert nothing.status_code == 401
    assert nothing.headers.get_list("www-authenticate")[1] == 'Bearer realm="Pinakes"'
    assert "Bearer with a token" in nothing.json()["reason"]
    wrong = httpx.get(f"{server.url}/v1/assets", auth=(key.id, "wrong"))
    assert (wrong.status_code, len(wrong.headers.get_list("www-authenticate"))) == (401, 1)


def test_where_tokens_are_not_turned_on(start_server: StartServer, issuer: Issuer) -> None:
    plain = start_server()
    answer = httpx.get(f"{plain.url}/v1/assets", headers=bearer(issuer.sign()))
    assert (answer.status_code, answer.headers.get_list("www-authenticate")) == (
        401,
        ['Basic realm="Pinakes", charset="UTF-8"'],
    )
    assert "the setting jwt_issuer turns them on" in answer.json()["reason"]


def test_a_long_upload_ends_with_its_token(server: Server, key: Key, issuer: Issuer) -> None:
    """The token is looked at again once the body is there. It is good for 30 s more than it says."""
    raw = issuer.sign(pinakes_project=key.project_id, pinakes_role="editor", exp=int(time.time()) - 27)

    def slow() -> Iterator[bytes]:
        yield b'{"name":'
        time.sleep(4)
        yield b'"late"}'

    headers = bearer(raw) | {"Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/v1/collections", headers=headers, content=slow(), timeout=30)
    assert (answer.status_code, answer.json()["reason"][:17]) == (401, "The token expired")


def test_the_description_offers_both(server: Server) -> None:
    told = httpx.get(f"{server.url}/openapi.json").json()
    assert told["security"] == [{"basic": []}, {"bearer": []}]
    assert told["components"]["securitySchemes"]["bearer"]["bearerFormat"] == "JWT"


@pytest.fixture(scope="module")
def away(start_server: StartServer) -> Iterator[tuple[Server, Issuer]]:
    """A server, and its issuer that has not answered yet."""
    with issuing() as issuer:
        issuer.status = 500
        yield start_server(jwt_issuer=issuer.url), issuer


def test_an_issuer_that_does_not_answer(away: tuple[Server, Issuer]) -> None:
    """Nobody can tell good from bad, so that is a 503, which the SDK tries again; keys work as ever."""
    server, issuer = away
    issuer.delay_s = 4.0
    claims: dict[str, Any] = {"pinakes_project": server.admin.project_id, "pinakes_role": "reader"}

    async def meanwhile() -> tuple[list[httpx.Response], list[float]]:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            waiting = [
                asyncio.create_task(http.get("/v1/assets", headers=bearer(issuer.sign(jti=str(n), **claims))))
                for n in range(30)
            ]
            await asyncio.sleep(0.5)
            took = []
            for path in ("/healthz", "/readyz", "/v1/assets", "/metrics"):
                started = time.monotonic()
                assert (await http.get(path, auth=server.admin.auth)).status_code == 200
                took.append(time.monotonic() - started)
            assert not any(task.done() for task in waiting)
            return await asyncio.gather(*waiting), took

    answers, took = asyncio.run(meanwhile())
    assert sorted(took)[-2] < 1  # the machine itself may stop for once
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "10")}
    assert answers[0].json()["code"] == "UNAVAILABLE"
    issuer.status, issuer.delay_s = 200, 0.0
    with open_sdk("sync", server.url, None, bearer_auth=issuer.sign(**claims), max_retries=2) as sdk:
        assert sdk.assets.list().assets == []  # once Retry-After has passed


def test_curl_sends_a_token_too(server: Server, key: Key, issuer: Issuer) -> None:
    raw = issuer.sign(pinakes_project=key.project_id, pinakes_role="reader")
    answer = Curl(server.url, key)("/v1/assets", "--oauth2-bearer", raw, user="")
    assert answer.status == 200
