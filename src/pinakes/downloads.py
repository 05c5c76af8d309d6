"""Downloads: one asset, in its own format or another; many as an archive; the file of a model.

All of it ends in signed links. An archive is put together while it is sent, so that asking for one is quick, whatever
is in it. What is asked for is kept for twice as long as a link is good for, and then swept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pinakes import access, archive_names, collections, errors, ids
from pinakes.access import Actor, needs
from pinakes.archive_names import Named
from pinakes.archives import Entry
from pinakes.download_types import (
    CONVERTED,
    MOST_ARCHIVED,
    Archive,
    ArchiveQuery,
    Download,
    DownloadJob,
    DownloadStatus,
    Member,
    ModelFile,
    NewArchive,
    NewModelDownload,
    Stored,
    Target,
)
from pinakes.errors import PinakesError
from pinakes.links import asset_path

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

_CANONICAL = {"jpg": "jpeg", "tif": "tiff", "heif": "heic"}


class LocatedArchive(NamedTuple):
    """An archive that is about to be sent."""

    name: str
    entries: list[Entry]


@needs("assets.read")
def of_asset(library: Library, actor: Actor, id: str, target: Target | None = None) -> Download:
    """A link to the bytes of an asset, or to all of its picture in another format, which may take seconds to make.

    NOT_FOUND when unknown or in the trash. BAD_REQUEST naming `targetFormat` for a format that it cannot be had in.
    """
    stored = locate(library, actor.project_id, id)
    format = stored.format if target is None else _CANONICAL.get(target, target)
    if target is None or format is None or format == stored.format:
        variant, mime_type = "download", stored.mime_type
    else:
        variant, mime_type = format, _convert(library, stored, format, target)
    return Download(library.links.make(actor.origin, asset_path(actor.project_id, id, variant)), mime_type)


@needs("assets.read")
def plan(library: Library, actor: Actor, new: NewArchive) -> Archive:
    """The slow half of asking for an archive: what is in it, and what each file is called. Four statements at most.

    NOT_FOUND with `details.missing` for unknown assets and models. BAD_REQUEST for more than 1,000 assets, or none.
    """
    with library.store.read() as tx:
        wanted = _found(tx, actor, new.query)
        rows = tx.downloads.described(actor.owner, wanted)
    named = [
        Named(
            row.id,
            library.media.ending_of(row.format, row.name),
            row.seed,
            row.prompt,
            row.generator,
            row.description,
        )
        for row in map(rows.__getitem__, wanted)
    ]
    paths = archive_names.paths(new.options.file_name_template, named, new.options.flat)
    members = [Member(asset.id, path) for asset, path in zip(named, paths, strict=True)]
    return Archive(_archive_name(new.options.archive_name or ""), members)


@needs("assets.read")
def create(library: Library, actor: Actor, archive: Archive) -> DownloadJob:
    """The quick half: keep it. It can be sent from now on."""
    return _keep(library, actor, archive)


@needs("models.read")
def of_model(library: Library, actor: Actor, id: str, new: NewModelDownload) -> DownloadJob:
    """Ask for a model's file. NOT_FOUND when the model is unknown or has none, BAD_REQUEST for an epoch it has not."""
    with library.store.write(actor.owner, beside=True) as tx:
        row = tx.models.find(actor.owner, id)
        if row is None:
            raise errors.not_found("model", id)
        if new.model_epoch and new.model_epoch != row.settings.epoch:
            raise errors.bad_request("modelEpoch", f"model {id!r} has no epoch {new.model_epoch!r}")
        _model_file(tx, actor.project_id, id)
        return _keep(library, actor, ModelFile(id))


@needs("assets.read")
def get(library: Library, actor: Actor, job_id: str) -> DownloadStatus:
    """The state and link of what was asked for. NOT_FOUND once it is swept; a model's needs `models.read` too."""
    with library.store.read() as tx:
        wanted = tx.downloads.find(actor.owner, job_id)
        if wanted is None:
            raise errors.not_found("download", job_id)
        path = asset_path(actor.project_id, job_id, "archive")
        if isinstance(wanted, ModelFile):
            access.require(actor, "models.read")
            path = asset_path(actor.project_id, _model_file(tx, actor.project_id, wanted.model_id).id, "model")
    return DownloadStatus(job_id, "success", library.links.make(actor.origin, path))


