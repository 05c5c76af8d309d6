"""Links that an S3 store honours without credentials, for a while: to read one object, or to put one.

obstore signs links too, but not with the headers of the answer in them, without which a file would come under its hash
as its name. Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import parse_qs, quote, urlsplit

import obstore
from obstore.store import S3Store

from pinakes import ids
from pinakes.config import AwsKey

READ_LIFETIME_S = 3600
"""A film is watched over one link, and asks for its next bytes as it goes on."""

_SLOT_S = 900
MOST_LIFETIME_S = 7 * 24 * 3600


class Signer:
    """Signs what lies below the prefix of a store. Links to read stay the same for a quarter of an hour."""

    def __init__(self, store: S3Store, key: AwsKey) -> None:
        # obstore knows where the store is, by settings and environment: a link of its own has it all but the secret.
        example = urlsplit(obstore.sign(store, "GET", "x", timedelta(seconds=60)))
        self._origin = f"{example.scheme}://{example.netloc}"
        self._host = example.netloc
        self._path = example.path.removesuffix("x")
        self._region = parse_qs(example.query)["X-Amz-Credential"][0].split("/")[2]
        self._key = key

    def read_link(self, key: str, method: str, content_type: str, disposition: str) -> str:
        """To GET or HEAD an object with these headers in the answer; good for at least three quarters of an hour."""
        headers = {
            "response-cache-control": f"private, max-age={READ_LIFETIME_S}, immutable",
            "response-content-disposition": disposition,
            "response-content-type": content_type,
        }
        slot = ids.now_ms() // 1000 // _SLOT_S * _SLOT_S
        return self.sign(method, key, slot, READ_LIFETIME_S, headers)

    def sign(self, method: str, key: str, at: int, lifetime_s: int, query: dict[str, str] | None = None) -> str:
        """A link that is good from `at`, in seconds since the epoch, for `lifetime_s`."""
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        asked = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self._key.id}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(lifetime_s),
            "X-Amz-SignedHeaders": "host",
            **({"X-Amz-Security-Token": self._key.token} if self._key.token else {}),
            **(query or {}),
        }
        path = self._path + quote(key, safe="/~")
        line = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(asked.items()))
        request = "\n".join((method, path, line, f"host:{self._host}", "", "host", "UNSIGNED-PAYLOAD"))
        text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, sha256(request.encode()).hexdigest()))
        signature = hmac.digest(self._signing_key(scope), text.encode(), "sha256").hex()
        return f"{self._origin}{path}?{line}&X-Amz-Signature={signature}"

    def _signing_key(self, scope: str) -> bytes:
        key = f"AWS4{self._key.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
