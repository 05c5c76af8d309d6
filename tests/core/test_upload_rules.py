"""Uploads by those who may not send them, parts that replace others, and parts that lay about for long."""

import os
import time
from pathlib import Path

import pytest
from conftest import Clock, make_png, new_actor
from msgspec import UNSET

from pinakes import upkeep, uploads
from pinakes.access import Actor
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.local.blobs import LocalBlobs
from pinakes.media import Media
from pinakes.store.jobs import Job
from pinakes.upload_types import FoundUpload, NewUpload, StoredPart, UploadKind


def begin(library: Library, actor: Actor, size: int, parts: int = 1, kind: UploadKind = "asset") -> FoundUpload:
    new = NewUpload(kind=kind, file_name="a", file_size=float(size), parts=float(parts))
    return uploads.create(library, actor, new)


def store(library: Library, upload: FoundUpload, data: bytes, number: int = 1) -> StoredPart:
    writer = library.parts.begin(upload.id, number)
    writer.write(data)
    return writer.finish()


def send(library: Library, actor: Actor, upload: FoundUpload, data: bytes, number: int = 1) -> StoredPart | None:
    """The part that this one replaces."""
    return uploads.add_part(library, actor.project_id, upload.id, store(library, upload, data, number))


def files(library: Library, upload: FoundUpload) -> set[str]:
    """What lies in the folder of an upload."""
    return {path.name for path in Path(library.config.data, "blobs", "uploads", upload.id).glob("*")}


def completed(library: Library, actor: Actor, upload: FoundUpload) -> Job:
    """The job of an upload that is complete now."""
    uploads.complete(library, actor, upload.id)
    with library.store.write() as tx:
        job = tx.jobs.claim()
    assert job is not None
    return job


def test_who_may_only_read_gets_no_links_to_write(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 10)
    reader = new_actor(library, "reader", admin.project_id)
    seen = uploads.get(library, reader, upload.id)
    assert (seen.status, seen.parts_count, seen.parts) == ("pending", 1, UNSET)


def test_models_are_sent_by_those_who_may_write_models(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 10, kind="model")
    send(library, admin, upload, bytes(10))
    helper = new_actor(library, "assets.read;assets.write", admin.project_id)
    assert uploads.get(library, helper, upload.id).parts is UNSET
    with pytest.raises(PinakesError, match=r"models\.write"):
        uploads.complete(library, helper, upload.id)
    assert uploads.complete(library, admin, upload.id).status == "validating"


def test_a_part_that_was_replaced_is_dropped(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 8, 2)
    first = store(library, upload, b"aaaa")
    assert uploads.add_part(library, admin.project_id, upload.id, first) is None
    assert send(library, admin, upload, b"aaaa") is None  # the same again
    assert send(library, admin, upload, b"bbbb") == first
    uploads.drop_part(library, admin.project_id, upload.id, first)
    assert len(files(library, upload)) == 1


def test_a_part_that_is_in_use_again_is_not_dropped(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 4)
    for data in (b"aaaa", b"bbbb"):
        replaced = send(library, admin, upload, data)
    assert replaced is not None
    assert send(library, admin, upload, b"aaaa") is not None
    uploads.drop_part(library, admin.project_id, upload.id, replaced)
    assert library.parts.lost(upload.id, [replaced]) == []


def test_a_part_that_was_dropped_before_it_is_noted_is_sent_again(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 4)
    part = store(library, upload, b"aaaa")
    uploads.drop_part(library, admin.project_id, upload.id, part)
    with pytest.raises(PinakesError) as caught:
        uploads.add_part(library, admin.project_id, upload.id, part)
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_part_that_lay_about_is_not_swept_while_it_is_imported(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch, is_interrupted: bool
) -> None:
    """A single part becomes the blob by a rename, which keeps its age."""
    data = make_png(7, 7)
    upload = begin(library, admin, len(data))
    part = store(library, upload, data)
    uploads.add_part(library, admin.project_id, upload.id, part)
    job = completed(library, admin, upload)
    if is_interrupted:
        library.parts.join(upload.id, [part])
    folder, days_ago = Path(library.config.data, "blobs"), time.time() - 3 * 86_400
    (found,) = (path for path in folder.rglob(f"*{part.sha256}") if path.is_file())
    os.utime(found, (days_ago, days_ago))
    look = Media.examine_file

    def swept_first(media: Media, *args: str) -> object:
        upkeep.sweep(library)
        return look(media, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Media, "examine_file", swept_first)
    uploads.settle(library, job)
    assert uploads.get(library, admin, upload.id).status == "imported"


@pytest.mark.parametrize("at", ["touch", "sync"])
def test_two_workers_that_import_the_same_upload_do_not_fail_each_other(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A process that stood still for longer than its lease goes on beside the one that took the job up."""
    upload = begin(library, admin, 4)
    part = store(library, upload, b"aaaa")
    uploads.add_part(library, admin.project_id, upload.id, part)
    job = completed(library, admin, upload)
    real = getattr(LocalBlobs, at)

    def overtaken(blobs: LocalBlobs, key: str) -> None:
        monkeypatch.undo()
        library.parts.join(upload.id, [part])
        real(blobs, key)

    monkeypatch.setattr(LocalBlobs, at, overtaken)
    uploads.settle(library, job)
    assert uploads.get(library, admin, upload.id).status == "imported"


def test_a_part_that_is_let_go_of_leaves_no_file(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 10)
    writer = library.parts.begin(upload.id, 1)
    writer.write(b"half")
    assert len(files(library, upload)) == 1
    del writer
    assert files(library, upload) == set()


def test_a_part_that_outlives_its_upload_fails_and_leaves_nothing(library: Library, admin: Actor) -> None:
    upload = begin(library, admin, 10)
    writer = library.parts.begin(upload.id, 1)
    writer.write(b"0123456789")
    library.parts.delete(upload.id)
    with pytest.raises(PinakesError, match="send it again") as caught:
        writer.finish()
    assert caught.value.code == "UNAVAILABLE"
    assert not Path(library.config.data, "blobs", "uploads", upload.id).exists()


def test_what_was_abandoned_leaves_no_folder(library: Library, admin: Actor, config: Config, clock: Clock) -> None:
    upload = begin(library, admin, 10)
    library.parts.begin(upload.id, 1).write(bytes(4 << 20))  # and let go of
    folder = Path(library.config.data, "blobs", "uploads", upload.id)
    assert folder.is_dir()
    clock.move(days=config.upload_days)
    assert upkeep.sweep(library).uploads == 1
    assert not folder.exists()


def test_a_file_larger_than_the_disk_is_not_joined(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the disk is for the database."""
    upload = begin(library, admin, 8, 2)
    for number in (1, 2):
        send(library, admin, upload, b"aaaa", number)
    job = completed(library, admin, upload)
    monkeypatch.setattr(type(library.parts), "free_bytes", lambda _: 7)
    with pytest.raises(PinakesError, match="disk") as caught:
        uploads.settle(library, job)
    assert caught.value.code == "UNAVAILABLE"
    monkeypatch.undo()
    uploads.settle(library, job)
    assert uploads.get(library, admin, upload.id).status == "imported"
