"""What a request says about who sends it."""

import asyncio
import hashlib
import math
import time
from base64 import b64decode
from binascii import Error as Base64Error
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from pinakes import access
from pinakes.access import Actor
from pinakes.api.call import Threads
from pinakes.api.http import parse_query
from pinakes.api.routes import ProjectQuery
from pinakes.errors import PinakesError
from pinakes.library import Library

_MOST_BYTES = 1024
_MEMORY_S = 0.1
_MOST_KNOWN, _MOST_ORIGIN_BYTES = 1_000, 512

Letter = tuple[bytes, str | None, str]
"""What decides who calls: the `Authorization` header, the project that is asked for, and where links shall lead."""


class Admission(NamedTuple):
    """Who was let in, until when (of `time.monotonic`) without another look, and the store's version at the look."""

    actor: Actor
    until: float
    version: int


class Doorman:
    """Knows again whom it let in before: to ask the store costs as much as what most requests then read.

    On the embedded engine a key ends at once all the same: whoever is recognized and reads something is looked at again
    if anything was written meanwhile (`confirm`). On the other, and with a token, what ends elsewhere may pass for
    `_MEMORY_S` more. Changes are confirmed in their transaction.
    """

    def __init__(self, library: Library, threads: Threads) -> None:
        self._library = library
        self._threads = threads
        self._known: dict[Letter, Admission] = {}

    def recognize(self, letter: Letter) -> Admission | None:
        """Who was let in with that."""
        known = self._known.get(_digest(letter))
        return known if known is not None and known.until > time.monotonic() else None

    async def admit(self, letter: Letter) -> Admission:
        """As `authenticate`."""
        now = time.monotonic()
        self._known.pop(_digest(letter), None)
        actor = await authenticate(self._library, self._threads, *letter)
        is_watched = self._library.store.is_embedded and actor.token is None
        known = Admission(actor, math.inf if is_watched else now + _MEMORY_S, self._library.store.version())
        if len(self._known) >= _MOST_KNOWN:
            self.forget()
        if len(letter[2]) <= _MOST_ORIGIN_BYTES:  # clients choose it
            self._known[_digest(letter)] = known
        return known

    def is_sure(self, known: Admission, has_looked: bool) -> bool:
        """Whether nothing can have changed about whom this is.

        `has_looked`: this thread has read from the store since the request came, or its version would be an old one.
        """
        store = self._library.store
        is_fresh = has_looked or not store.is_embedded
        return is_fresh and known.version == store.version() and known.until > time.monotonic()

    async def confirm(self, letter: Letter, scope: str) -> None:
        """Ask again; what `admit` and `access.require` raise by now."""
        access.require((await self.admit(letter)).actor, scope)

    def forget(self) -> None:
        """Ask again, as after a change of keys or projects."""
        self._known.clear()


def _digest(letter: Letter) -> Letter:
    """The letter without its secret, which is not kept."""
    return hashlib.sha256(letter[0]).digest(), letter[1], letter[2]


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
    if not query or (b"project" not in query and b"%" not in query):
        return None
    return parse_query(ProjectQuery, query).project_id


def check_origin(headers: dict[bytes, bytes], origins: tuple[str, ...]) -> None:
    """FORBIDDEN for a change that a page of another site sends with credentials a browser may have kept for us."""
    if headers.get(b"sec-fetch-site") == b"cross-site":
        origin = headers.get(b"origin", b"").decode("latin-1")
        if "*" not in origins and origin not in origins:
            raise PinakesError(
                "FORBIDDEN", f"Pages of {origin or 'another site'} may not send changes: see cors_origins."
            )
