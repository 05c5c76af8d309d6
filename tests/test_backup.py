"""A backup taken while others write restores to a sound library, and one that fails leaves nothing."""

import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from archives import members, refusal, upload

from pinakes import assets, collections, upkeep
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.blobs import blob_key, thumbnail_key
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.transfer import backup as backups
from pinakes.transfer.backup import DATABASE, MANIFEST, backup
from pinakes.transfer.restore import restore


def test_the_report_counts_what_is_in_the_file(library: Library, admin: Actor, tmp_path: Path) -> None:
    for grey in range(2):
        upload(library, admin, grey)
    seen: list[tuple[int, int]] = []
    report = backup(library, tmp_path / "b.tar", lambda done, total: seen.append((done, total)))
    assert (report.blobs, report.thumbnails, report.absent, seen) == (2, 6, [], [(2, 2)])
    assert report.size == (tmp_path / "b.tar").stat().st_size
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    names = [info.name for info, _ in members(tmp_path / "b.tar")]
    assert (names[0], names[-1], len(names)) == (DATABASE, MANIFEST, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data"]


def test_an_empty_library_can_be_backed_up(library: Library, target: Config, tmp_path: Path) -> None:
    backup(library, tmp_path / "b.tar")
    assert restore(tmp_path / "b.tar", target).blobs == 0
    open_library(target, create=False).close()


def test_a_backup_during_writes_is_of_one_moment(
    library: Library, admin: Actor, target: Config, tmp_path: Path
) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    ending = threading.Event()

    def write(start: int) -> None:
        grey = start
        while not ending.is_set():
            upload(library, admin, grey % 250, [shelf])
            grey += 1
            oldest = assets.get_page(library, admin, AssetFilter(is_ascending=True)).items[0].id
            if grey % 3 == 0:
                assets.delete(library, admin, [oldest])

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100)]
    for thread in threads:
        thread.start()
    try:
        reports = [backup(library, tmp_path / f"{n}.tar") for n in range(5)]
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert [report.absent for report in reports] == [[]] * 5
    for n in range(5):
        config = Config(data=f"{target.data}{n}")
        assert restore(tmp_path / f"{n}.tar", config).findings == []
        with closing(open_library(config, create=False)) as restored:
            assert upkeep.check(restored) == []


def test_bytes_are_held_while_they_are_read(
    library: Library, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep beside the backup deletes the row but leaves the bytes; the hold is renewed as time goes by."""
    monkeypatch.setattr(backups, "_RENEW_S", -1.0)
    monkeypatch.setattr(backups, "_SHOW_EVERY", 1)
    for grey in range(3):
        stored = upload(library, admin, grey)
        os.utime(Path(library.config.data, "blobs", blob_key(stored.sha256)), (0, 0))

    def sweep(_done: int, _total: int) -> None:
        ids = [item.id for item in assets.get_page(library, admin, AssetFilter()).items]
        if ids:
            assets.delete(library, admin, ids)
        with library.store.write() as tx:
            tx.upkeep.purge("asset", admin.owner, "3000", 10, 100)
        assert upkeep.sweep(library).blobs == 0

    assert backup(library, tmp_path / "b.tar", sweep).blobs == 3


def test_lost_bytes_are_named_and_the_rest_is_saved(
    library: Library, admin: Actor, target: Config, tmp_path: Path
) -> None:
    missing, changed, bare, _whole = (upload(library, admin, grey) for grey in range(4))
    folder = Path(library.config.data, "blobs")
    (folder / blob_key(missing.sha256)).unlink()
    (folder / blob_key(changed.sha256)).write_bytes(b"changed")
    (folder / thumbnail_key(bare.sha256, 256)).unlink()
    report = backup(library, tmp_path / "b.tar")
    assert sorted(report.absent) == sorted([missing.sha256, changed.sha256])
    findings = restore(tmp_path / "b.tar", target).findings
    assert sorted(finding.code for finding in findings) == ["blob-missing", "blob-missing", "thumbnail-file-missing"]


def test_a_backup_overwrites_nothing_and_leaves_nothing_when_it_fails(
    library: Library, admin: Actor, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    assert "exists" in refusal(lambda: backup(library, file))
    assert file.read_bytes() == before
    assert "no folder" in refusal(lambda: backup(library, tmp_path / "none" / "b.tar"))

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(PinakesError, match="No space left") as caught:
        backup(library, tmp_path / "b.tar")
    assert caught.value.code == "UNAVAILABLE"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]
    assert admin.project_id


def test_a_second_backup_to_the_same_file_is_refused_and_harms_nothing(
    library: Library, admin: Actor, target: Config, tmp_path: Path
) -> None:
    upload(library, admin, 1)
    file, modes = tmp_path / "b.tar", []

    def begin_another(_done: int, _total: int) -> None:
        modes.append((tmp_path / "b.tar.part").stat().st_mode & 0o777)
        assert "under way" in refusal(lambda: backup(library, file))

    backup(library, file, begin_another)
    assert modes == [0o600]
    assert restore(file, target).blobs == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data", "restored"]


def test_what_somebody_put_in_the_way_of_a_backup_is_not_written_to(library: Library, tmp_path: Path) -> None:
    part = tmp_path / "b.tar.part"
    part.symlink_to(tmp_path / "elsewhere")
    assert "b.tar.part' exists" in refusal(lambda: backup(library, tmp_path / "b.tar"))
    assert part.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_blob_store_that_does_not_answer_ends_the_backup(
    library: Library, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(library, admin, 1)

    def fail(_blobs: object, _key: str) -> bytes:
        raise PinakesError("UNAVAILABLE", "no answer")

    monkeypatch.setattr(type(library.blobs), "read", fail)
    with pytest.raises(PinakesError, match="no answer"):
        backup(library, tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
