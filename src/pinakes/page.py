"""Pages of a list, and the opaque cursor that leads from one to the next.

A cursor holds the sort key of the last row seen (keyset pagination), so a walk neither skips nor repeats a row that
exists throughout it, whatever is added or removed meanwhile. It is bound to the project, the list, its filters and its
direction: with any other it is refused.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Generic, TypeVar

import msgspec

from pinakes import errors

T = TypeVar("T")
Key = tuple[str | int, ...]

_CHECK_BYTES = 8


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some rows of a list in order; `token` asks for the rows after them, None when there are none."""

    items: list[T]
    token: str | None = None


class Tokens:
    """Makes and reads tokens. `secret` is the library's own: a token that we did not make is refused."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def read(self, token: str | None, scope: Sequence[object]) -> Key | None:
        """The sort key a token holds; None for no token. BAD_REQUEST for one that is damaged or of another list."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            check, payload = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
            if compare_digest(check, self._check(scope, payload)):
                return msgspec.msgpack.decode(payload, type=Key)
        except (binascii.Error, ValueError):
            pass  # not base64: refused below like any other token we did not make
        raise errors.bad_request(
            "paginationToken", "this token is damaged or belongs to another list; start again without a token"
        )

    def cut(self, rows: list[Any], size: int, scope: Sequence[object], key: Callable[[Any], Key]) -> Page[Any]:
        """A page out of `size + 1` fetched rows: the extra row only tells that there is more."""
        if len(rows) <= size:
            return Page(rows)
        items = rows[:size]
        payload = msgspec.msgpack.encode(key(items[-1]))
        token = base64.urlsafe_b64encode(self._check(scope, payload) + payload).rstrip(b"=").decode()
        return Page(items, token)

    def _check(self, scope: Sequence[object], payload: bytes) -> bytes:
        text = msgspec.msgpack.encode(scope) + payload
        return blake2b(text, key=self._secret, digest_size=_CHECK_BYTES).digest()
