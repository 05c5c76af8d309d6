"""Downloads as they are asked for, stored and answered, in the hosted service's words. Source: `scenario-sdk` 2.4.0."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes.text import Id

MOST_ARCHIVED = 1_000
MOST_TEMPLATE = 1_024
Target = Literal[
    "gif", "heif", "jpeg", "jpg", "png", "svg", "webp", "avif", "tif", "tiff", "glb", "fbx", "obj", "mp3", "mp4"
]
"""Formats that can be asked for; of what is not a picture only the one it is stored in can be had."""
CONVERTED = ("avif", "gif", "jpeg", "png", "tiff", "webp")
"""Formats of pictures that are made of each other. They are variants of a link too."""

_Ids = Annotated[list[Id], Meta(max_length=MOST_ARCHIVED)]


class NewDownload(msgspec.Struct, frozen=True, rename="camel"):
    """The format to get an asset in; the one it is stored in when absent."""

    target_format: Target | UnsetType = UNSET


class Download(msgspec.Struct, frozen=True, rename="camel"):
    """A link to one file."""

    url: str
    mime_type: str


class ArchiveOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What an archive and the files in it are called. `prefer_original` changes nothing: nothing is re-encoded here."""

    file_name_template: Annotated[str, Meta(max_length=MOST_TEMPLATE)]
    archive_name: Annotated[str, Meta(max_length=MOST_TEMPLATE)] | UnsetType = UNSET
    flat: bool = False
    prefer_original: bool = False


class ArchiveQuery(msgspec.Struct, frozen=True, rename="camel"):
    """What goes into an archive. `inference_ids` find nothing: nothing is generated here."""

    asset_ids: _Ids = []
    inference_ids: _Ids = []
    model_ids: _Ids = []


class NewArchive(msgspec.Struct, frozen=True):
    """An archive to be made."""

    options: ArchiveOptions
    query: ArchiveQuery


class NewModelDownload(msgspec.Struct, frozen=True, rename="camel"):
    """The epoch of a model, if it is not its only one."""

    model_epoch: str | UnsetType = UNSET


class DownloadJob(msgspec.Struct, frozen=True, rename="camel"):
    """`{jobId}`"""

    job_id: str


class DownloadStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How far a download is: done at once, because an archive is put together while it is sent."""

    job_id: str
    job_status: Literal["success"]
    download_url: str


class Member(msgspec.Struct, frozen=True, array_like=True):
    """An asset in an archive, and its path there."""

    asset_id: str
    path: str


class Archive(msgspec.Struct, frozen=True, tag=True):
    """What was asked for, as it is kept until the archive is sent. `name` has its ending."""

    name: str
    members: list[Member]


class ModelFile(msgspec.Struct, frozen=True, tag=True):
    """The file of a model was asked for."""

    model_id: str


Wanted = Archive | ModelFile


class Stored(msgspec.Struct, frozen=True):
    """Bytes, and what is needed to serve them as a file of some name. `format` None: nobody knows."""

    id: str
    name: str
    sha256: str
    size: int
    mime_type: str
    format: str | None
    created_at: str


class Described(Stored, frozen=True):
    """What files can be named after, empty where nothing is known."""

    description: str
    seed: str
    prompt: str
    generator: str
