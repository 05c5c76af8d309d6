"""Bearer tokens: what a good one is, what is wrong with others, and what its claims give."""

import hmac
import time
from hashlib import sha256
from typing import Any

import jwt
import pytest
from conftest import Clock
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from issuers import ALGORITHMS, GRANT, Issuer, SigningKey, check, refusal, unsigned

from pinakes import access, bearer, ids
from pinakes.access import ROLES, SCOPES
from pinakes.bearer import Verifier, grants_of, role_of
from pinakes.config import Config
from pinakes.errors import PinakesError


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token(idp: Issuer, verifier: Verifier, algorithm: str) -> None:
    token = check(verifier, idp.sign(idp.keys[algorithm], **GRANT))
    assert token.grants == {"proj_a": "editor"}
    assert 600_000 < token.expires_ms - ids.now_ms() <= 630_000
    assert token.user_id == ids.derived("user", idp.url, "ada")
    assert len(token.user_id) == len("user_") + 22


def test_who_it_is_follows_from_issuer_and_subject(idp: Issuer, verifier: Verifier) -> None:
    users = {check(verifier, idp.sign(sub=sub, jti=n, **GRANT)).user_id for sub in ("a", "b", "é" * 99) for n in "12"}
    assert len(users) == 3
    assert ids.derived("user", "a", "bc") != ids.derived("user", "ab", "c")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": 1_000_000_000}, "it has expired"),
    "just expired": ({"exp": time.time() - 31}, "it has expired"),
    "no end": ({"exp": None}, "it lacks the claim 'exp'"),
    "an end that is none": ({"exp": "soon"}, "it cannot be read"),
    "no time at all": ({"exp": True}, "it has expired"),
    "not yet": ({"nbf": time.time() + 3600}, "its time has not come, or its iat or nbf is no time"),
    "from the future": ({"iat": time.time() + 3600}, "its time has not come, or its iat or nbf is no time"),
    "another audience": ({"aud": "others"}, "it is meant for another audience"),
    "other audiences": ({"aud": ["others", "pinakes2"]}, "it is meant for another audience"),
    "no audience": ({"aud": None}, "it lacks the claim 'aud'"),
    "an audience that is none": ({"aud": {"pinakes": 1}}, "it is meant for another audience"),
    "another issuer": ({"iss": "https://evil.example"}, "it is from another issuer"),
    "nearly the issuer": ({"iss": "{url}/"}, "it is from another issuer"),
    "no issuer": ({"iss": None}, "it lacks the claim 'iss'"),
    "no subject": ({"sub": None}, "it lacks the claim 'sub'"),
    "a subject that is none": ({"sub": 7}, "it cannot be read"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said(idp: Issuer, verifier: Verifier, what: str) -> None:
    claims, reason = WRONG[what]
    claims = {name: value.format(url=idp.url) if name == "iss" and value else value for name, value in claims.items()}
    error = refusal(verifier, idp.sign(**GRANT, **claims))
    assert (error.code, error.message) == ("UNAUTHORIZED", f"The Bearer token is not good: {reason}.")
    assert error.details == {"error": "invalid_token"}


SOON, LATELY = 20, -20
"""Seconds from the time at which the test runs: clocks may differ by as much."""


@pytest.mark.parametrize(
    "claims",
    [{"aud": ["others", "pinakes"]}, {"nbf": 1}, {"nbf": SOON}, {"exp": LATELY}, {"iat": None}],
)
def test_what_is_good_all_the_same(idp: Issuer, verifier: Verifier, claims: dict[str, Any]) -> None:
    shifted = {name: time.time() + value if value in (SOON, LATELY) else value for name, value in claims.items()}
    assert check(verifier, idp.sign(**GRANT, **shifted)).grants


def public_pem(key: SigningKey) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.private.public_key().public_bytes(serialization.Encoding.PEM, spki)
    return pem


def forged(idp: Issuer) -> dict[str, str]:
    """Tokens that nobody signed, or somebody else."""
    claims, key = idp.claims(**GRANT), idp.keys["RS256"]
    head, body, signature = idp.sign(**GRANT).split(".")
    admin = unsigned({}, {**claims, "pinakes_role": "admin"}).split(".")[1]
    hs = {"alg": "HS256", "kid": key.id, "typ": "JWT"}
    signed_with = unsigned(hs, claims).rpartition(".")[0]
    mac = hmac.digest(public_pem(key), signed_with.encode(), sha256)
    other = SigningKey(key.id, "ES256")
    jwk = {"jwk": other.jwk, "jku": "https://evil.example/keys", "x5u": "https://evil.example/x5u"}
    return {
        "none": unsigned({"alg": "none"}, claims),
        "None": unsigned({"alg": "None", "kid": key.id}, claims),
        "no algorithm": unsigned({"kid": key.id}, claims),
        "algorithm that is none": unsigned({"alg": ["RS256"], "kid": key.id}, claims),
        "the public key as a secret": unsigned(hs, claims, mac),
        "an algorithm that is not allowed": jwt.encode(claims, key.private, "PS256", {"kid": key.id}),
        "another algorithm of the key": jwt.encode(claims, key.private, "RS512", {"kid": key.id}),
        "other claims": f"{head}.{admin}.{signature}",
        "no signature": f"{head}.{body}.",
        "half a signature": f"{head}.{body}.{signature[:-20]}",
        "another key under the same id": jwt.encode(claims, other.private, "ES256", {"kid": "ES256-1", **jwk}),
        "another key that it brings": jwt.encode(claims, other.private, "ES256", {"kid": "mine", **jwk}),
        "an id that is none": unsigned({"alg": "RS256", "kid": 1}, claims, b"x"),
        "something critical": jwt.encode(claims, key.private, "RS256", {"kid": key.id, "crit": ["x"], "x": 1}),
        "detached": jwt.encode(claims, key.private, "RS256", {"kid": key.id, "b64": False}),
        "a list": unsigned({"alg": "RS256", "kid": key.id}, [claims]),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("what", forged(Issuer("https://issuer.example")))
def test_forged_tokens(idp: Issuer, verifier: Verifier, what: str) -> None:
    error = refusal(verifier, forged(idp)[what])
    assert (error.code, error.details) == ("UNAUTHORIZED", {"error": "invalid_token"})


JUNK = ["", ".", "..", "a.b.c", "....", "\x00", "🎨", "eyJ" * 50, "[" * 4000, "%s", "null.null.null"]


@pytest.mark.parametrize("raw", JUNK, ids=ascii)
def test_junk(verifier: Verifier, raw: str) -> None:
    assert refusal(verifier, raw).message == "The Bearer token is not good: it is no JWT."


def test_what_nests_deep_is_junk_too(verifier: Verifier) -> None:
    deep = unsigned({}, {}).split(".")[0]
    nested = jwt.utils.base64url_encode(b"[" * 5000).decode()
    for raw in (f"{nested}.{deep}.{deep}", f"{deep}.{nested}.{deep}"):
        assert refusal(verifier, raw).code == "UNAUTHORIZED"


def test_a_huge_token_is_not_looked_at(idp: Issuer, verifier: Verifier) -> None:
    assert refusal(verifier, idp.sign(**GRANT, more="x" * 9000)).message.endswith("it is longer than 8192 bytes.")
    assert idp.asked == 0


@given(st.binary(max_size=200))
def test_no_bytes_are_a_token(raw: bytes) -> None:
    verifier = Verifier(Config(jwt_issuer="http://127.0.0.1:9"))
    verifier._issuer._read_at = time.monotonic()
    with pytest.raises(PinakesError) as caught:
        verifier.check(raw)
    assert caught.value.code == "UNAUTHORIZED"


def test_what_was_checked_is_forgotten_in_time(
    idp: Issuer, verifier: Verifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bearer, "_MOST_SEEN", 5)
    clock.ms = time.time_ns() // 1_000_000
    raw = idp.sign(**GRANT)
    check(verifier, raw)
    for n in range(20):
        check(verifier, idp.sign(jti=str(n), **GRANT))
        assert len(verifier._seen) <= 5
    check(verifier, raw)
    clock.move(ms=629_000)
    assert check(verifier, raw).grants
    clock.move(ms=2_000)
    assert refusal(verifier, raw).message.endswith("it has expired.")


@pytest.mark.parametrize(
    ("projects", "role", "grants"),
    [
        ("proj_a", "admin", {"proj_a": "admin"}),
        (["proj_b", "proj_a"], "reader", {"proj_b": "reader", "proj_a": "reader"}),
        ({"proj_a": "editor", "proj_b": "reader"}, None, {"proj_a": "editor", "proj_b": "reader"}),
        ({"proj_a": "editor", "proj_b": "owner"}, "admin", {"proj_a": "editor"}),
        ({"proj_a": ["reader", "collections.write"]}, None, None),
        (["proj_a", 7, None, "", "é", "\ud800"], "reader", {"proj_a": "reader"}),
    ],
)
def test_claims_that_name_projects(projects: Any, role: Any, grants: dict[str, str] | None) -> None:
    found = grants_of({"p": projects, "r": role}, "p", "r")
    if grants is None:
        (given,) = found.values()
        assert access.scopes_of(given) == ROLES["reader"] | {"collections.write"}
        access.check_role(given)
    else:
        assert found == grants
        assert list(found) == list(grants)


@pytest.mark.parametrize("projects", [None, "", [], {}, 7, True, [[]], {"proj_a": "owner"}, {"proj_a": None}])
@pytest.mark.parametrize("role", ["admin", "owner", None])
def test_claims_that_name_none(projects: Any, role: Any) -> None:
    with pytest.raises(PinakesError, match="names no project with a role") as caught:
        grants_of({"p": projects, "r": role}, "p", "r")
    assert caught.value.code == "FORBIDDEN"


@pytest.mark.parametrize("role", [None, "", "owner", "Admin", 7, [], ["owner"], {"admin": True}, "workflows.run", True])
def test_a_project_without_a_role(role: Any) -> None:
    with pytest.raises(PinakesError, match="names no project with a role"):
        grants_of({"p": "proj_a", "r": role}, "p", "r")


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("editor", ROLES["editor"]),
        ("openid profile assets.read", {"assets.read"}),
        ("assets.read;collections.write;", {"assets.read", "collections.write"}),
        (["offline_access", "reader"], ROLES["reader"]),
        (["reader", "editor"], ROLES["editor"]),
        (["reader", "keys.read"], ROLES["reader"] | {"keys.read"}),
        (sorted(SCOPES), SCOPES),
    ],
)
def test_roles_of_claims(claim: Any, scopes: frozenset[str]) -> None:
    role = role_of(claim)
    assert access.scopes_of(role) == scopes
    access.check_role(role)
    assert role in ROLES or scopes not in ROLES.values()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_claim_gives_a_role_or_nothing(claim: Any) -> None:
    role = role_of(claim)
    if role:
        access.check_role(role)
