"""A library as one file, made while it is served: an uncompressed tar that any tool can read.

`pinakes.db` comes first, then `blobs/…` and `thumbnails/…` under the keys of `pinakes.blobs`, and last `manifest.json`,
without which a file is cut short. Members whose name does not hold their hash have it in the PAX record `comment`.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from pinakes import __version__, ids, upkeep
from pinakes.asset_types import THUMBNAIL_SIZES
from pinakes.blobs import CHUNK, Blobs, blob_key, preview_key, thumbnail_key
from pinakes.errors import PinakesError, bad_request
from pinakes.store.sqlite import SqliteStore
from pinakes.upkeep import Progress

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store.upkeep import Reference

DATABASE = "pinakes.db"
MANIFEST = "manifest.json"
HASH_RECORD = "comment"  # the one record that every tar passes over in silence
FORMAT = "pinakes-backup-1"

_HOLD_MS = 600_000
_RENEW_S = 60.0
_BATCH = 1_000
_SHOW_EVERY = 100


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """`members` counts those before the manifest; `absent` are hashes of bytes that were missing or damaged already."""

    format: str
    version: str
    created_at: str
    members: int
    absent: list[str]


class BackupReport(msgspec.Struct, frozen=True, rename="camel"):
    """What went into `file`. `absent` did not: bytes that the library itself has lost, by hash."""

    file: str
    size: int
    blobs: int
    thumbnails: int
    absent: list[str]


def backup(library: Library, file: Path, progress: Progress | None = None) -> BackupReport:
    """Write a library to a new file while others read and write it; `progress` gets blobs done and blobs to do.

    BAD_REQUEST when the file exists, another backup to it is under way or its folder does not exist, UNAVAILABLE when
    it cannot be written; then none is left.
    """
    if not file.parent.is_dir():
        raise bad_request("FILE", f"there is no folder {str(file.parent)!r}")
    try:
        with _new_part(file) as part, tempfile.TemporaryDirectory(prefix=".pinakes-backup-", dir=file.parent) as folder:
            report = _write(library, file, part, Path(folder, DATABASE), progress or _show_nothing)
            part.rename(file)
        sync_folder(file.parent)
    except OSError as error:
        raise PinakesError("UNAVAILABLE", f"The backup cannot be written: {error}") from error
    return report


@contextmanager
def _new_part(file: Path) -> Iterator[Path]:
    """The file to write to, which nobody else has. Gone at the end, unless it was renamed."""
    part = file.with_name(file.name + ".part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL, 0o600))  # it holds what signs links
    except FileExistsError:
        why = "another backup to this file is under way, or was killed; if it was, delete it"
        raise bad_request("FILE", f"{str(part)!r} exists: {why}") from None
    try:
        if os.path.lexists(file):  # looked at only now, or another backup could finish in between
            raise bad_request("FILE", f"{str(file)!r} exists, and a backup overwrites nothing: choose another name")
        yield part
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _write(library: Library, file: Path, part: Path, copy: Path, progress: Progress) -> BackupReport:
    upkeep.hold_blobs(library, _HOLD_MS)
    copy.touch(0o600)
    library.store.backup(str(copy))
    with part.open("wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _add_database(archive, copy)
            blobs, thumbnails, absent = _add_blobs(archive, library, copy, progress)
            manifest = Manifest(FORMAT, __version__, ids.now(), 1 + blobs + thumbnails, absent)
            _add(archive, MANIFEST, msgspec.json.encode(manifest))
        out.flush()
        os.fsync(out.fileno())
        return BackupReport(str(file), out.tell(), blobs, thumbnails, absent)


def _add_blobs(
    archive: tarfile.TarFile, library: Library, copy: Path, progress: Progress
) -> tuple[int, int, list[str]]:
    """How many blobs and thumbnails went in, and which blobs could not."""
    blobs, thumbnails, absent = 0, 0, []
    for done, total, reference in _references(library, copy):
        if _add_blob(archive, library.blobs, reference.sha256):
            blobs += 1
        else:
            absent.append(reference.sha256)
        thumbnails += _add_thumbnails(archive, library.blobs, reference)
        if done % _SHOW_EVERY == 0 or done == total:
            progress(done, total)
    return blobs, thumbnails, absent


def _references(library: Library, copy: Path) -> Iterator[tuple[int, int, Reference]]:
    """What the copy refers to. Keeps renewing the hold on the blobs, so that none is swept away before it is read."""
    done, after, held_at = 0, "", time.monotonic()
    with closing(SqliteStore(copy)) as store, store.survey() as tx:
        total = tx.upkeep.gather()
        while batch := tx.upkeep.references(after, _BATCH):
            for reference in batch:
                if time.monotonic() - held_at > _RENEW_S:
                    upkeep.hold_blobs(library, _HOLD_MS)
                    held_at = time.monotonic()
                done += 1
                yield done, total, reference
            after = batch[-1].sha256


def _add_blob(archive: tarfile.TarFile, blobs: Blobs, sha256: str) -> bool:
    """Whether the bytes went in: they are there and have their hash. Read twice, because they may not fit in memory."""
    try:
        with blobs.local_file(sha256) as path, path.open("rb") as source:
            if hashlib.file_digest(source, "sha256").hexdigest() != sha256:
                return False
            size = source.tell()
            source.seek(0)
            archive.addfile(_member(blob_key(sha256), size, None), source)
            return True
    except PinakesError as error:
        if error.code != "NOT_FOUND":
            raise
        return False


def _add_thumbnails(archive: tarfile.TarFile, blobs: Blobs, reference: Reference) -> int:
    added = 0
    keys = [thumbnail_key(reference.sha256, size) for size in THUMBNAIL_SIZES] if reference.has_thumbnail else []
    keys += [preview_key(reference.sha256)] if reference.has_preview else []
    for key in keys:
        if (data := _read(blobs, key)) is not None:
            _add(archive, key, data, hashlib.sha256(data).hexdigest())
            added += 1
    return added


def _read(blobs: Blobs, key: str) -> bytes | None:
    try:
        return blobs.read(key)
    except PinakesError as error:
        if error.code != "NOT_FOUND":
            raise
        return None


def _add_database(archive: tarfile.TarFile, path: Path) -> None:
    with path.open("rb") as source:
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        archive.addfile(_member(DATABASE, path.stat().st_size, sha256), source)


def _add(archive: tarfile.TarFile, name: str, data: bytes, sha256: str | None = None) -> None:
    archive.addfile(_member(name, len(data), sha256), io.BytesIO(data))


def _member(name: str, size: int, sha256: str | None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, ids.now_ms() // 1000, 0o600
    if sha256 is not None:
        info.pax_headers = {HASH_RECORD: sha256}
    return info


def copy_hashed(source: BinaryIO, target: BinaryIO) -> str:
    """Copy all of a file; the hash of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _show_nothing(_done: int, _total: int) -> None:
    return
