"""Pages of what is newest first: a token says where the last one ended."""

import base64
import binascii
from datetime import datetime
from typing import Annotated

from fastapi import HTTPException, Query
from idiomatic.models import Asset, Collection

PageSize = Annotated[int, Query(alias="pageSize", ge=1, le=100)]
Token = Annotated[str | None, Query(alias="paginationToken")]


def encode_token(last: Asset | Collection) -> str:
    return base64.urlsafe_b64encode(f"{last.created_at.isoformat()} {last.id}".encode()).decode()


def decode_token(token: str) -> tuple[datetime, str]:
    try:
        created_at, id = base64.urlsafe_b64decode(token).decode().split(" ")
        return datetime.fromisoformat(created_at), id
    except (ValueError, binascii.Error) as error:
        raise HTTPException(400, "paginationToken: this is not a token of ours.") from error
