"""Who is asking: Basic credentials, looked up in the database on every request."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from idiomatic.database import get_session
from idiomatic.models import ApiKey
from sqlalchemy.ext.asyncio import AsyncSession

Session = Annotated[AsyncSession, Depends(get_session)]
Credentials = Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))]


def hash_secret(secret: str) -> str:
    """One round will do: the secret is random and long."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def get_key(session: Session, credentials: Credentials, projectId: str | None = None) -> ApiKey:  # noqa: N803
    """The key that asks; 401 without a good one, 403 for a project it may not see."""
    key = await session.get(ApiKey, credentials.username) if credentials else None
    if credentials is None or key is None or key.revoked_at is not None:
        raise HTTPException(401, "Unknown API key or secret.")
    if not hmac.compare_digest(key.secret_hash, hash_secret(credentials.password)):
        raise HTTPException(401, "Unknown API key or secret.")
    if projectId is not None and projectId != key.project_id:
        raise HTTPException(403, "This key may not see that project.")
    return key


Key = Annotated[ApiKey, Depends(get_key)]


async def get_editor(key: Key) -> ApiKey:
    """The key that asks, if it may change things."""
    if key.role not in ("admin", "editor"):
        raise HTTPException(403, "This key may only read.")
    return key


Editor = Annotated[ApiKey, Depends(get_editor)]
