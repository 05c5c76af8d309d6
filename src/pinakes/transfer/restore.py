"""A backup back into an empty data folder, or an empty PostgreSQL database: all of it or nothing.

The archive is taken for hostile. Everything is unpacked into a folder within the folder where it belongs, or into an
empty bucket, and checked there. The rows come last: until the database file is moved, or what was copied from it is
committed, there is no library.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import apsw
import msgspec

from pinakes import ids, upkeep
from pinakes.blob_urls import folder_of, open_blobs
from pinakes.blobs import CHUNK, Blobs, store_errors
from pinakes.config import Config
from pinakes.errors import PinakesError, bad_request
from pinakes.store import Tx
from pinakes.store.portable import copy_all
from pinakes.store.sqlite import SqliteStore, create_or_upgrade, is_created
from pinakes.transfer.backup import DATABASE, FORMAT, HASH_RECORD, MANIFEST, Manifest, copy_hashed, sync_folder
from pinakes.upkeep import Finding, Progress

_STAGING = ".restoring"
_MARK = "restoring"
"""An object beside the blobs for as long as they are unpacked: what is there with it, nobody refers to."""
_PREFIXES = ("blobs", "thumbnails", "uploads")
# What a new volume or a careful admin may have put there before.
_MAY_BE_THERE = {_STAGING, "pinakes.toml", "lost+found"}
# All that reading a broken or hostile tar has been seen to raise, beside running out of memory for a size it claims.
_UNREADABLE = (tarfile.TarError, ValueError, EOFError, OverflowError, MemoryError)


class RestoreReport(msgspec.Struct, frozen=True, rename="camel"):
    """What was restored. `findings` are of the quick check at the end: what was wrong when the backup was made."""

    blobs: int
    thumbnails: int
    findings: list[Finding]


def restore(file: Path, config: Config, progress: Progress | None = None) -> RestoreReport:
    """Make the library of a backup; `progress` gets the bytes of the file that were read, and all.

    BAD_REQUEST, with nothing left behind, for a folder, bucket or database that is not empty and for a file that is no
    whole backup.
    """
    data = Path(config.data)
    try:
        with _unpacking(config, data) as (rows, blobs, settle):
            report = _unpack(file, rows / DATABASE, blobs, progress or _show_nothing)
            if config.is_postgres:
                with _copied(rows / DATABASE, config):
                    settle()
                (rows / DATABASE).unlink()
            else:
                settle()
                _move(rows, data)
    except OSError as error:
        raise PinakesError("UNAVAILABLE", f"The backup cannot be restored: {error}") from error
    return report


@contextmanager
def _unpacking(config: Config, data: Path) -> Iterator[tuple[Path, Blobs, Callable[[], None]]]:
    """A folder for the database, where the bytes go, and what makes these bytes those of the library."""
    if config.is_postgres:
        with _empty_database(config):
            pass
    elif config.database_url:
        raise bad_request("database_url", "a backup is restored into a data folder or a PostgreSQL database")
    folder = folder_of(config.blob_url) if config.blob_url else Path(data, "blobs")
    if folder is not None:
        _require_empty_folder("blob_url" if config.blob_url else "data", folder, set())
    _require_empty_folder("data", data, set() if config.blob_url or folder is None else {folder.name})
    if folder is not None:
        with _staging(data) as rows, _staging(folder) as files:
            yield rows, open_blobs(files.absolute().as_uri()), partial(_move, files, folder)
    elif config.blob_url.startswith("memory:"):
        raise bad_request("blob_url", "a backup is restored to where it stays: a folder or an object store")
    else:
        blobs = open_blobs(config.blob_url)
        with _staging(data) as rows, _filling(blobs):
            yield rows, blobs, partial(blobs.remove, _MARK)


@contextmanager
def _filling(blobs: Blobs) -> Iterator[None]:
    """A bucket with nothing of ours in it yet. An error leaves nothing there either."""
    is_marked = _MARK in [meta["path"] for meta in blobs.store.list_with_delimiter()["objects"]]
    if is_marked:
        _empty(blobs)  # of a restore that was killed
    if there := next((path for prefix in _PREFIXES for path, _, _ in blobs.paths(prefix)), None):
        raise bad_request("blob_url", f"it is not empty: it holds {there!r}; name another prefix")
    with store_errors():
        blobs.store.put(_MARK, b"", use_multipart=False)
    try:
        yield
    except BaseException:
        _empty(blobs)
        raise


def _empty(blobs: Blobs) -> None:
    for prefix in _PREFIXES:
        for path, _, _ in blobs.paths(prefix):
            blobs.remove(path)
    blobs.remove(_MARK)


@contextmanager
def _empty_database(config: Config) -> Iterator[Tx]:
    """A transaction on a database that holds no library."""
    from pinakes.store import postgres, postgres_schema

    postgres_schema.create_or_upgrade(config.database_url)
    with closing(postgres.open_store(config)) as store, store.fill() as tx:
        if tx.upkeep.closed() or not tx.rows.is_empty():
            raise bad_request("database_url", "this database holds a library; name an empty one")
        yield tx


@contextmanager
def _copied(file: Path, config: Config) -> Iterator[None]:
    """All rows of a database file are in a database when this ends without an error."""
    with closing(SqliteStore(file)) as store, store.read() as found, _empty_database(config) as tx:
        copy_all(found, tx)
        tx.rows.settle()
        yield


def _require_empty_folder(field: str, folder: Path, known: set[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise bad_request(field, f"{str(folder)!r} is not a folder")
    if found := sorted({path.name for path in folder.iterdir()} - _MAY_BE_THERE - known):
        raise bad_request(field, f"{str(folder)!r} is not empty: it holds {found[0]!r}")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """An empty folder within another, which is made when it does not exist. An error leaves nothing of either."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    staging = folder / _STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)  # of a restore that was killed
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in new:
            sync_folder(path.parent)
        staging.mkdir(mode=0o700)
        yield staging
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise
    staging.rmdir()


