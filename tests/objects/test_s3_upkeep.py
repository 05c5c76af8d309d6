"""Looking after a library whose bytes are in S3: check, sweep, backup and restore."""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from archives import refusal, upload
from conftest import DAY_MS, new_actor
from shelves import Shelf, codes, left
from stores import S3

from pinakes import assets, ids, upkeep
from pinakes.access import Actor
from pinakes.asset_types import Bytes
from pinakes.assets import AssetFilter, NewAsset
from pinakes.blob_urls import open_blobs
from pinakes.blobs import blob_key, thumbnail_key
from pinakes.config import Config
from pinakes.library import Library, open_library
from pinakes.objects.blobs import ObjectBlobs, OtherBytes
from pinakes.transfer.backup import backup
from pinakes.transfer.restore import restore
from pinakes.upkeep import SweepReport, check, sweep

pytestmark = pytest.mark.parametrize("blob_kind", ["s3"], indirect=True)


@pytest.fixture
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are old after three seconds, and written anew after one and a half: no store lets us set its clock."""
    monkeypatch.setattr(upkeep, "ORPHAN_AGE_MS", 3000)
    monkeypatch.setattr("pinakes.blobs.REFRESH_AFTER_MS", 1500)


def test_a_sound_library_has_no_findings(library: Library, shelf: Shelf, other: Actor) -> None:
    Shelf(library, other)
    assert check(library) == check(library, is_quick=True) == []
    assets.delete(library, shelf.admin, [shelf.assets[0]])
    assert check(library) == []


def test_damage_is_found(library: Library, shelf: Shelf) -> None:
    blobs, (first, second) = library.blobs, shelf.bytes
    whole = blobs.read(blob_key(first.sha256))
    blobs.write(blob_key(first.sha256), whole[:-1] + b"!")
    blobs.remove(thumbnail_key(first.sha256, 256))
    blobs.remove(blob_key(second.sha256))
    assert sorted(codes(library, is_quick=True)) == ["blob-missing", "thumbnail-file-missing"]
    assert sorted(codes(library)) == ["blob-hash", "blob-missing", "thumbnail-file-missing"]
    blobs.write(blob_key(first.sha256), whole + b"more")
    assert "blob-size" in codes(library, is_quick=True)


@pytest.mark.usefixtures("young")
def test_old_orphans_are_swept_and_nothing_else(library: Library, shelf: Shelf) -> None:
    old = {library.blobs.put(data) for data in (b"one", b"two")}
    time.sleep(3.5)
    recent = library.blobs.put(b"recent")
    assert codes(library) == ["blob-orphan"] * 2
    assert sweep(library) == SweepReport(blobs=2, blob_bytes=6)
    assert (left(library, old), library.blobs.info(recent) is not None) == (set(), True)
    assert codes(library) == []
    assert library.blobs.read(blob_key(shelf.bytes[0].sha256))


def test_thumbnails_go_with_their_blob(library: Library, shelf: Shelf, later: Callable[[float], None]) -> None:
    assets.delete(library, shelf.admin, [shelf.assets[0]])
    later(31)
    assert sweep(library) == SweepReport(assets=1, blobs=1, blob_bytes=shelf.bytes[0].size)
    assert not [path for path, _, _ in library.blobs.paths("thumbnails") if shelf.bytes[0].sha256 in path]
    assert len([path for path, _, _ in library.blobs.paths("thumbnails") if shelf.bytes[1].sha256 in path]) == 3


@pytest.mark.usefixtures("young")
def test_bytes_that_are_stored_again_become_young(library: Library) -> None:
    sha256 = library.blobs.put(b"stored twice")
    time.sleep(3.5)
    assert library.blobs.put(b"stored twice") == sha256
    assert sweep(library) == SweepReport()
    assert library.blobs.info(sha256) is not None


def test_a_file_that_is_not_what_it_was_is_not_stored(library: Library) -> None:
    blobs = library.blobs
    assert isinstance(blobs, ObjectBlobs)
    data = b"x" * (20 << 20)
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(OtherBytes):
        blobs.write_blob(sha256, iter([data[:-1], b"y"]), len(data))
    assert blobs.info(sha256) is None
    blobs.write_blob(sha256, iter([data]), len(data))
    assert blobs.verify(sha256)


@pytest.fixture
def target(s3: S3, tmp_path: Path) -> Config:
    return Config(data=str(tmp_path / "restored"), blob_url=s3.url())


@pytest.fixture
def file(library: Library, admin: Actor, tmp_path: Path) -> Path:
    for grey in range(3):
        upload(library, admin, grey)
    return Path(backup(library, tmp_path / "backup.tar").file)


@pytest.mark.parametrize("to", ["s3", "folder"])
def test_a_library_comes_back_as_it_was(
    library: Library, admin: Actor, file: Path, target: Config, to: str, tmp_path: Path
) -> None:
    config = target if to == "s3" else Config(data=str(tmp_path / "in a folder"))
    report = restore(file, config)
    assert (report.blobs, report.thumbnails, report.findings) == (3, 9, [])
    with closing(open_library(config, create=False)) as restored:
        assert upkeep.check(restored) == []
        page, again = (assets.get_page(one, admin, AssetFilter()) for one in (library, restored))
        assert [item.id for item in page.items] == [item.id for item in again.items]
        assert {info.sha256 for info in library.blobs.all()} == {info.sha256 for info in restored.blobs.all()}
        assert [meta["path"] for meta in restored.blobs.store.list_with_delimiter()["objects"]] == []


def test_a_bucket_that_is_not_empty_is_not_restored_into(library: Library, file: Path, target: Config) -> None:
    config = Config(data=target.data, blob_url=library.config.blob_url)
    assert "blob_url: it is not empty: it holds 'blobs/" in refusal(lambda: restore(file, config))
    assert not Path(target.data).exists()
    assert check(library) == []


def test_a_broken_backup_leaves_nothing_in_the_bucket(file: Path, target: Config) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    assert "not a whole backup" in refusal(lambda: restore(file, target))
    file.write_bytes(whole)
    assert restore(file, target).findings == []


def test_what_a_killed_restore_left_is_no_hindrance(file: Path, target: Config) -> None:
    blobs = open_blobs(target.blob_url)
    blobs.store.put("restoring", b"")
    stray = blobs.put(b"of the restore that was killed")
    assert restore(file, target).blobs == 3
    assert blobs.info(stray) is None


def test_two_processes_share_a_bucket(library: Library, admin: Actor, open_with: Callable[..., Library]) -> None:
    """Two of them on one library: what one stores the other reads, and the same bytes are stored once."""
    second = open_with(library.config)
    data = b"the same bytes"
    stored = Bytes(library.blobs.put(data), len(data), "text", "text/plain", "txt", None, None, 1)
    asset = assets.create(library, admin, NewAsset("a.txt", ""), stored)
    assert second.blobs.read(blob_key(stored.sha256)) == data
    assert second.blobs.put(data) == stored.sha256
    assert assets.get(second, admin, asset.id).properties.size == len(data)
    assert check(second) == []
    assert new_actor(second).project_id != admin.project_id
    assert ids.now_ms() - DAY_MS < next(iter(second.blobs.all())).modified_at_ms
