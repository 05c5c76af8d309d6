"""A damaged or hostile backup restores to nothing, and a sound one to what it was taken of."""

import hashlib
import io
import re
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from archives import members, refusal, upload
from conftest import ENGINES, new_actor, new_database
from listings import everything

from pinakes import assets, upkeep
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.transfer.backup import DATABASE, HASH_RECORD, MANIFEST, Manifest, backup
from pinakes.transfer.restore import restore


def rewrite(file: Path, content: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in content:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))


def rows_in(target: Config) -> list[str]:
    """What holds the rows in the data folder."""
    return [] if target.is_postgres else ["pinakes.db"]


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
    assert sorted(path.name for path in Path(target.data).iterdir()) == ["blobs", *rows_in(target)]


def test_only_an_empty_data_folder_is_restored_into(library: Library, file: Path, target: Config) -> None:
    assert re.search("not empty|holds a library", refusal(lambda: restore(file, library.config)))
    data = Path(target.data)
    data.write_text("a file")
    assert "not a folder" in refusal(lambda: restore(file, target))
    data.unlink()
    data.mkdir()
    (data / "notes.txt").touch()
    assert "'notes.txt'" in refusal(lambda: restore(file, target))
    assert [path.name for path in data.iterdir()] == ["notes.txt"]
    assert "database_url" in refusal(lambda: restore(file, Config(database_url="sqlite:///x.db")))


@pytest.mark.parametrize("into", ENGINES)
def test_a_backup_is_restored_into_either_engine(
    library: Library, admin: Actor, file: Path, into: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with new_database(into, request) as url:
        config = Config(data=str(tmp_path / "other"), database_url=url)
        assert restore(file, config).findings == []
        with closing(open_library(config, create=False)) as restored:
            assert upkeep.check(restored) == []
            assert everything(restored) == everything(library)
            assert new_actor(restored).owner > admin.owner
        Path(config.data, "pinakes.db").unlink(missing_ok=True)
        if into == "postgres":
            assert "holds a library" in refusal(
                lambda: restore(file, msgspec.structs.replace(config, data="elsewhere"))
            )
            assert not Path("elsewhere").exists()


def test_settings_and_remains_of_a_killed_restore_are_no_hindrance(file: Path, target: Config) -> None:
    data = Path(target.data)
    (data / ".restoring" / "blobs").mkdir(parents=True)
    (data / "pinakes.toml").touch()
    restore(file, target)
    assert sorted(path.name for path in data.iterdir()) == ["blobs", *rows_in(target), "pinakes.toml"]


def test_a_folder_that_was_there_stays_after_a_refusal(file: Path, target: Config) -> None:
    Path(target.data).mkdir()
    file.write_bytes(b"no tar")
    refusal(lambda: restore(file, target))
    assert list(Path(target.data).iterdir()) == []


def test_bytes_go_to_the_blob_store_that_is_configured(file: Path, target: Config, tmp_path: Path) -> None:
    config = msgspec.structs.replace(target, blob_url=(tmp_path / "elsewhere").as_uri())
    restore(file, config)
    with closing(open_library(config, create=False)) as restored:
        assert upkeep.check(restored) == []
    assert sorted(path.name for path in Path(target.data).iterdir()) == rows_in(target)


def test_a_refused_file_leaves_nothing_in_the_blob_store_that_is_configured(
    file: Path, target: Config, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(target, blob_url=(tmp_path / "else where" / "blobs").as_uri())
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
    config = msgspec.structs.replace(target, blob_url=elsewhere.as_uri())
    assert f"blob_url: {str(elsewhere)!r} is not empty" in refusal(lambda: restore(file, config))
    Path(target.data, "blobs", "blobs").mkdir(parents=True)
    assert "not empty" in refusal(lambda: restore(file, target))
    for url in ("memory://", "file://elsewhere/blobs", "s3://no bucket"):
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
