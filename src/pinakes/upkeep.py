"""Keeping a library sound: `check` finds what is wrong and changes nothing, `sweep` removes what nobody can reach.

Both work beside a running server, in memory that does not grow with the library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pinakes import ids
from pinakes.asset_bytes import IN_SWEEP
from pinakes.asset_types import THUMBNAIL_SIZES
from pinakes.errors import PinakesError
from pinakes.listings import Listing, Looked

if TYPE_CHECKING:
    from pinakes.blobs import BlobInfo, Blobs, Unfinished
    from pinakes.library import Library
    from pinakes.store import Store, Tx
    from pinakes.store.upkeep import Newest, Reference, TrashNoun, Use
    from pinakes.upload_types import StoredPart

Progress = Callable[[int, int], None]
Rest = Callable[[float], bool]
T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000
ORPHAN_AGE_MS = DAY_MS
"""Bytes come before the asset that refers to them; younger bytes may be waiting for theirs."""

HELD_UNTIL = "blobs_held_until"
"""The setting that a backup renews: until that time no bytes are swept away under it."""

_RATE_AGE_MS = 60_000
"""What a key used that long ago has come back."""

_BATCH = 10_000
_BLOBS_A_LOOK = 20
_DELETING_MS = 600_000
"""For how long others leave bytes alone that a sweep has begun to delete, and has not said to be through with."""

_ROWS = 500
_DEPENDENTS = 2_000
_SHOW_EVERY = 100
_LEAST_PAUSE_S = 0.005
_NOUNS: tuple[TrashNoun, ...] = ("asset", "model", "collection")


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """Something wrong: `code` names the rule, `subject` the id, hash or name that breaks it."""

    code: str
    project_id: str
    subject: str
    message: str


class SweepReport(msgspec.Struct, frozen=True, rename="camel"):
    """What a sweep removed for good; `blobs` counts unfinished files too, `blob_bytes` is without thumbnails."""

    assets: int = 0
    models: int = 0
    collections: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    uploads: int = 0
    downloads: int = 0


def check(library: Library, *, is_quick: bool = False, progress: Progress | None = None) -> list[Finding]:
    """Compare everything derived with what it derives from. `is_quick` trusts that bytes still have their hash.

    What changes meanwhile is never a finding. `progress` gets how many of how many blobs were looked at.
    """
    found = check_parts(library.store, library.blobs, is_quick=is_quick, progress=progress)
    return found if any(finding.code == "database" for finding in found) else found + _check_uploads(library)


def check_parts(
    store: Store, blobs: Blobs, *, is_quick: bool = False, progress: Progress | None = None
) -> list[Finding]:
    """`check` where there is no library yet, and no file on its way.

    Once the database file itself is damaged, nothing else is looked at.
    """
    with store.survey() as tx:
        damage = [Finding("database", "", "database", message) for message in tx.upkeep.damage(is_quick)]
        if damage:
            return damage
        with tx.upkeep.snapshot():
            findings = [Finding(*row) for row in tx.upkeep.contradictions()]
            total = tx.upkeep.gather()
        findings += _check_references(tx, blobs, is_quick, total, progress or _show_nothing)
        findings += _check_orphans(tx, blobs)
        findings += _check_thumbnails(tx, blobs)
    return findings + [
        Finding("blob-unfinished", "", file.path, f"whoever wrote these {file.size} bytes was killed")
        for files in blobs.unfinished()
        for file in files
        if _is_old(file)
    ]


def _check_uploads(library: Library) -> list[Finding]:
    with library.store.read() as tx:
        noted = _parts_waited_for(tx)
    lost = [
        (project_id, id, part)
        for (project_id, id), group in groupby(sorted(noted, key=_upload_of), key=_upload_of)
        for part in library.parts.lost(id, [part for _, _, part in group])
    ]
    with library.store.read() as tx:
        lost = [found for found in lost if found in _parts_waited_for(tx)]  # its upload may have gone on meanwhile
    findings = [
        Finding("upload-part-missing", project_id, id, f"part {part.number} is missing; send it again")
        for project_id, id, part in lost
    ]
    ages = library.parts.uploads()
    stray = [id for id in _stray_uploads(library.store, ages) if ages[id] < ids.now_ms() - DAY_MS]
    return findings + [Finding("upload-orphan", "", id, "no upload waits for these parts") for id in stray]


def _parts_waited_for(tx: Tx) -> list[tuple[str, str, StoredPart]]:
    """The project and the upload of each."""
    owners = tx.projects.owners().items()
    return [(project_id, *part) for number, project_id in owners for part in tx.uploads.all_parts(number)]


def _upload_of(found: tuple[str, str, StoredPart]) -> tuple[str, str]:
    return found[:2]


def _check_references(tx: Tx, blobs: Blobs, is_quick: bool, total: int, progress: Progress) -> Iterator[Finding]:
    done, after = 0, ""
    listing = None if blobs.is_local else Listing(blobs)
    progress(0, total)
    while batch := tx.upkeep.references(after, _BATCH):
        suspects = []
        if listing is not None:
            listing.advance(batch[-1].sha256)
        for reference in batch:
            if problems(listing or blobs, reference, is_quick):
                suspects.append(reference)
            done += 1
            if done % _SHOW_EVERY == 0 or done == total:
                progress(done, total)
        yield from _confirm(tx, blobs, suspects, is_quick)
        after = batch[-1].sha256


def problems(blobs: Looked, reference: Reference, is_quick: bool) -> dict[str, str]:
    """What is wrong with bytes that assets refer to, by code."""
    sha256 = reference.sha256
    info = blobs.info(sha256)
    if info is None:
        return {"blob-missing": "the bytes are missing"}
    found = {}
    if not reference.least_size == info.size == reference.most_size:
        found["blob-size"] = f"{info.size} bytes are stored, the asset states {reference.most_size}"
    wanted = THUMBNAIL_SIZES if reference.has_thumbnail else ()
    if absent := [size for size in wanted if not blobs.has_thumbnail(sha256, size)]:
        found["thumbnail-file-missing"] = f"thumbnails are missing: {', '.join(map(str, absent))}"
    if reference.has_preview and not blobs.has_preview(sha256):
        found["preview-file-missing"] = "the preview is missing"
    if not is_quick and not _has_hash(blobs, sha256):
        found["blob-hash"] = "the bytes were changed: they no longer have this hash"
    return found


def _has_hash(blobs: Looked, sha256: str) -> bool:
    try:
        return blobs.verify(sha256)
    except PinakesError as error:
        if error.code != "NOT_FOUND":
            raise
        return False  # swept since we saw it, which the second look will tell


def _confirm(tx: Tx, blobs: Blobs, suspects: list[Reference], is_quick: bool) -> Iterator[Finding]:
    """A sweep or an upload may have come between the asset and our look at its bytes.

    The finding holds if the same asset refers to them before and after a second look.
    """
    before = tx.upkeep.users([suspect.sha256 for suspect in suspects])
    second = [(suspect.sha256, problems(blobs, suspect, is_quick)) for suspect in suspects if suspect.sha256 in before]
    after = tx.upkeep.users([sha256 for sha256, found in second if found])
    for sha256, found in second:
        if found and sha256 in after and after[sha256].asset_id == before[sha256].asset_id:
            yield from (_finding(code, sha256, message, after[sha256]) for code, message in found.items())


def _finding(code: str, sha256: str, message: str, use: Use) -> Finding:
    others = f" (so for {use.count - 1} more with the same bytes)" if use.count > 1 else ""
    return Finding(code, use.project_id, use.asset_id, f"{message}{others}: {sha256}")


def _check_orphans(tx: Tx, blobs: Blobs) -> list[Finding]:
    findings = []
    for batch in _old_orphans(tx, blobs.all()):
        now_used = tx.upkeep.users([info.sha256 for info in batch])
        # Asked in this order, because an upload makes its bytes young before it refers to them.
        orphans = [info for info in batch if info.sha256 not in now_used and _is_old(blobs.info(info.sha256))]
        findings += [
            Finding("blob-orphan", "", info.sha256, f"no asset refers to these {info.size} bytes") for info in orphans
        ]
    return findings


def _check_thumbnails(tx: Tx, blobs: Blobs) -> Iterator[Finding]:
    """Thumbnails without a blob. One whose blob is there is of an asset, or goes with the blob, or its asset comes."""
    old = ((key, info) for key, info in blobs.thumbnails() if _is_old(info))
    for batch in _batches(old, _BATCH):
        orphans = set(tx.upkeep.unreferenced([info.sha256 for _, info in batch]))
        suspects = [(key, info) for key, info in batch if info.sha256 in orphans]
        now_used = tx.upkeep.users(list({info.sha256 for _, info in suspects}))
        for key, info in suspects:
            # Asked in this order: an upload stores its bytes before it refers to them, a sweep removes them last.
            if info.sha256 not in now_used and blobs.info(info.sha256) is None and blobs.size(key) is not None:
                yield Finding("thumbnail-orphan", "", key, "no asset and no bytes belong to this thumbnail")


def _old_orphans(tx: Tx, infos: Iterator[BlobInfo]) -> Iterator[list[BlobInfo]]:
    """Blobs that no asset referred to when `gather` looked, and that are old, in batches that are not empty."""
    for batch in _batches((info for info in infos if _is_old(info)), _BATCH):
        orphans = set(tx.upkeep.unreferenced([info.sha256 for info in batch]))
        if orphans:
            yield [info for info in batch if info.sha256 in orphans]


def _is_old(info: BlobInfo | Unfinished | None) -> bool:
    return info is not None and info.modified_at_ms < ids.now_ms() - ORPHAN_AGE_MS


def sweep(library: Library, *, rest: Rest | None = None) -> SweepReport:
    """Delete for good what has been in the trash for longer than `trash_days`, and old bytes no asset refers to.

    Works in short transactions. `rest` is called between them, and while it looks at files, with the seconds to leave
    to others, and ends the sweep by answering True.
    """
    pause = _lasting(rest or _sleep)
    rows = dict.fromkeys(_NOUNS, 0)
    for noun in _NOUNS:
        for deleted in _sweep_rows(library, noun, pause):
            rows[noun] += deleted
    uploads, downloads = sum(_sweep_uploads(library, pause)), sum(_sweep_downloads(library, pause))
    with library.store.transaction() as tx:
        tx.rates.forget(_RATE_AGE_MS)
    blobs = [*_sweep_blobs(library, pause), *_sweep_unfinished(library, pause)]
    return SweepReport(rows["asset"], rows["model"], rows["collection"], len(blobs), sum(blobs), uploads, downloads)


def hold_blobs(library: Library, ms: int) -> None:
    """Keep sweeps from deleting bytes for some time."""
    with library.store.write() as tx:
        tx.upkeep.set_setting(HELD_UNTIL, ids.iso(ids.now_ms() + ms))


def _sweep_rows(library: Library, noun: TrashNoun, pause: Rest) -> Iterator[int]:
    cutoff = library.trash_cutoff()
    for owner in _owners(library, pause, lambda tx, owner: tx.upkeep.is_due(noun, owner, cutoff)):
        is_more = True
        while is_more:
            begun = time.monotonic()
            with library.store.write(owner) as tx:
                purge = tx.upkeep.purge(noun, owner, cutoff, _ROWS, _DEPENDENTS)
            yield purge.deleted
            is_more = purge.found > 0 and not _leave(pause, begun)


def _owners(library: Library, pause: Rest, is_due: Callable[[Tx, int], bool]) -> Iterator[int]:
    """Projects that have something to sweep. Asked one by one: no statement looks into more than one."""
    with library.store.glance() as tx:
        owners = list(tx.projects.owners())
    for owner in _until_told(owners, pause):
        with library.store.glance() as tx:
            is_wanted = is_due(tx, owner)
        if is_wanted:
            yield owner


def _sweep_uploads(library: Library, pause: Rest) -> Iterator[int]:
    """How many uploads were abandoned; then the parts that no upload waits for go."""
    cutoff = ids.iso(ids.now_ms() - library.config.upload_days * DAY_MS)
    for owner in _owners(library, pause, lambda tx, owner: tx.uploads.is_due(owner, cutoff)):
        is_more = True
        while is_more:
            begun = time.monotonic()
            with library.store.write(owner) as tx:
                purged = tx.uploads.purge(owner, cutoff, _ROWS)
            yield len(purged)
            for id in purged:
                library.parts.delete(id)
            is_more = bool(purged) and not _leave(pause, begun)
    for id in _until_told(_stray_uploads(library.store, library.parts.uploads()), pause):
        library.parts.delete(id)


def _sweep_downloads(library: Library, pause: Rest) -> Iterator[int]:
    """How many were forgotten: what was asked for so long ago that the first link to it has ended since."""
    cutoff = ids.iso(ids.now_ms() - 2 * library.config.link_lifetime_s * 1000)
    for owner in _owners(library, pause, lambda tx, owner: tx.downloads.is_due(owner, cutoff)):
        is_more = True
        while is_more:
            begun = time.monotonic()
            with library.store.write(owner, beside=True) as tx:
                forgotten = tx.downloads.expire(owner, cutoff, _ROWS)
            yield forgotten
            is_more = forgotten > 0 and not _leave(pause, begun)


def _stray_uploads(store: Store, there: Iterable[str]) -> list[str]:
    """Those of the uploads that have something lying about which are over, or never were.

    It is looked up after that was found: parts come later than their upload.
    """
    with store.read() as tx:
        owners = tx.projects.owners() if there else ()
        waited_for = {id for owner in owners for id in tx.uploads.pending(owner, list(there))}
    return [id for id in there if id not in waited_for]


def _sweep_blobs(library: Library, pause: Rest) -> Iterator[int]:
    """The sizes of the blobs it deletes."""
    if pause(0):
        return
    with library.store.write() as tx:
        newest = tx.upkeep.newest()  # alone, so that all with smaller numbers are stored, and are gathered
    with library.store.survey() as survey:
        with survey.upkeep.snapshot():
            survey.upkeep.gather()
        for orphans in _old_orphans(survey, _until_told(library.blobs.all(), pause)):
            for batch in _batches(orphans, _BLOBS_A_LOOK):
                begun = time.monotonic()
                deleted = _delete_orphans(library, batch, newest)
                yield from deleted or []
                if deleted is None or _leave(pause, begun):
                    return


def _sweep_unfinished(library: Library, pause: Rest) -> Iterator[int]:
    """The sizes of the files it deletes. Nobody refers to them, so it takes no transaction."""
    for files in _until_told(library.blobs.unfinished(), pause):
        for file in filter(_is_old, files):
            library.blobs.delete_unfinished(file)
            yield file.size


def _delete_orphans(library: Library, orphans: list[BlobInfo], newest: Newest) -> list[int] | None:
    """The sizes of those it deleted. None when a backup holds the blobs, or another sweep is at it.

    A store across the network may take long, so no transaction is open while it deletes. It says beforehand what it
    will delete: whoever stores the same bytes meanwhile looks there (`asset_bytes.confirm`).
    """
    ends = time.monotonic() + _DELETING_MS / 2000
    with library.store.write() as tx:
        if tx.upkeep.find_setting(HELD_UNTIL) > ids.now() or tx.upkeep.find_setting(IN_SWEEP)[:24] > ids.now():
            return None
        used = tx.upkeep.referenced_since(newest, [info.sha256 for info in orphans])
        doomed = [info for info in orphans if info.sha256 not in used]
        until = ids.iso(ids.now_ms() + _DELETING_MS)
        tx.upkeep.set_setting(IN_SWEEP, " ".join([until, *(info.sha256 for info in doomed)]))
    deleted = [info.size for info in doomed if time.monotonic() < ends and _delete_if_old(library, info.sha256)]
    with library.store.write() as tx:
        tx.upkeep.set_setting(IN_SWEEP, "")
    return deleted


def _delete_if_old(library: Library, sha256: str) -> bool:
    """An upload of the same bytes makes them young again, and its asset may be on the way."""
    if not _is_old(library.blobs.info(sha256)):
        return False
    library.blobs.delete(sha256)
    return True


def _lasting(rest: Rest) -> Rest:
    """Once told to end, it is not asked again."""
    is_told = False

    def pause(seconds: float) -> bool:
        nonlocal is_told
        is_told = is_told or rest(seconds)
        return is_told

    return pause


def _until_told(items: Iterable[T], pause: Rest) -> Iterator[T]:
    return takewhile(lambda _: not pause(0), items)


def _leave(pause: Rest, begun: float) -> bool:
    """Leave the writer to others for as long as it was ours."""
    return pause(max(time.monotonic() - begun, _LEAST_PAUSE_S))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _show_nothing(_done: int, _total: int) -> None:
    return


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
