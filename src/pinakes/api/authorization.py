"""What a request says about who sends it."""

import asyncio
from base64 import b64decode
from binascii import Error as Base64Error
from concurrent.futures import Future
from functools import partial

from pinakes import access
from pinakes.access import Actor
from pinakes.api.call import Threads
from pinakes.api.http import parse_query
from pinakes.api.routes import ProjectQuery
from pinakes.errors import PinakesError
from pinakes.library import Library

_MOST_BYTES = 1024


async def authenticate(
    library: Library, threads: Threads, header: bytes, project_id: str | None, origin: str = ""
) -> Actor:
    """Who sends an `Authorization` header, in a project. UNAUTHORIZED and FORBIDDEN as the two kinds have them.

    Waits for nothing but, now and then, the keys of the issuer of tokens.
    """
    if header[:6].lower() == b"bearer":
        return await _bear(library, threads, header[6:].strip(), project_id, origin)
    try:
        key_id, secret_hash = credentials(header)
    except PinakesError as error:
        raise error if library.verifier is None else _either() from None
    return await threads.look(partial(access.authenticate, library, key_id, secret_hash, project_id, origin))


async def _bear(library: Library, threads: Threads, raw: bytes, project_id: str | None, origin: str) -> Actor:
    verifier = library.verifier
    if verifier is None:
        hint = "the setting jwt_issuer turns them on. Send Authorization: Basic with an API key"
        raise PinakesError("UNAUTHORIZED", f"This server takes no Bearer tokens; {hint}.")
    found = verifier.check(raw)
    while isinstance(found, Future):
        await asyncio.shield(asyncio.wrap_future(found))  # others wait for it too
        found = verifier.check(raw)
    return await threads.look(partial(access.admit, library, found, project_id, origin))


def _either() -> PinakesError:
    reason = "Send Authorization: Basic with base64 of API key, colon, API secret, or Bearer with a token."
    return PinakesError("UNAUTHORIZED", reason, schemes=["Basic", "Bearer"])


def credentials(header: bytes) -> tuple[str, bytes]:
    """Key id and hash of the secret out of an `Authorization` header. UNAUTHORIZED for anything but good Basic."""
    kind, _, encoded = header[:_MOST_BYTES].partition(b" ")
    if kind.lower() == b"basic" and len(header) <= _MOST_BYTES:
        try:
            key_id, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (Base64Error, UnicodeDecodeError):
            key_id, colon, secret = "", "", ""
        if colon:
            return key_id, access.hash_secret(secret)
    raise PinakesError("UNAUTHORIZED", "Send Authorization: Basic with base64 of API key, colon, API secret.")


def project_of(query: bytes) -> str | None:
    """The `projectId` of a query string, however it is spelled."""
    return parse_query(ProjectQuery, query).project_id if b"project" in query or b"%" in query else None


def check_origin(headers: dict[bytes, bytes], origins: tuple[str, ...]) -> None:
    """FORBIDDEN for a change that a page of another site sends with credentials a browser may have kept for us."""
    if headers.get(b"sec-fetch-site") == b"cross-site":
        origin = headers.get(b"origin", b"").decode("latin-1")
        if "*" not in origins and origin not in origins:
            raise PinakesError(
                "FORBIDDEN", f"Pages of {origin or 'another site'} may not send changes: see cors_origins."
            )
