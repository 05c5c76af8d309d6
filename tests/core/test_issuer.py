"""The keys of an issuer: read once, rotated, withdrawn, and what happens while nobody answers."""

import threading
import time
from typing import Any

import jwt
import pytest
from issuers import GRANT, Issuer, SigningKey, check, pause, refusal

from pinakes import issuer
from pinakes.access import Token
from pinakes.bearer import Verifier
from pinakes.config import Config


def read_again(verifier: Verifier) -> None:
    """Have the issuer asked now, and wait for the end of that."""
    pause()
    reading = verifier._issuer.read_again()
    assert reading is not None
    reading.result(20)


def test_keys_are_read_once_and_tokens_checked_once(idp: Issuer, verifier: Verifier) -> None:
    raw = idp.sign(**GRANT)
    first = check(verifier, raw)
    assert all(verifier.check(raw.encode()) is first for _ in range(50))
    check(verifier, idp.sign(jti="another", **GRANT))
    assert idp.asked == 1


def test_many_at_once_have_the_issuer_asked_once(idp: Issuer, verifier: Verifier) -> None:
    idp.delay_s = 0.2
    raw, found = idp.sign(**GRANT), []
    threads = [threading.Thread(target=lambda: found.append(check(verifier, raw))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), idp.asked) == (20, 1)


def test_a_new_key_is_found_and_the_old_one_is_out(idp: Issuer, verifier: Verifier) -> None:
    old = idp.sign(**GRANT)
    check(verifier, old)
    new = idp.rotate()
    pause()
    assert check(verifier, idp.sign(new, **GRANT)).grants
    assert idp.asked == 2
    assert refusal(verifier, old).message.endswith("its issuer has no such key for this algorithm.")


def test_a_key_that_is_withdrawn_is_out_when_its_time_is_over(
    idp: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a token that was checked before."""
    old = idp.sign(**GRANT)
    check(verifier, old)
    idp.rotate()
    pause()
    assert check(verifier, old).grants
    monkeypatch.setattr(issuer, "FRESH_S", 0.06)
    assert refusal(verifier, old).code == "UNAUTHORIZED"


def test_made_up_key_ids_do_not_have_the_issuer_asked(
    idp: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "RETRY_S", 10.0)
    check(verifier, idp.sign(**GRANT))
    for n in range(200):
        error = refusal(verifier, idp.sign(headers={"kid": f"forged-{n}"}, **GRANT))
        assert error.message.endswith("its issuer has no such key for this algorithm.")
    assert idp.asked == 1


def test_a_token_without_a_key_id(idp: Issuer, verifier: Verifier) -> None:
    """Is good when there is only one key it can be signed with."""
    raw = jwt.encode(idp.claims(**GRANT), idp.keys["ES256"].private, "ES256")
    assert check(verifier, raw).grants
    idp.published.append(SigningKey("ES256-2", "ES256").jwk)
    read_again(verifier)
    assert "no such key" in refusal(verifier, raw).message


def test_keys_that_are_not_for_signatures(idp: Issuer, verifier: Verifier) -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "oct", "alg": "HS256"}
    strange: list[dict[str, Any]] = [
        {"kty": "new", "kid": "n"},
        {},
        {"kty": "EC", "crv": "P-0"},
        {"kty": "RSA", "n": "!", "e": 1, "kid": "b"},
        {**idp.keys["RS256"].jwk, "alg": "none"},
    ]
    encryption = {**idp.keys["RS256"].jwk, "use": "enc"}
    idp.published = [secret, *strange, encryption, idp.keys["ES256"].jwk]
    assert check(verifier, idp.sign(idp.keys["ES256"], **GRANT)).grants
    keys = verifier._issuer.keys()
    assert isinstance(keys, tuple)
    assert [key.key_id for key in keys] == ["ES256-1"]
    assert "no such key" in refusal(verifier, idp.sign(**GRANT)).message


def test_more_algorithms_when_they_are_set(idp: Issuer) -> None:
    key = SigningKey("ps", "PS256")
    idp.published = [key.jwk]
    assert check(Verifier(Config(jwt_issuer=idp.url, jwt_algorithms=("PS256",))), idp.sign(key, **GRANT)).grants
    only = refusal(Verifier(Config(jwt_issuer=idp.url, jwt_algorithms=("ES256",))), idp.sign(key, **GRANT))
    assert only.message.endswith("its algorithm must be one of ES256.")


def test_the_keys_may_stand_anywhere(idp: Issuer) -> None:
    """And the issuer need not have an OpenID configuration then."""
    idp.claimed_url = "https://elsewhere.example"
    verifier = Verifier(Config(jwt_issuer="https://issuer.example/", jwt_jwks_url=f"{idp.url}/keys"))
    assert check(verifier, idp.sign(iss="https://issuer.example/", **GRANT)).grants
    assert refusal(Verifier(Config(jwt_issuer=idp.url)), idp.sign(**GRANT)).code == "UNAVAILABLE"


def test_without_keys_nothing_can_be_told(idp: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "RETRY_S", 10.0)
    idp.status = 500
    error = refusal(verifier, idp.sign(**GRANT))
    assert (error.code, error.details) == ("UNAVAILABLE", {"retryAfter": 10})
    assert "127.0.0.1" not in error.message
    monkeypatch.setattr(issuer, "RETRY_S", 0.05)
    pause()
    idp.status = 200
    assert check(verifier, idp.sign(**GRANT)).grants


@pytest.mark.parametrize(
    "published", [None, "keys", [1], [{"kty": 1}], {"a": "b"}], ids=["null", "text", "numbers", "odd", "object"]
)
def test_an_issuer_that_publishes_nonsense(idp: Issuer, verifier: Verifier, published: Any) -> None:
    idp.published = published
    assert refusal(verifier, idp.sign(**GRANT)).code in ("UNAVAILABLE", "UNAUTHORIZED")


def test_old_keys_are_good_for_an_hour_while_the_issuer_is_away(
    idp: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = idp.sign(**GRANT)
    check(verifier, raw)
    idp.status = 503
    monkeypatch.setattr(issuer, "FRESH_S", 0.0)
    monkeypatch.setattr(issuer, "RETRY_S", 0.2)
    time.sleep(0.25)
    assert check(verifier, raw).grants  # after one attempt that fails
    idp.delay_s = 3.0
    for _ in range(3):
        time.sleep(0.25)
        started = time.monotonic()
        assert isinstance(verifier.check(raw.encode()), Token)  # attempts go on, and nobody waits for them
        assert check(verifier, idp.sign(jti="new", **GRANT)).grants
        assert time.monotonic() - started < 2
    assert idp.asked >= 1
    monkeypatch.setattr(issuer, "STALE_S", 0.1)
    assert refusal(verifier, raw).code == "UNAVAILABLE"


def test_an_unknown_key_while_the_issuer_is_away_may_be_good(idp: Issuer, verifier: Verifier) -> None:
    check(verifier, idp.sign(**GRANT))
    idp.status = 503
    read_again(verifier)
    assert check(verifier, idp.sign(**GRANT)).grants
    assert refusal(verifier, idp.sign(idp.rotate(), **GRANT)).code == "UNAVAILABLE"
