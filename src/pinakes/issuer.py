"""The keys of whoever issues tokens, as the issuer publishes them (JWKS, RFC 7517).

They are read in a thread of their own and kept for some minutes, so that a key the issuer withdraws is out of use soon,
and no request waits for the issuer but those that come first. The issuer may be a private address, unlike what
strangers have fetched: an operator configured it.
"""

import threading
import time
from concurrent.futures import Future
from typing import Any

import jwt
import msgspec
import structlog

from pinakes.errors import PinakesError

FRESH_S = 300.0
"""How long keys are used without asking again."""
STALE_S = 3600.0
"""How long keys are used while the issuer does not answer."""
RETRY_S = 10.0
"""Least time between two readings, so that tokens with made-up key ids cannot have the issuer asked all the time."""

_TIME_LIMIT_S = 4.0
_MOST_BYTES = 262_144
_MOST_KEYS = 100
_ANYWHERE = ("0.0.0.0/0", "::/0")

_log = structlog.get_logger("pinakes.issuer")

Keys = tuple[jwt.PyJWK, ...]


class Issuer:
    """The keys of one issuer, read when first needed. Methods return at once; `Future`s end when a reading has."""

    def __init__(self, url: str, jwks_url: str = "") -> None:
        """`jwks_url` is looked up in the issuer's OpenID configuration unless given."""
        self.url = url
        self._jwks_url = jwks_url
        self._lock = threading.Lock()
        self._reading: Future[None] | None = None
        self._keys: Keys = ()
        self._document: Any = None
        self._read_at = self._tried_at = float("-inf")
        self._is_away = False

    def keys(self) -> Keys | Future[None]:
        """The keys to check with, or what to wait for before asking again.

        The tuple is the same object until the keys change. UNAVAILABLE when there are none, because the issuer does not
        answer.
        """
        age = time.monotonic() - self._read_at
        if age > FRESH_S:
            reading = self.read_again()
            if reading is not None and not (self._is_away and age <= STALE_S):
                return reading
            if age > STALE_S:
                raise self.unavailable()
        return self._keys

    def read_again(self) -> Future[None] | None:
        """A reading of the keys, the one under way if there is one; None when the last is too recent."""
        with self._lock:
            if self._reading is None and time.monotonic() - self._tried_at >= RETRY_S:
                self._reading = Future()
                threading.Thread(target=self._read, args=(self._reading,), name="issuer", daemon=True).start()
            return self._reading

    @property
    def is_away(self) -> bool:
        """Whether the last reading failed."""
        return self._is_away

    def unavailable(self) -> PinakesError:
        """That a token cannot be told good from bad now."""
        reason = "Tokens cannot be checked, because their issuer does not answer; try again shortly."
        return PinakesError("UNAVAILABLE", reason, retryAfter=int(RETRY_S))

    def _read(self, reading: Future[None]) -> None:
        try:
            document = self._fetch_document()
            if document != self._document:
                self._keys, self._document = _parsed(document), document
            self._read_at, self._is_away = time.monotonic(), False
        except (PinakesError, jwt.PyJWTError, msgspec.MsgspecError) as error:
            self._is_away = True
            _log.warning("issuer failed", issuer=self.url, error=str(error))
        finally:
            with self._lock:
                self._tried_at, self._reading = time.monotonic(), None
            reading.set_result(None)

    def _fetch_document(self) -> Any:
        url = self._jwks_url
        if not url:
            found = _get(f"{self.url.rstrip('/')}/.well-known/openid-configuration", _Discovered)
            if found.issuer != self.url:
                raise PinakesError("UNAVAILABLE", f"It says that it is {found.issuer!r}; jwt_issuer must be the same.")
            url = found.jwks_uri
        return _get(url, _Document)


class _Discovered(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def _get(url: str, kind: Any) -> Any:
    from pinakes.fetch import fetch  # an HTTP client is not loaded by a server without an issuer

    body = bytearray()
    fetch(url, body.extend, max_bytes=_MOST_BYTES, time_limit_s=_TIME_LIMIT_S, private_hosts=_ANYWHERE)
    return msgspec.json.decode(body, type=kind)


def _parsed(document: _Document) -> Keys:
    """The keys that check signatures; those of other uses, and of kinds that are not known here, are left out."""
    keys = []
    for data in document.keys[:_MOST_KEYS]:
        if data.get("use", "sig") == "sig" and data.get("kty") != "oct":
            try:
                keys.append(jwt.PyJWK(data))
            except (jwt.PyJWTError, NotImplementedError):  # the latter for the algorithm `none`
                continue
    return tuple(keys)
