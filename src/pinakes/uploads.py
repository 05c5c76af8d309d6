"""Files of any size on their way into the library: sent in parts, or fetched from a URL.

Parts come in any order, may be sent again, and outlive a restart. `complete` leaves the rest to the worker: join the
parts, look into the file, and import it as an asset or a model, with its collections, in one transaction.
"""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from pinakes import access, asset_bytes, assets, collections, errors, ids, model_files, text
from pinakes.access import Actor, needs
from pinakes.assets import NewAsset
from pinakes.errors import PinakesError
from pinakes.links import expiry_of, part_path
from pinakes.model_hashes import ModelHasher
from pinakes.upload_types import AssetOptions, FoundUpload, NewUpload, StoredPart, Upload, UploadKind, UploadPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinakes.asset_types import Bytes, Kind
    from pinakes.library import Library
    from pinakes.media import Examined
    from pinakes.model_files import NewModelFile
    from pinakes.store import Tx
    from pinakes.store.jobs import Job

_MAY_BE: dict[UploadKind, frozenset[Kind]] = {
    "3d": frozenset({"3d"}),
    "audio": frozenset({"audio"}),
    "avatar": frozenset({"image"}),
    "image": frozenset({"image", "image-hdr"}),
    "text": frozenset({"text", "json"}),
    "video": frozenset({"video"}),
}
"""What a file may turn out to be, where the client said what it is."""
_SENDER = frozenset({"assets.write"})
_MODEL_SENDER = _SENDER | {"models.write"}


@needs("assets.write")
def create(library: Library, actor: Actor, new: NewUpload) -> FoundUpload:
    """Begin an upload, as it is stored: to `show` it signs thousands of links, and must not keep other writes waiting.

    BAD_REQUEST that names the field, PAYLOAD_TOO_LARGE for a file beyond `max_file_bytes`. NOT_FOUND with
    `details.missing` for unknown collections or an unknown parent. A model needs the scope `models.write` too. A `url`
    is fetched by the worker, from public addresses only.
    """
    _check(library, actor, new)
    options = AssetOptions() if new.asset_options is UNSET else new.asset_options
    joined = collections.check_members("collection", options.collection_ids or [], least=0)
    now = ids.now()
    row = FoundUpload(
        number=0,
        id=ids.new("upload"),
        author_id=actor.key_id,
        kind=new.kind or "asset",
        source="multipart" if new.url is UNSET else "url",
        status="pending" if new.url is UNSET else "validating",
        file_name=new.file_name or "",
        content_type=new.content_type or None,
        file_size=int(new.file_size) if new.file_size is not UNSET else None,
        parts_count=int(new.parts) if new.parts is not UNSET else None,
        sha256=new.sha256 or None,
        url=new.url or None,
        options=options,
        created_at=now,
        updated_at=now,
    )
    with library.store.write(actor.owner, beside=True) as tx:
        known = tx.collections.find_many(actor.owner, sorted(joined))
        if missing := [id for id in sorted(joined) if id not in known]:
            raise collections.missing_error("collection", missing, "assetOptions.collectionIds")
        if options.parent_id is not UNSET:
            collections.require_live(tx, actor.owner, "asset", [options.parent_id], "assetOptions.parentId")
        tx.uploads.insert(actor.owner, row)
        if row.status == "validating":
            tx.jobs.add(actor.owner, "fetch", row.id, now)
    return row


@needs("assets.read")
def get(library: Library, actor: Actor, id: str) -> Upload:
    """An upload; NOT_FOUND when unknown. While it is pending it has fresh links, for those who may send its parts."""
    with library.store.read() as tx:
        row = _found(tx, actor.owner, id)
        parts = tx.uploads.parts(actor.owner, row.number)
    return show(library, actor, row, _with_listed(library, row, parts))


@needs("assets.write")
def find_parts(library: Library, actor: Actor, id: str) -> list[StoredPart] | None:
    """The slow half of completing an upload: which parts there are, where the store knows it alone, else None.

    NOT_FOUND as in `get`.
    """
    if not library.parts.is_listed:
        return None
    with library.store.read() as tx:
        row = _found(tx, actor.owner, id)
    return library.parts.there(row.id)