def _unpack(file: Path, database: Path, blobs: Blobs, progress: Progress) -> RestoreReport:
    counts = {"blobs": 0, "thumbnails": 0}
    with _open(file) as source:
        members = _members(source, progress)
        for info, content in members:
            if info.name == MANIFEST:
                manifest = _read_manifest(content.read(), 1 + sum(counts.values()))
                break
            if database.exists() == (info.name == DATABASE):
                raise _damaged(f"{info.name!r} is not where it belongs")
            if info.name == DATABASE:
                _unpack_database(info, content, database)
            else:
                counts[_unpack_bytes(info, content, blobs)] += 1
        else:
            raise _damaged("it ends before its manifest")
        if next(members, None) is not None:
            raise _damaged("it goes on after its manifest")
    findings = _check(database, blobs)
    if sum(finding.code == "blob-missing" for finding in findings) > len(manifest.absent):
        raise _damaged("files are missing in it")
    return RestoreReport(counts["blobs"], counts["thumbnails"], findings)


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise bad_request("FILE", f"cannot read {str(file)!r}: {error.strerror}") from error


def _members(source: BinaryIO, progress: Progress) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Plain files with names that were not there yet, and what they hold."""
    size, seen = os.fstat(source.fileno()).st_size, set()
    try:
        with tarfile.open(fileobj=source, mode="r:") as archive:
            for info in archive:
                if info.type != tarfile.REGTYPE or info.sparse is not None:
                    raise _damaged(f"{info.name!r} is not a plain file")
                if info.name in seen:
                    raise _damaged(f"{info.name!r} is in it twice")
                if info.size < 0 or info.offset_data + info.size > size:
                    raise _damaged("it is cut short")
                seen.add(info.name)
                yield info, archive.extractfile(info)  # type: ignore[misc]  # a plain file has contents
                progress(info.offset_data + info.size, size)
    except _UNREADABLE as error:
        raise _damaged(str(error)) from error


def _unpack_database(info: tarfile.TarInfo, content: BinaryIO, path: Path) -> None:
    with path.open("xb") as target:
        if copy_hashed(content, target) != info.pax_headers.get(HASH_RECORD):
            raise _damaged("the database does not have its hash")
        target.flush()
        os.fsync(target.fileno())


def _unpack_bytes(info: tarfile.TarInfo, content: BinaryIO, blobs: Blobs) -> str:
    """Store a blob or a thumbnail; which of them it is. `Blobs.write` refuses any name that is not exactly a key."""
    kind, _, rest = info.name.partition("/")
    expected = rest.rpartition("/")[2] if kind == "blobs" else info.pax_headers.get(HASH_RECORD)
    try:
        sha256 = blobs.write_stream(info.name, iter(lambda: content.read(CHUNK), b""), info.size)
    except PinakesError as error:
        if error.code == "BAD_REQUEST":
            raise _damaged(f"{info.name!r} is no name that a backup holds") from error
        raise
    if sha256 != expected:
        raise _damaged(f"{info.name!r} does not have its hash")
    return kind


def _read_manifest(data: bytes, members: int) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise _damaged(f"its manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise _damaged(f"its format is {manifest.format!r}, this version reads {FORMAT!r}")
    if manifest.members != members:
        raise _damaged(f"its manifest states {manifest.members} files, it holds {members}")
    return manifest


def _check(database: Path, blobs: Blobs) -> list[Finding]:
    if not database.exists() or not is_created(database):
        raise _damaged("its database is empty")
    try:
        create_or_upgrade(database)
        with closing(SqliteStore(database)) as store:
            with store.write() as tx:
                tx.uploads.abandon("its parts are in no backup; send the file again", ids.now())
            findings = upkeep.check_parts(store, blobs, is_quick=True)
    except apsw.Error as error:
        raise _damaged(f"its database is not one of ours: {error}") from error
    if any(finding.code == "database" for finding in findings):
        raise _damaged(f"its database is damaged: {findings[0].message}")
    return findings


def _move(staging: Path, folder: Path) -> None:
    for path in staging.iterdir():
        path.rename(folder / path.name)
    sync_folder(folder)


def _show_nothing(_done: int, _total: int) -> None:
    return


def _damaged(what: str) -> PinakesError:
    return bad_request("FILE", f"this is not a whole backup: {what}")
