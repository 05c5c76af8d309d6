"""Upload calls."""

from typing import Any, Literal

import msgspec

from pinakes import uploads
from pinakes.api.call import Call
from pinakes.api.routes import Routes
from pinakes.upload_types import NewUpload, Upload

routes = Routes()

_NEW = {"fileName": "forest.mp4", "fileSize": 7340032, "kind": "video", "contentType": "video/mp4", "parts": 2}


class OneUpload(msgspec.Struct, frozen=True):
    """`{upload}`"""

    upload: Upload


class UploadAction(msgspec.Struct, frozen=True):
    """What to do with an upload."""

    action: Literal["complete"]


@routes.add("POST", "/uploads", uploads.create, OneUpload, body=NewUpload, example=_NEW, errors=("NOT_FOUND",))
async def create(call: Call[Any, NewUpload]) -> OneUpload:
    """Begin an upload: of a file in parts, which are then PUT to the links in the answer, or of a file at a URL."""
    row = await call.write(uploads.create, call.body)
    call.library.work.set()
    return OneUpload(await call.scan(uploads.show, row, []))


@routes.add("GET", "/uploads/{uploadId}", uploads.get, OneUpload, errors=("NOT_FOUND",))
async def get(call: Call[Any, None]) -> OneUpload:
    """Get an upload, with fresh links for its parts while it is pending, for those who may send them."""
    return OneUpload(await call.scan(uploads.get, call.params[0]))


@routes.add(
    "POST",
    "/uploads/{uploadId}/action",
    uploads.complete,
    OneUpload,
    body=UploadAction,
    example={"action": "complete"},
    errors=("NOT_FOUND",),
)
async def act(call: Call[Any, UploadAction]) -> OneUpload:
    """Complete an upload once all parts are there. What comes of it is told by its status."""
    there = await call.scan(uploads.find_parts, call.params[0])
    upload = await call.write(uploads.complete, call.params[0], there)
    call.library.work.set()
    return OneUpload(upload)
