"""The route of files."""

from enum import StrEnum

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from idiomatic.access import Session
from idiomatic.links import file_of, is_good
from idiomatic.models import Asset
from sqlalchemy import select

router = APIRouter(prefix="/files")


class Variant(StrEnum):
    original = "original"
    thumbnail = "thumbnail"


@router.get("/{project_id}/{id}/{variant}")
async def get_file(
    session: Session, project_id: str, id: str, variant: Variant, expires: int, signature: str
) -> FileResponse:
    if not is_good(f"files/{project_id}/{id}/{variant}", expires, signature):
        raise HTTPException(403, "This link has expired or is not complete.")
    asset = await session.scalar(
        select(Asset).where(Asset.id == id, Asset.project_id == project_id, Asset.deleted_at.is_(None))
    )
    if asset is None:
        raise HTTPException(404, f"There is no asset {id!r} in this project.")
    return FileResponse(
        file_of(asset.sha256, variant),
        media_type="image/webp" if variant is Variant.thumbnail else asset.mime_type,
        headers={"Cache-Control": "private, max-age=3600, immutable", "X-Content-Type-Options": "nosniff"},
    )
