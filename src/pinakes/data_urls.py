"""Bytes as they come in JSON: base64, or a data URL of it (RFC 2397)."""

import re
from collections.abc import Iterator

import msgspec

from pinakes.errors import bad_request

_PIECE = 1 << 20
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(;[\w.+-]+=[^;,]*)*(;base64),", re.IGNORECASE | re.ASCII)


def decode(field: str, value: str) -> tuple[bytes, str | None]:
    """The bytes of base64 or a base64 data URL, and the type that the URL claims. BAD_REQUEST naming the field."""
    mime, text = None, value
    if value[:5].lower() == "data:":
        match = _DATA_URL.match(value)
        if match is None:
            raise bad_request(field, "a data URL must look like data:image/png;base64,…")
        mime, text = (match[1] or "").lower().replace("image/jpg", "image/jpeg") or None, value[match.end() :]
    try:
        data = b"".join(_decoded(text))
    except ValueError:  # not base64, or no text at all
        raise bad_request(field, "this is neither base64 nor a data URL") from None
    if not data:
        raise bad_request(field, "there are no bytes in it")
    return data, mime


def _decoded(text: str) -> Iterator[bytes]:
    """Base64 piece by piece, because decoding lets no other thread run. White space and any padding are fine."""
    rest = ""
    for start in range(0, len(text), _PIECE):
        is_last = start + _PIECE >= len(text)
        piece = text[start : start + _PIECE]
        if not rest and (data := _as_it_is(piece, is_last)) is not None:
            yield data
            continue
        rest += "".join(piece.split())
        rest = rest.rstrip("=") if is_last else rest
        whole = len(rest) if is_last else len(rest) // 4 * 4
        piece, rest = rest[:whole], rest[whole:]
        yield _bytes(piece)


def _as_it_is(piece: str, is_last: bool) -> bytes | None:
    """What a piece without white space is, as nearly all are; None for others. To look for it first costs as much."""
    if is_last:
        piece = piece.rstrip("=")
    elif "=" in piece[-2:]:  # the end, and white space after it
        return None
    try:
        return _bytes(piece)
    except ValueError:
        return None


def _bytes(piece: str) -> bytes:
    padded = piece + "=" * (-len(piece) % 4)
    return msgspec.convert(padded, bytes)  # three times as fast as binascii