@needs("assets.write")
def complete(library: Library, actor: Actor, id: str, there: list[StoredPart] | None = None) -> Upload:
    """Hand the parts to the worker. BAD_REQUEST, with `details.missing`, unless all are there and add up.

    It may be repeated: an upload that is further on is answered as it is. A model needs the scope `models.write` too.
    `there` is what `find_parts` has found.
    """
    if there is None:
        there = find_parts(library, actor, id)
    with library.store.write(actor.owner, beside=True) as tx:
        row = _found(tx, actor.owner, id)
        for scope in _sender(row):
            access.require(actor, scope)
        parts = tx.uploads.parts(actor.owner, row.number) if there is None else there
        if row.status == "pending":
            _require_whole(row, parts)
            row = msgspec.structs.replace(row, status="validating", updated_at=ids.now())
            tx.uploads.set_status(actor.owner, row)
            tx.jobs.add(actor.owner, "upload", row.id, row.updated_at)
    return show(library, actor, row, parts)


def part_size_limit(library: Library, project_id: str, id: str, number: str) -> int:
    """The most bytes that a part may have, for whoever holds its signed link: the link is the permission.

    NOT_FOUND when there is no such upload or part, BAD_REQUEST when the upload takes no more.
    """
    with library.store.glance() as tx:
        _, row = _pending(tx, project_id, id)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= (row.parts_count or 0)):
        raise PinakesError("NOT_FOUND", f"This upload has parts 1 to {row.parts_count}.")
    return row.file_size or 0


def add_part(library: Library, project_id: str, id: str, part: StoredPart) -> StoredPart | None:
    """Note a part whose bytes are stored. The earlier one of its number that it replaces, which is to be dropped.

    BAD_REQUEST when all parts together would be more than the file, or the upload takes no more; UNAVAILABLE when its
    bytes were dropped just before. It is to be dropped itself then.
    """
    with library.store.write(beside=True) as tx:
        owner, row = _pending(tx, project_id, id)
        library.parts.require(id, part)
        before = tx.uploads.part(owner, row.number, part.number)
        _, size = tx.uploads.total(owner, row.number)
        size += part.size - (before.size if before else 0)
        if size > (row.file_size or 0):
            raise errors.bad_request(
                "part", f"with part {part.number} there are {size} bytes, but fileSize is {row.file_size}"
            )
        tx.uploads.set_part(owner, row, part, ids.now())
    return None if before == part else before


def drop_part(library: Library, project_id: str, id: str, part: StoredPart) -> None:
    """Let go of bytes that are no part of their upload, unless the same were sent and noted meanwhile.

    Not to be committed together with others: bytes do not come back when what others noted is not stored.
    """
    with library.store.write(beside=True) as tx:
        owner = tx.uploads.owner_of(project_id)
        row = None if owner is None else tx.uploads.find(owner, id)
        if owner is None or row is None or tx.uploads.part(owner, row.number, part.number) != part:
            library.parts.drop(id, part)


def settle(library: Library, job: Job) -> None:
    """Bring an upload to its end: imported, or failed with what is wrong. For the worker.

    UNAVAILABLE when that cannot be done now, and the job has to be tried again.
    """
    with library.store.read() as tx:
        row = tx.uploads.find(job.owner, job.subject)
        parts = [] if row is None else tx.uploads.parts(job.owner, row.number)
    if row is None:
        raise PinakesError("GONE", f"There is no upload {job.subject!r} any more.")
    try:
        if library.parts.is_listed and row.source == "multipart":
            parts = library.parts.there(row.id)
            _require_whole(row, parts)  # they may have been replaced since they were complete
        finish = _prepare(library, row, parts)
    except PinakesError as error:
        if error.code == "UNAVAILABLE":
            raise
        give_up(library, job, error.message)
        return
    with library.store.write(job.owner, beside=row.kind != "model") as tx:
        tx.jobs.finish(job)
        finish(tx, job.owner)
        tx.uploads.forget_parts(job.owner, row.number)
    library.parts.delete(row.id)


def give_up(library: Library, job: Job, reason: str) -> None:
    """End an upload that nothing will come of, and let go of its parts."""
    with library.store.write(job.owner, beside=True) as tx:
        tx.jobs.finish(job)
        row = tx.uploads.find(job.owner, job.subject)
        if row is not None:
            failed = msgspec.structs.replace(row, status="failed", error_message=reason, updated_at=ids.now())
            tx.uploads.set_status(job.owner, failed)
            tx.uploads.forget_parts(job.owner, row.number)
    library.parts.delete(job.subject)


