"""The bytes of assets: of pictures decoded while their upload waits, of others looked into by the worker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pinakes import data_urls, errors, ids, ingredients, text
from pinakes.access import Actor, needs
from pinakes.asset_types import Bytes, FoundAsset
from pinakes.assets import NewAsset
from pinakes.errors import PinakesError

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.media import Examined
    from pinakes.store.jobs import Job

IN_SWEEP = "blobs_in_sweep"
"""The setting that a sweep makes: until which time it deletes bytes, and their hashes."""

_CHECKED_MIME = {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/tiff"}


@needs("assets.write")
def store(library: Library, actor: Actor, new: NewAsset) -> Bytes:  # noqa: ARG001 - `needs` looks at the actor
    """The slow half of an upload: decode, examine, make thumbnails, store. Needs no transaction and holds none.

    Pictures are looked into at once; what takes longer is left to `settle`. BAD_REQUEST naming `name` or `image` for
    anything that cannot be an asset. Bytes whose asset is then not created stay behind unreferenced until they are
    swept.
    """
    text.check_name("name", new.name)
    data, declared = data_urls.decode("image", new.image)
    if len(data) > library.config.max_upload_bytes:
        limit = library.config.max_upload_bytes
        raise PinakesError("PAYLOAD_TOO_LARGE", f"image: {len(data)} bytes; the server accepts {limit}.", field="image")
    examined = library.media.examine(data, new.name)
    if declared in _CHECKED_MIME and declared != examined.mime_type:
        raise errors.bad_request("image", f"the data URL says {declared} but the bytes are {examined.mime_type}")
    sha256 = library.blobs.put(data)
    confirm(library, sha256)
    return keep(library, sha256, len(data), examined)


def confirm(library: Library, sha256: str) -> None:
    """UNAVAILABLE when a sweep has deleted bytes that were just stored, or may be about to.

    A sweep says what it deletes before it looks at the age of that, and until it is done. Whoever asks in this order,
    after storing bytes, either sees that, or sees that they are gone, or has made them too young for it.
    """
    with library.store.read() as tx:
        until, _, hashes = tx.upkeep.find_setting(IN_SWEEP).partition(" ")
    if (until > ids.now() and sha256 in hashes) or library.blobs.info(sha256) is None:
        raise PinakesError("UNAVAILABLE", "The bytes were swept while they were uploaded; send them again.")


def keep(library: Library, sha256: str, size: int, examined: Examined) -> Bytes:
    """Store the pictures that were made of stored bytes, and say what was learnt of these."""
    library.blobs.put_pictures(sha256, examined.thumbnails, examined.preview)
    return Bytes(
        sha256,
        size,
        examined.kind,
        examined.mime_type,
        examined.format,
        examined.width,
        examined.height,
        examined.frames,
        has_thumbnail=bool(examined.thumbnails),
        has_preview=examined.preview is not None,
        facts=examined.facts,
        generation=examined.generation,
        look=examined.look,
        is_probed=examined.is_probed,
    )


def settle(library: Library, job: Job) -> None:
    """Look into the bytes of a pending asset and end its being pending, with what was found or with what is wrong.

    For the worker. UNAVAILABLE when that cannot be done now, and the job has to be tried again.
    """
    with library.store.glance() as tx:
        row = tx.assets.find_pending(job.owner, job.subject)
    outcome = None if row is None else _look_into(library, row)
    now = ids.now()
    with library.store.write(job.owner, beside=True) as tx:
        tx.jobs.finish(job)
        if row is None or outcome is None:
            return
        if isinstance(outcome, str):
            tx.assets.fail(job.owner, row.number, outcome, now)
        else:
            tx.assets.settle(job.owner, row.number, outcome, now)
            ingredients.link_asset(tx, job.owner, row.number, msgspec.structs.replace(row, bytes=outcome))


def give_up(library: Library, job: Job, reason: str) -> None:
    """End the waiting of an asset that nothing will come of."""
    with library.store.write(job.owner, beside=True) as tx:
        tx.jobs.finish(job)
        row = tx.assets.find_pending(job.owner, job.subject)
        if row is not None:
            tx.assets.fail(job.owner, row.number, reason, ids.now())


def _look_into(library: Library, row: FoundAsset) -> Bytes | str:
    """What the bytes are, or what is wrong with them."""
    data = row.bytes
    try:
        with library.blobs.local_file(data.sha256, partial(library.media.needed, row.name)) as path:
            examined = library.media.examine_file("file", path, row.name)
    except PinakesError as error:
        if error.code == "UNAVAILABLE":
            raise
        return error.message
    return keep(library, data.sha256, data.size, examined)
