"""A backup taken while others write restores to a sound library; a damaged or hostile one restores to nothing."""

import hashlib
import io
import os
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from conftest import make_png, new_actor

from pinakes import assets, collections, upkeep
from pinakes.access import Actor
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes
from pinakes.assets import AssetFilter, NewAsset
from pinakes.blobs import blob_key, thumbnail_key
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.transfer import backup as backups
from pinakes.transfer.backup import DATABASE, HASH_RECORD, MANIFEST, Manifest, backup
from pinakes.transfer.restore import restore


def upload(library: Library, admin: Actor, grey: int, collection_ids: list[str] | None = None) -> Bytes:
    """An asset with thumbnails, whose files need not be pictures here."""
    data = make_png(grey=grey)
    sha256 = library.blobs.put(data)
    for size in THUMBNAIL_SIZES:
        library.blobs.put_thumbnail(sha256, size, b"webp %d" % size)
    stored = Bytes(sha256, len(data), "image", "image/png", "png", 2, 2, 1)
    assets.create(library, admin, NewAsset("a.png", "", collection_ids=collection_ids or []), stored)
    return stored


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PinakesError) as caught:
        call()
    assert caught.value.code == "BAD_REQUEST", caught.value
    return caught.value.message


@pytest.fixture
def target(tmp_path: Path) -> Config:
    return Config(data=str(tmp_path / "restored"))


@pytest.fixture
def file(library: Library, admin: Actor, tmp_path: Path) -> Path:
    """A backup of three pictures, one of them in the trash."""
    for grey in range(3):
        upload(library, admin, grey)
    first = assets.get_page(library, admin, AssetFilter()).items[0]
    assets.delete(library, admin, [first.id])
    return Path(backup(library, tmp_path / "backup.tar").file)


def members(file: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(file) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def rewrite(file: Path, content: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in content:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))


def assert_refused(file: Path, target: Config, why: str) -> None:
    assert why in refusal(lambda: restore(file, target))
    assert not Path(target.data).exists()


def test_a_library_comes_back_as_it_was(library: Library, admin: Actor, file: Path, target: Config) -> None:
    seen: list[tuple[int, int]] = []
    report = restore(file, target, lambda done, total: seen.append((done, total)))
    assert (report.blobs, report.thumbnails, report.findings) == (3, 9, [])
    assert seen[-1][0] <= seen[-1][1] == file.stat().st_size
    with closing(open_library(target, create=False)) as restored:
        assert upkeep.check(restored) == []
        page, again = (assets.get_page(one, admin, AssetFilter()) for one in (library, restored))
        assert [item.id for item in page.items] == [item.id for item in again.items]
        assert {info.sha256 for info in library.blobs.all()} == {info.sha256 for info in restored.blobs.all()}
        assert page.items[0].url.split("?")[0] == again.items[0].url.split("?")[0]
    assert Path(target.data).stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in Path(target.data).iterdir()) == ["blobs", "pinakes.db"]


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


def test_only_an_empty_data_folder_is_restored_into(library: Library, file: Path, target: Config) -> None:
    assert "not empty" in refusal(lambda: restore(file, library.config))
    data = Path(target.data)
    data.write_text("a file")
    assert "not a folder" in refusal(lambda: restore(file, target))
    data.unlink()
    data.mkdir()
    (data / "notes.txt").touch()
    assert "'notes.txt'" in refusal(lambda: restore(file, target))
    assert [path.name for path in data.iterdir()] == ["notes.txt"]
    assert "database_url" in refusal(lambda: restore(file, Config(database_url="sqlite:///x.db")))


def test_settings_and_remains_of_a_killed_restore_are_no_hindrance(file: Path, target: Config) -> None:
    data = Path(target.data)
    (data / ".restoring" / "blobs").mkdir(parents=True)
    (data / "pinakes.toml").touch()
    restore(file, target)
    assert sorted(path.name for path in data.iterdir()) == ["blobs", "pinakes.db", "pinakes.toml"]


def test_a_folder_that_was_there_stays_after_a_refusal(file: Path, target: Config) -> None:
    Path(target.data).mkdir()
    file.write_bytes(b"no tar")
    refusal(lambda: restore(file, target))
    assert list(Path(target.data).iterdir()) == []


