"""Signed links to files: who holds one may read that file until it expires, without credentials."""

import hmac
import os
import time
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from idiomatic.models import Asset

SECRET = os.environ["LINK_SECRET"].encode()
FILES = Path(os.environ["FILES"])
LIFETIME_S = 24 * 3600


def get_base_url(request: Request) -> str:
    return str(request.base_url)


BaseUrl = Annotated[str, Depends(get_base_url)]


def link(base_url: str, asset: Asset, variant: str) -> str:
    """A link to a file of an asset: `original` or `thumbnail`."""
    path, expires = f"files/{asset.project_id}/{asset.id}/{variant}", int(time.time()) + LIFETIME_S
    return f"{base_url}{path}?expires={expires}&signature={sign(path, expires)}"


def is_good(path: str, expires: int, signature: str) -> bool:
    return hmac.compare_digest(sign(path, expires).encode(), signature.encode()) and expires > time.time()


def sign(path: str, expires: int) -> str:
    return hmac.digest(SECRET, f"{path}\n{expires}".encode(), "sha256").hex()


def file_of(sha256: str, variant: str) -> Path:
    return FILES / f"{sha256}.{variant}"