def _prepare(library: Library, row: FoundUpload, parts: list[StoredPart]) -> Callable[[Tx, int], None]:
    """All of an import but its transaction, which is what is returned."""
    if row.url is not None and not parts:
        row, parts = _fetch(library, row, row.url)
    hasher = ModelHasher()
    sha256 = library.parts.join(row.id, parts, look=hasher.update if row.kind == "model" else None)
    if row.sha256 is not None and row.sha256 != sha256:
        raise errors.bad_request("sha256", f"the file that arrived has {sha256}, not {row.sha256}; send it again")
    size = sum(part.size for part in parts)
    if row.kind == "model":
        asset_bytes.confirm(library, sha256)
        examined = model_files.examine(library, sha256, row.file_name)
        model = model_files.prepare(library, examined, hasher.result(), row.file_name, size)
        return lambda tx, owner: _import_model(library, tx, owner, row, model)
    asset_bytes.confirm(library, sha256)
    with library.blobs.local_file(sha256, partial(library.media.needed, row.file_name)) as path:
        examined = library.media.examine_file("file", path, row.file_name)
    _require_kind(row, examined)
    stored = asset_bytes.keep(library, sha256, size, examined)
    return lambda tx, owner: _import_asset(library, tx, owner, row, stored)


def _import_model(library: Library, tx: Tx, owner: int, row: FoundUpload, new: NewModelFile) -> None:
    library.blobs.require(new.file.sha256)
    if new.picture is not None:
        library.blobs.require(new.picture.sha256)
    now = ids.now()
    model = model_files.insert(tx, owner, row.author_id, new, now)
    _set_imported(tx, owner, row, new.file.size, model.id, now)


def _import_asset(library: Library, tx: Tx, owner: int, row: FoundUpload, stored: Bytes) -> None:
    """Collections and a parent that were deleted while the file was on its way are as if deleted after it."""
    library.blobs.require(stored.sha256)
    options = row.options
    parent_id = options.parent_id or None
    new = NewAsset(
        name=row.file_name,
        image="",
        parent_id=parent_id if parent_id and tx.assets.find(owner, parent_id) else None,
        hide=options.hide or False,
        collection_ids=sorted(tx.collections.find_many(owner, options.collection_ids or [])),
    )
    now = ids.now()
    asset = assets.insert(tx, owner, row.author_id, new, stored, now)
    _set_imported(tx, owner, row, stored.size, asset.id, now)


def _set_imported(tx: Tx, owner: int, row: FoundUpload, size: int, entity_id: str, now: str) -> None:
    imported = msgspec.structs.replace(row, status="imported", file_size=size, entity_id=entity_id, updated_at=now)
    tx.uploads.set_status(owner, imported)


def _fetch(library: Library, row: FoundUpload, url: str) -> tuple[FoundUpload, list[StoredPart]]:
    """The file at a URL as the one part of its upload, and the upload with what the server of the URL says of it."""
    from pinakes.fetch import fetch  # an HTTP client is not loaded by a server that nobody asks to fetch

    config, free = library.config, library.parts.free_bytes()
    most = config.max_file_bytes if free is None else min(config.max_file_bytes, free)
    writer = library.parts.begin(row.id, 1, most)
    fetched = fetch(
        url,
        writer.write,
        max_bytes=most,
        time_limit_s=config.fetch_time_limit_s,
        private_hosts=config.fetch_private_hosts,
    )
    row = msgspec.structs.replace(
        row,
        file_name=row.file_name or fetched.file_name,
        content_type=row.content_type or fetched.content_type,
    )
    return row, [writer.finish()]


def _check(library: Library, actor: Actor, new: NewUpload) -> None:
    for field, value in (
        ("civitaiModelUrl", new.civitai_model_url),
        ("huggingFaceModelName", new.hugging_face_model_name),
    ):
        if value is not UNSET:
            raise errors.bad_request(field, "this server asks no other service; give the file's own address as url")
    if new.kind is UNSET:
        raise errors.bad_request("kind", "this field is required")
    if new.file_name is not UNSET:
        text.check_name("fileName", new.file_name)
    if new.kind == "model":
        access.require(actor, "models.write")
        if new.asset_options is not UNSET:
            raise errors.bad_request("assetOptions", "a model is no asset; add it to collections once it is imported")
    if new.url is UNSET:
        _check_parts(library, new)
    elif new.parts is not UNSET:
        raise errors.bad_request("parts", "a file is either sent in parts or fetched from its url")


