"""What a request says about who sends it."""

import functools
from base64 import b64decode
from binascii import Error as Base64Error

from pinakes import access
from pinakes.api.http import parse_query
from pinakes.api.routes import ProjectQuery
from pinakes.errors import PinakesError


@functools.lru_cache(maxsize=1024)
def credentials(header: bytes) -> tuple[str, bytes]:
    """Key id and hash of the secret out of an `Authorization` header. UNAUTHORIZED for anything but good Basic."""
    kind, _, encoded = header.partition(b" ")
    if kind.lower() == b"basic":
        try:
            key_id, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (Base64Error, UnicodeDecodeError):
            key_id, colon, secret = "", "", ""
        if colon:
            return key_id, access.hash_secret(secret)
    raise PinakesError("UNAUTHORIZED", "Send Authorization: Basic with base64 of API key, colon, API secret.")


@functools.lru_cache(maxsize=1024)
def project_of(query: bytes) -> str | None:
    """The `projectId` of a query string."""
    return parse_query(ProjectQuery, query).project_id if b"projectId" in query else None