def test_bytes_go_to_the_blob_store_that_is_configured(file: Path, target: Config, tmp_path: Path) -> None:
    config = Config(data=target.data, blob_url=(tmp_path / "elsewhere").as_uri())
    restore(file, config)
    with closing(open_library(config, create=False)) as restored:
        assert upkeep.check(restored) == []
    assert sorted(path.name for path in Path(target.data).iterdir()) == ["pinakes.db"]


def test_a_refused_file_leaves_nothing_in_the_blob_store_that_is_configured(
    file: Path, target: Config, tmp_path: Path
) -> None:
    config = Config(data=target.data, blob_url=(tmp_path / "else where" / "blobs").as_uri())
    content = members(file)
    rewrite(file, content[:-1])
    assert "before its manifest" in refusal(lambda: restore(file, config))
    assert not (tmp_path / "else where" / "blobs").exists()
    (tmp_path / "else where" / "blobs" / ".restoring" / "blobs").mkdir(parents=True)
    assert "before its manifest" in refusal(lambda: restore(file, config))
    assert list((tmp_path / "else where" / "blobs").iterdir()) == []
    assert not Path(target.data).exists()
    rewrite(file, content)
    assert restore(file, config).findings == []
    assert sorted(path.name for path in (tmp_path / "else where" / "blobs").iterdir()) == ["blobs", "thumbnails"]


def test_bytes_are_restored_into_an_empty_folder_only(file: Path, target: Config, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "blobs").mkdir(parents=True)
    config = Config(data=target.data, blob_url=elsewhere.as_uri())
    assert f"blob_url: {str(elsewhere)!r} is not empty" in refusal(lambda: restore(file, config))
    Path(target.data, "blobs", "blobs").mkdir(parents=True)
    assert "not empty" in refusal(lambda: restore(file, target))
    for url in ("memory://", "file://elsewhere/blobs", "s3://bucket"):
        assert "blob_url" in refusal(lambda url=url: restore(file, Config(data=f"{target.data}2", blob_url=url)))  # type: ignore[misc]
    assert not Path(f"{target.data}2").exists()


def test_remains_of_a_killed_restore_are_no_hindrance_in_the_folder_of_bytes(file: Path, target: Config) -> None:
    Path(target.data, "blobs", ".restoring", "blobs").mkdir(parents=True)
    assert restore(file, target).findings == []


