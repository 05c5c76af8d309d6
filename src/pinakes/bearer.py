"""Bearer tokens: JWTs of one issuer (RFC 7519), checked, and read for projects and roles.

What a token must have: a signature by a key that its issuer publishes, with the algorithm of that key; `iss`, `aud`,
`sub` and `exp`; and a claim that names projects and roles. What was checked once is remembered until it expires or the
issuer's keys change, so that a token costs a hash and a look-up from then on.
"""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import jwt

from pinakes import ids
from pinakes.access import ROLES, SCOPES, Token, scopes_of
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.issuer import Issuer, Keys

LEEWAY_S = 30
"""How far the issuer's clock may be off."""
MOST_BYTES = 8192

_MOST_SEEN = 10_000
_REQUIRED = ["exp", "iss", "aud", "sub"]


class _Seen(NamedTuple):
    keys: Keys
    token: Token


class Verifier:
    """Checks the tokens of the configured issuer."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._issuer = Issuer(config.jwt_issuer, config.jwt_jwks_url)
        self._seen: dict[bytes, _Seen] = {}

    def check(self, raw: bytes) -> Token | Future[None]:
        """What a token says, or what to wait for before asking again (the issuer's keys being read).

        UNAUTHORIZED for a token that is not good, FORBIDDEN for a good one that names no project and role, UNAVAILABLE
        while the issuer does not answer and its keys are needed.
        """
        if len(raw) > MOST_BYTES:
            raise refusal(f"it is longer than {MOST_BYTES} bytes")
        keys = self._issuer.keys()
        if isinstance(keys, Future):
            return keys
        digest = hashlib.sha256(raw).digest()
        seen = self._seen.get(digest)
        if seen is not None and seen.keys is keys:
            return _unexpired(seen.token)
        key = _find_key(keys, raw, self._config.jwt_algorithms)
        if key is None:
            return self._unknown_key()
        token = self._read(raw, key)
        self._remember(digest, _Seen(keys, token))
        return token

    def _unknown_key(self) -> Future[None]:
        """The issuer may have a new key, and is asked, though not too often."""
        reading = self._issuer.read_again()
        if reading is not None:
            return reading
        if self._issuer.is_away:
            raise self._issuer.unavailable()
        raise refusal("its issuer has no such key for this algorithm")

    def _read(self, raw: bytes, key: jwt.PyJWK) -> Token:
        config = self._config
        try:
            claims = jwt.decode(
                raw,
                key,
                algorithms=[key.algorithm_name],
                audience=config.jwt_audience,
                issuer=config.jwt_issuer,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise refusal(_reason(error)) from error
        user_id = ids.derived("user", claims["iss"], claims["sub"])
        grants = grants_of(claims, config.jwt_project_claim, config.jwt_role_claim)
        return Token(user_id, grants, (int(claims["exp"]) + LEEWAY_S) * 1000)

    def _remember(self, digest: bytes, seen: _Seen) -> None:
        if len(self._seen) >= _MOST_SEEN:
            now = ids.now_ms()
            live = {key: old for key, old in self._seen.items() if old.keys is seen.keys and old.token.expires_ms > now}
            self._seen = live if len(live) < _MOST_SEEN else {}
        self._seen[digest] = seen


def refusal(reason: str) -> PinakesError:
    """UNAUTHORIZED for a token, with what RFC 6750 has a header say."""
    return PinakesError("UNAUTHORIZED", f"The Bearer token is not good: {reason}.", error="invalid_token")


def _unexpired(token: Token) -> Token:
    if token.expires_ms <= ids.now_ms():
        raise refusal("it has expired")
    return token


def _find_key(keys: Keys, raw: bytes, algorithms: tuple[str, ...]) -> jwt.PyJWK | None:
    """The one key that a token can be signed with: by its `kid`, or the only one there is for its algorithm."""
    try:
        header = jwt.get_unverified_header(raw)
    except jwt.PyJWTError as error:
        raise refusal("it is no JWT") from error
    algorithm, id = header.get("alg"), header.get("kid")
    if algorithm not in algorithms:
        raise refusal(f"its algorithm must be one of {', '.join(algorithms)}")
    found = [key for key in keys if key.algorithm_name == algorithm and (id is None or key.key_id == id)]
    return found[0] if len(found) == 1 else None


def _reason(error: jwt.PyJWTError) -> str:
    """What is wrong with a token, as far as that helps who holds it."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return "its time has not come, or its iat or nbf is no time"
        case jwt.InvalidAudienceError():
            return "it is meant for another audience"
        case jwt.InvalidIssuerError():
            return "it is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim!r}"
        case jwt.InvalidSignatureError() | jwt.InvalidKeyError():
            return "its signature is wrong"
        case _:
            return "it cannot be read"


def grants_of(claims: Mapping[str, Any], project_claim: str, role_claim: str) -> dict[str, str]:
    """The role in each project that a token names: by an object of project ids and roles, or by ids and one role.

    FORBIDDEN when nothing comes of it.
    """
    named = claims.get(project_claim)
    if isinstance(named, dict):
        found = {id: role_of(value) for id, value in named.items() if _is_id(id)}
        wanted = f"claim {project_claim!r}, an object of project ids and roles"
    else:
        listed = named if isinstance(named, list) else [named]
        found = {id: role_of(claims.get(role_claim)) for id in listed if _is_id(id)}
        wanted = f"claims {project_claim!r} (a project's id, or several) and {role_claim!r} (a role or scopes)"
    grants = {id: role for id, role in found.items() if role}
    if not grants:
        raise PinakesError("FORBIDDEN", f"The token names no project with a role in its {wanted}.")
    return grants


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value != ""


def role_of(value: object) -> str:
    """The role that a claim gives, as keys have it; what means nothing here gives nothing.

    A claim is a text of roles and scopes between spaces or `;`, or a list. Several add up.
    """
    words = value.replace(";", " ").split() if isinstance(value, str) else value if isinstance(value, list) else []
    known = [word for word in words if isinstance(word, str) and (word in ROLES or word in SCOPES)]
    scopes = frozenset[str]().union(*(scopes_of(word) for word in known))
    return next((role for role, held in ROLES.items() if held == scopes), ";".join(sorted(scopes)))
