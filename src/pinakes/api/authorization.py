"""What a request says about who sends it."""

from base64 import b64decode
from binascii import Error as Base64Error

from pinakes import access
from pinakes.api.http import parse_query
from pinakes.api.routes import ProjectQuery
from pinakes.errors import PinakesError

_MOST_BYTES = 1024


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