def _check_parts(library: Library, new: NewUpload) -> None:
    for field, value in (("fileName", new.file_name), ("fileSize", new.file_size), ("parts", new.parts)):
        if value is UNSET:
            raise errors.bad_request(field, "this field is required for a file in parts (else give a url)")
        if isinstance(value, float):
            text.whole(field, value)
    size, most = new.file_size or 0, library.config.max_file_bytes
    if size > most:
        raise PinakesError(
            "PAYLOAD_TOO_LARGE", f"fileSize: {size:.0f} bytes; the server takes {most}.", field="fileSize"
        )
    free = library.parts.free_bytes()
    if free is not None and size > free:
        raise PinakesError("UNAVAILABLE", f"fileSize: the disk of the server has {free} bytes left.", field="fileSize")
    if (new.parts or 0) > size:
        raise errors.bad_request("parts", f"{size:.0f} bytes cannot be sent in {new.parts:.0f} parts")


def _require_whole(row: FoundUpload, parts: list[StoredPart]) -> None:
    there = {part.number for part in parts}
    missing = [number for number in range(1, (row.parts_count or 0) + 1) if number not in there]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
        raise errors.bad_request("parts", f"these are not there yet: {shown}", missing=missing)
    size = sum(part.size for part in parts)
    if size != row.file_size:
        raise errors.bad_request(
            "fileSize", f"the parts have {size} bytes in all, not {row.file_size}; send them again"
        )


def _require_kind(row: FoundUpload, examined: Examined) -> None:
    may_be = _MAY_BE.get(row.kind)
    if may_be is not None and examined.kind not in may_be:
        raise errors.bad_request("kind", f"the file is {examined.mime_type}, which is no {row.kind}")


def _found(tx: Tx, owner: int, id: str) -> FoundUpload:
    row = tx.uploads.find(owner, id)
    if row is None:
        raise errors.not_found("upload", id)
    return row


def _sender(row: FoundUpload) -> frozenset[str]:
    """The scopes of whoever may send an upload."""
    return _MODEL_SENDER if row.kind == "model" else _SENDER


def _pending(tx: Tx, project_id: str, id: str) -> tuple[int, FoundUpload]:
    owner = tx.uploads.owner_of(project_id)
    row = None if owner is None else tx.uploads.find(owner, id)
    if owner is None or row is None:
        raise errors.not_found("upload", id)
    if row.status != "pending" or row.source != "multipart":
        raise errors.bad_request("upload", f"it is {row.status} and takes no more parts")
    return owner, row


def show(library: Library, actor: Actor, row: FoundUpload, parts: list[StoredPart]) -> Upload:
    """A stored upload as it is sent."""
    is_open = row.status == "pending" and row.source == "multipart" and actor.scopes >= _sender(row)
    return Upload(
        id=row.id,
        owner_id=actor.project_id,
        author_id=row.author_id,
        kind=row.kind,
        source=row.source,
        status=row.status,
        file_name=row.file_name,
        original_file_name=row.file_name,
        created_at=row.created_at,
        updated_at=row.updated_at,
        content_type=row.content_type or UNSET,
        file_size=row.file_size or UNSET,
        parts_count=row.parts_count or UNSET,
        parts=_links(library, actor, row, parts) if is_open else UNSET,
        url=row.url or UNSET,
        asset_options=UNSET if row.kind == "model" else row.options,
        entity_id=row.entity_id or UNSET,
        error_message=UNSET if row.error_message is None else row.error_message,
    )


def _with_listed(library: Library, row: FoundUpload, noted: list[StoredPart]) -> list[StoredPart]:
    """What is known of the parts that are there: with their hashes where they can only have come through us."""
    if row.status != "pending" or row.source != "multipart" or not library.parts.is_listed:
        return noted
    if library.config.blob_links == "direct":
        return library.parts.there(row.id)
    known = {(part.number, part.size): part for part in noted}
    return [known.get((part.number, part.size), part) for part in library.parts.there(row.id)]


def _links(library: Library, actor: Actor, row: FoundUpload, parts: list[StoredPart]) -> list[UploadPart]:
    there, count = {part.number: part for part in parts}, row.parts_count or 0
    links = library.parts.links(row.id, count, library.config.link_lifetime_s)
    found = []
    for number in range(1, count + 1):
        if links is None:
            url = library.links.make(actor.origin, part_path(actor.project_id, row.id, number))
            expires = _time_of(expiry_of(url))
        else:
            url, expires = links[number - 1].url, _time_of(str(links[number - 1].expires))
        part = there.get(number)
        if part is None:
            found.append(UploadPart(number, url, expires))
        else:
            found.append(UploadPart(number, url, expires, part.size, part.sha256 or UNSET, part.etag or UNSET))
    return found


@functools.lru_cache(maxsize=8)
def _time_of(seconds: str) -> str:
    """A time as it is sent. There may be ten thousand links, nearly all of which end at the same."""
    return ids.iso(int(seconds) * 1000)