def test_a_file_cut_short_anywhere_is_refused(file: Path, target: Config) -> None:
    whole = file.read_bytes()
    end = max(info.offset_data + info.size for info, _ in members(file))
    for length in [0, 1, 511, 512, 600, 1024, *range(2000, end, end // 60), end - 1]:
        file.write_bytes(whole[:length])
        refusal(lambda: restore(file, target))
        assert not Path(target.data).exists()


def test_a_flipped_bit_anywhere_that_matters_is_refused(file: Path, target: Config) -> None:
    whole = file.read_bytes()
    for info, data in members(file):
        if not data or info.name == MANIFEST:
            continue
        flipped = bytearray(whole)
        flipped[info.offset_data + len(data) // 2] ^= 1
        file.write_bytes(flipped)
        assert_refused(file, target, "its hash")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../evil", "blobs/../../evil", "blobs/aa/bb/" + "c" * 64, "extra.txt", "blobs/", ".",
        "thumbnails/aa/aa/" + "a" * 64 + "-256.webp/x", "pinakes.toml",
    ],
)  # fmt: skip
def test_an_unexpected_name_is_refused(file: Path, target: Config, tmp_path: Path, name: str) -> None:
    data = b"evil"
    info = tarfile.TarInfo(name)
    info.pax_headers = {HASH_RECORD: hashlib.sha256(data).hexdigest()}
    content = members(file)
    rewrite(file, [*content[:-1], (info, data), content[-1]])
    assert_refused(file, target, "not a whole backup")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_anything_but_a_plain_file_is_refused(file: Path, target: Config, kind: bytes) -> None:
    content = members(file)
    info = tarfile.TarInfo(DATABASE)
    info.type, info.linkname = kind, "/etc/passwd"
    rewrite(file, [(info, b""), *content[1:]])
    assert_refused(file, target, "not a plain file" if kind != tarfile.GNUTYPE_SPARSE else "not a whole backup")


def test_a_member_that_claims_more_than_the_file_is_refused(file: Path, target: Config) -> None:
    data = file.read_bytes()
    info = members(file)[1][0]
    header = tarfile.TarInfo(info.name)
    header.size = 8 << 40
    at = info.offset_data - 512
    file.write_bytes(data[:at] + header.tobuf(tarfile.GNU_FORMAT) + data[at + 512 :])
    assert_refused(file, target, "cut short")


def test_a_member_twice_or_out_of_place_is_refused(file: Path, target: Config) -> None:
    content = members(file)
    rewrite(file, [*content[:-1], content[1], content[-1]])
    assert_refused(file, target, "twice")
    rewrite(file, [content[1], content[0], *content[2:]])
    assert_refused(file, target, "not where it belongs")
    rewrite(file, [*content, (tarfile.TarInfo("more"), b"")])
    assert_refused(file, target, "after its manifest")
    rewrite(file, content[:-1])
    assert_refused(file, target, "before its manifest")


def manifest_of(content: list[tuple[tarfile.TarInfo, bytes]]) -> Manifest:
    return msgspec.json.decode(content[-1][1], type=Manifest)


@pytest.mark.parametrize(
    ("change", "why"), [({"format": "other-2"}, "format"), ({"members": 3}, "3 files"), ({"absent": 3}, "manifest")]
)
def test_a_wrong_manifest_is_refused(file: Path, target: Config, change: dict[str, object], why: str) -> None:
    content = members(file)
    manifest = msgspec.json.decode(content[-1][1]) | change
    rewrite(file, [*content[:-1], (content[-1][0], msgspec.json.encode(manifest))])
    assert_refused(file, target, why)


def test_a_manifest_that_knows_of_missing_files_only_is_refused(file: Path, target: Config) -> None:
    content = members(file)
    fewer = [pair for pair in content[:-1] if not pair[0].name.startswith("blobs/")]
    manifest = msgspec.structs.replace(manifest_of(content), members=len(fewer))
    rewrite(file, [*fewer, (content[-1][0], msgspec.json.encode(manifest))])
    assert_refused(file, target, "files are missing")


def with_database(file: Path, data: bytes) -> None:
    content = members(file)
    content[0][0].pax_headers = {HASH_RECORD: hashlib.sha256(data).hexdigest()}
    rewrite(file, [(content[0][0], data), *content[1:]])


def test_a_database_that_is_not_a_library_is_refused(file: Path, target: Config, tmp_path: Path) -> None:
    with_database(file, b"")
    assert_refused(file, target, "empty")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.executescript("CREATE TABLE t (x); PRAGMA user_version = 1")
    with_database(file, (tmp_path / "other.db").read_bytes())
    assert_refused(file, target, "not one of ours")


def test_a_database_that_is_damaged_or_newer_is_refused(file: Path, target: Config, tmp_path: Path) -> None:
    database = members(file)[0][1]
    with_database(file, database[: -3 * 4096] + b"\xff" * 4096 + database[-2 * 4096 :])
    assert_refused(file, target, "database is damaged")
    with_database(file, b"x" * 8192)
    with pytest.raises(PinakesError, match="damaged"):
        restore(file, target)
    (tmp_path / "newer.db").write_bytes(database)
    with closing(apsw.Connection(str(tmp_path / "newer.db"))) as newer:
        newer.pragma("user_version", 1000)
    with_database(file, (tmp_path / "newer.db").read_bytes())
    with pytest.raises(PinakesError, match="newer Pinakes"):
        restore(file, target)
    assert not Path(target.data).exists()


def test_a_file_that_is_not_there_or_no_tar_is_refused(target: Config, tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.tar", target, "No such file")
    (tmp_path / "text.tar").write_text("hello " * 1000)
    assert_refused(tmp_path / "text.tar", target, "not a whole backup")


def test_a_disk_that_fails_leaves_nothing(file: Path, target: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(PinakesError, match="No space left") as caught:
        restore(file, target)
    assert caught.value.code == "UNAVAILABLE"
    assert not Path(target.data).exists()


def test_two_projects_come_back(library: Library, file: Path, target: Config) -> None:
    other = new_actor(library)
    upload(library, other, 77)
    again = file.with_name("again.tar")
    backup(library, again)
    restore(again, target)
    with closing(open_library(target, create=False)) as restored:
        assert len(assets.get_page(restored, other, AssetFilter()).items) == 1
