"""An issuer of tokens on a loopback address: it signs, publishes its keys over HTTP, rotates them, and goes away."""

import functools
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from pinakes import issuer as keys
from pinakes.access import Token
from pinakes.bearer import Verifier
from pinakes.config import Config
from pinakes.errors import PinakesError

ALGORITHMS = ("RS256", "ES256", "EdDSA")
GRANT: dict[str, Any] = {"pinakes_project": "proj_a", "pinakes_role": "editor"}


@functools.cache
def _rsa() -> rsa.RSAPrivateKey:
    """One for all tests: making them is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


_KINDS: dict[str, tuple[Any, Any]] = {
    "RS256": (_rsa, RSAAlgorithm),
    "PS256": (_rsa, RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class SigningKey:
    """A private key, and how the issuer publishes its public half."""

    def __init__(self, id: str, algorithm: str) -> None:
        self.id = id
        self.algorithm = algorithm
        make, kind = _KINDS[algorithm]
        self.private = make()
        public = kind.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk: dict[str, Any] = {**public, "kid": id, "use": "sig", "alg": algorithm}


class Issuer:
    """`asked` counts requests for its keys. `status` and `delay_s` are how it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys = {algorithm: SigningKey(f"{algorithm}-1", algorithm) for algorithm in ALGORITHMS}
        self.published = [key.jwk for key in self.keys.values()]
        self.asked = 0
        self.status = 200
        self.delay_s = 0.0
        self.claimed_url = url

    def claims(self, **more: Any) -> dict[str, Any]:
        """What a good token says; None leaves a claim out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": "pinakes", "sub": "ada", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**usual, **more}.items() if value is not None}

    def sign(self, key: SigningKey | None = None, headers: dict[str, Any] | None = None, **more: Any) -> str:
        """A token with the claims of `claims`, by default signed with the first key."""
        key = key or self.keys["RS256"]
        return jwt.encode(self.claims(**more), key.private, key.algorithm, {"kid": key.id, **(headers or {})})

    def rotate(self, algorithm: str = "RS256") -> SigningKey:
        """A new key in the place of all others."""
        key = SigningKey(f"{algorithm}-{time.monotonic_ns()}", algorithm)
        self.published = [key.jwk]
        return key

    def document(self, path: str) -> Any:
        if path.endswith("/openid-configuration"):
            return {"issuer": self.claimed_url, "jwks_uri": f"{self.url}/keys"}
        self.asked += 1
        return {"keys": self.published}


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.document(self.path)).encode()
            time.sleep(issuer.delay_s)
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: tests look at `asked`."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True  # the client gave up waiting

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token made by hand, whatever its header says."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture
def idp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """An issuer that may be asked again after `pause`."""
    monkeypatch.setattr(keys, "RETRY_S", 0.05)
    with issuing() as running:
        yield running


@pytest.fixture
def verifier(idp: Issuer) -> Verifier:
    return Verifier(Config(jwt_issuer=idp.url))


def pause() -> None:
    """Until the issuer may be asked again."""
    time.sleep(0.06)


def check(verifier: Verifier, raw: str) -> Token:
    """What a token says, after as much waiting as it takes."""
    for _ in range(20):
        found = verifier.check(raw.encode())
        if not isinstance(found, Future):
            return found
        found.result(20)
    raise AssertionError("it waits for ever")


def refusal(verifier: Verifier, raw: str) -> PinakesError:
    """Why a token is refused."""
    with pytest.raises(PinakesError) as caught:
        check(verifier, raw)
    return caught.value