def locate(library: Library, project_id: str, id: str) -> Stored:
    """The bytes of a live asset, or NOT_FOUND. For whoever holds a signed link, as all that follows."""
    with library.store.glance() as tx:
        stored = tx.downloads.asset(project_id, id)
    if stored is None:
        raise errors.not_found("asset", id)
    return stored


def locate_model(library: Library, project_id: str, id: str) -> Stored:
    """The file of a live model, or NOT_FOUND."""
    with library.store.glance() as tx:
        return _model_file(tx, project_id, id)


def locate_archive(library: Library, project_id: str, job_id: str) -> LocatedArchive:
    """What is in an archive now: what went into the trash since it was asked for is left out. NOT_FOUND for none."""
    with library.store.read() as tx:
        owner, archive = tx.downloads.locate(project_id, job_id) or (0, None)
        if not isinstance(archive, Archive):
            raise errors.not_found("download", job_id)
        rows = tx.downloads.assets(owner, [member.asset_id for member in archive.members])
    entries = [
        Entry(member.path, row.sha256, row.size, row.created_at)
        for member in archive.members
        if (row := rows.get(member.asset_id)) is not None
    ]
    if not entries:
        raise PinakesError("NOT_FOUND", "Everything that this archive was to hold has been deleted.")
    return LocatedArchive(archive.name, entries)


def file_name(library: Library, stored: Stored, format: str | None) -> str:
    """What the file of an asset is called, with the ending of the format it is sent in."""
    ending = library.media.ending_of(format, stored.name)
    stem, dot, own = stored.name.rpartition(".")
    if dot and own.lower() == ending:
        return stored.name
    is_ended = dot and own.lower() == library.media.ending_of(stored.format, stored.name)
    return f"{stem if is_ended else stored.name}.{ending}"


def _convert(library: Library, stored: Stored, format: str, target: Target) -> str:
    """Make the picture in another format unless there is one already; the media type of the format."""
    if stored.format not in CONVERTED or format not in CONVERTED:
        can = f"as {', '.join(CONVERTED)}" if stored.format in CONVERTED else "only as it is: leave targetFormat out"
        shown = stored.mime_type if stored.format is None else stored.format
        raise errors.bad_request("targetFormat", f"a file of type {shown} cannot be had as {target}, but {can}")
    if not library.blobs.has_converted(stored.sha256, format):
        with library.blobs.local_file(stored.sha256) as path:
            data = library.media.convert("targetFormat", path, stored.format, format)
        library.blobs.put_converted(stored.sha256, format, data)
    return library.media.mime_type_of(format)


def _found(tx: Tx, actor: Actor, query: ArchiveQuery) -> list[str]:
    """The ids of the assets that an archive is to hold, each once: those named, then those that models made."""
    asset_ids, model_ids = list(dict.fromkeys(query.asset_ids)), list(dict.fromkeys(query.model_ids))
    if asset_ids:
        collections.require_live(tx, actor.owner, "asset", asset_ids, "query.assetIds")
    if model_ids:
        collections.require_live(tx, actor.owner, "model", model_ids, "query.modelIds")
        asset_ids += tx.downloads.made_with(actor.owner, model_ids, MOST_ARCHIVED + 1)
    wanted = list(dict.fromkeys(asset_ids))
    if not 1 <= len(wanted) <= MOST_ARCHIVED:
        found = "none" if not wanted else f"more than {MOST_ARCHIVED:,}" if query.model_ids else str(len(wanted))
        raise errors.bad_request("query", f"expected 1 to {MOST_ARCHIVED:,} assets, found {found}")
    return wanted


def _archive_name(wanted: str) -> str:
    name = archive_names.safe(wanted.removesuffix(".zip"), archive_names.MOST_FILE - 4)
    today = ids.now()[:10].replace("-", "")
    return f"{name or f'{today}-export'}.zip"


def _model_file(tx: Tx, project_id: str, id: str) -> Stored:
    found = tx.downloads.model_file(project_id, id)
    if found is None:
        raise PinakesError("NOT_FOUND", f"Model {id!r} has no file in this library; upload one of kind `model`.")
    return found


def _keep(library: Library, actor: Actor, wanted: Archive | ModelFile) -> DownloadJob:
    id = ids.new("job")
    with library.store.write(actor.owner, beside=True) as tx:
        tx.downloads.insert(actor.owner, id, wanted, ids.now())
    return DownloadJob(id)
