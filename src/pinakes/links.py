"""Signed links: who holds one may read that one thing, or send that one part, until it expires, without credentials.

Expiry is rounded up to whole slots, so that a link stays the same for a while and caches keep what it leads to.
"""

from hashlib import blake2b
from hmac import compare_digest

from pinakes import ids

_SIGNATURE_BYTES = 16


class Links:
    """Makes and checks links. `secret` is the library's own; `lifetime_s` is the least time a new link is good for."""

    def __init__(self, secret: bytes, lifetime_s: int) -> None:
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._slot_s = max(60, lifetime_s // 8)

    def make(self, origin: str, path: str) -> str:
        """A link to `path` below `origin` such as `http://host`, or relative for an empty origin."""
        slot = self._slot_s
        expires = (ids.now_ms() // 1000 + self._lifetime_s + slot) // slot * slot
        return f"{origin}{path}?expires={expires}&signature={self._sign(path, expires)}"

    def is_good(self, path: str, expires: str, signature: str) -> bool:
        """Whether we signed this path with this expiry, and it has not passed. Constant time."""
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12 and signature.isascii()):
            return False
        good = compare_digest(self._sign(path, int(expires)), signature)
        return good and int(expires) * 1000 > ids.now_ms()

    def _sign(self, path: str, expires: int) -> str:
        return blake2b(f"{path}\n{expires}".encode(), key=self._secret, digest_size=_SIGNATURE_BYTES).hexdigest()


def expiry_of(link: str) -> str:
    """When a link of ours ends, in seconds since the epoch. It is the same for all links made in one slot."""
    return link.partition("?expires=")[2].partition("&")[0]


def asset_path(project_id: str, asset_id: str, variant: str) -> str:
    """Where bytes are served; `api.files` knows the variants, not all of an asset. Our ids need no quoting."""
    return f"/files/{project_id}/{asset_id}/{variant}"


def part_path(project_id: str, upload_id: str, number: int | str) -> str:
    """Where a part of an upload is sent to."""
    return f"/uploads/{project_id}/{upload_id}/{number}"
