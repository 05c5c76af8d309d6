"""`check` finds every kind of damage and nothing else."""

import os
import threading
from contextlib import closing

import pytest
from conftest import new_actor
from shelves import Shelf, age, codes, store

from pinakes import assets, collections, ids, media, mlmodels
from pinakes.access import Actor
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes
from pinakes.assets import NewAsset
from pinakes.blobs import Blobs, blob_key, thumbnail_key
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.store.upkeep import UpkeepSql
from pinakes.tags import TagChange
from pinakes.upkeep import check, sweep


def test_the_sizes_of_thumbnails_are_those_that_are_made() -> None:
    assert THUMBNAIL_SIZES == media.THUMBNAIL_SIZES


def test_a_sound_library_has_no_findings(library: Library, shelf: Shelf) -> None:
    other = new_actor(library)
    Shelf(library, other)
    assert check(library) == check(library, is_quick=True) == []
    assets.delete(library, shelf.admin, [shelf.assets[0]])
    mlmodels.delete(library, shelf.admin, shelf.model)
    assert check(library) == []
    collections.delete(library, shelf.admin, shelf.id)
    assets.delete(library, shelf.admin, [shelf.assets[1]])
    assert check(library) == []
    assets.restore(library, shelf.admin, shelf.assets)
    assert check(library) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("UPDATE collection SET asset_count = asset_count + 1", ["asset-count"]),
        ("UPDATE collection SET deleted_at = '2026', asset_count = 1", ["asset-count"]),
        ("UPDATE collection SET model_count = 0", ["model-count"]),
        ("UPDATE tag SET item_count = 7 WHERE name = 'blue'", ["tag-count"]),
        ("DELETE FROM tag WHERE name = 'blue'", ["tag-count"]),
        ("DELETE FROM tag", ["tag-count"] * 3),
        ("INSERT INTO tag VALUES (1, 'unused', 0, '', '')", ["tag-count"]),
        ("INSERT INTO tag VALUES (1, 'new', 1, '', '')", ["tag-count"]),
        ("UPDATE asset SET deleted_at = '2026' WHERE number = 1", ["asset-count", "tag-count", "tag-count"]),
        ("UPDATE collection SET thumbnail_asset_id = 'asset_none'", ["thumbnail-missing-asset"]),
        ("UPDATE model SET thumbnail_asset_id = 'asset_none'", ["thumbnail-missing-asset"]),
        ("UPDATE model_example SET asset = 99", ["thumbnail-missing-asset"]),
        ("UPDATE model_example SET model = 99", ["example-without-model"]),
        ("INSERT INTO collection_asset VALUES (1, 1, 99)", ["member-without-asset"]),
        ("INSERT INTO collection_asset VALUES (1, 99, 1)", ["member-without-collection"]),
        ("INSERT INTO collection_model VALUES (1, 1, 99)", ["member-without-model"]),
        ("INSERT INTO collection_model VALUES (1, 99, 1)", ["member-without-collection"]),
        ("INSERT INTO collection_asset VALUES (2, 1, 1)", ["member-without-asset", "member-without-collection"]),
        ("INSERT INTO asset_tag VALUES (1, 99, 'red')", ["tagging-without-item"]),
        ("INSERT INTO model_tag VALUES (1, 99, 'red')", ["tagging-without-item"]),
        ("DELETE FROM asset_text WHERE rowid = 1", ["search-missing"]),
        ("DELETE FROM model_text", ["search-missing"]),
        ("UPDATE asset SET look = 5 WHERE number = 1", ["search-missing"]),
        ("INSERT INTO asset_look VALUES (1, 5, 99, 5)", ["search-without-asset"]),
        ("UPDATE asset SET size = size + 1 WHERE number = 2", ["blob-size"]),
    ],
)
def test_rows_that_contradict_each_other_are_found(
    library: Library, shelf: Shelf, damage: str, expected: list[str]
) -> None:
    shelf.sql(damage)
    assert codes(library) == codes(library, is_quick=True) == expected


@pytest.mark.parametrize("damage", ["UPDATE tag SET item_count = 7", "DELETE FROM tag"])
def test_a_wrong_count_of_a_tag_says_what_to_do(library: Library, shelf: Shelf, damage: str) -> None:
    shelf.sql(damage)
    assert all(finding.message.endswith(": make a backup and report it") for finding in check(library))


def test_a_finding_names_the_project_and_the_subject(library: Library, shelf: Shelf) -> None:
    shelf.sql("UPDATE collection SET asset_count = 5")
    (finding,) = check(library)
    assert (finding.project_id, finding.subject) == (shelf.admin.project_id, shelf.id)
    what = "the collection states asset_count 5 and has 2 live"
    assert finding.message == f"{what}; lists show these, the number is wrong: make a backup and report it"


def test_a_row_whose_project_is_gone_is_found_too(library: Library, shelf: Shelf) -> None:
    shelf.sql("UPDATE collection SET owner = 77")
    found = check(library)
    assert {finding.code for finding in found} >= {"asset-count", "member-without-collection"}
    assert {finding.project_id for finding in found if finding.code == "asset-count"} == {""}


def test_missing_bytes_are_found(library: Library, shelf: Shelf) -> None:
    copy = assets.copy(library, shelf.admin, shelf.assets[0])
    shelf.blob().unlink()
    (finding,) = check(library, is_quick=True)
    assert (finding.code, finding.project_id, finding.subject) == (
        "blob-missing", shelf.admin.project_id, min(shelf.assets[0], copy.id),
    )  # fmt: skip
    assert "1 more" in finding.message
    assert shelf.bytes[0].sha256 in finding.message


def test_changed_bytes_are_found_by_reading_them_all(library: Library, shelf: Shelf) -> None:
    data = bytearray(shelf.blob().read_bytes())
    data[-1] ^= 1
    shelf.blob().write_bytes(data)
    assert codes(library) == ["blob-hash"]
    assert codes(library, is_quick=True) == []
    shelf.blob().write_bytes(data + b"!")
    assert codes(library) == ["blob-size", "blob-hash"]


def test_missing_thumbnails_are_found(library: Library, shelf: Shelf) -> None:
    for size in (256, 1024):
        (shelf.folder / thumbnail_key(shelf.bytes[0].sha256, size)).unlink()
    (finding,) = check(library, is_quick=True)
    assert finding.code == "thumbnail-file-missing"
    assert "256, 1024" in finding.message


def test_text_needs_no_thumbnails(library: Library, admin: Actor) -> None:
    sha256 = library.blobs.put(b"text")
    assets.create(library, admin, NewAsset("a.txt", ""), Bytes(sha256, 4, "text", "text/plain", None, None, None, 1))
    assert check(library) == []


def test_only_old_orphans_are_found(library: Library, shelf: Shelf) -> None:
    old, young = library.blobs.put(b"old"), library.blobs.put(b"young")
    age(shelf.folder / blob_key(old), 1.1)
    age(shelf.folder / blob_key(young), 0.9)
    age(shelf.blob(), 5)
    assert [(finding.code, finding.subject) for finding in check(library)] == [("blob-orphan", old)]


@pytest.mark.engine("sqlite")
def test_a_damaged_database_file_is_found(config: Config) -> None:
    with closing(open_library(config)) as library:
        Shelf(library, new_actor(library))
    path = config.database_path
    with path.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(b"\xff" * 4096)
    with closing(open_library(config)) as library:
        assert codes(library) == ["database"]
    path.write_bytes(b"x" * 8192)
    with pytest.raises(PinakesError, match="damaged") as caught:
        open_library(config)
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.engine("sqlite")
def test_an_index_that_lacks_a_row_is_found(library: Library, shelf: Shelf) -> None:
    sql = "SELECT rootpage FROM sqlite_schema WHERE name = '{}'"
    shelf.sql(
        "CREATE INDEX other ON asset (owner, id)",
        "PRAGMA writable_schema = on",
        "UPDATE sqlite_schema SET rootpage = (" + sql.format("collection_key") + ") WHERE name = 'other'",
    )
    assert "database" in codes(library)


def test_progress_ends_with_all_blobs(library: Library, shelf: Shelf) -> None:
    seen: list[tuple[int, int]] = []
    check(library, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (2, 2)]
    assert shelf.bytes[0] != shelf.bytes[1]


def test_what_ends_between_two_looks_is_no_finding(library: Library, shelf: Shelf) -> None:
    """The progress callback runs between the first look at the bytes and the second."""
    data, at = shelf.blob().read_bytes(), shelf.blob()

    def put_back(done: int, _total: int) -> None:
        if done:
            at.write_bytes(data)

    at.unlink()
    assert check(library, progress=put_back) == []

    def purge(done: int, _total: int) -> None:
        if done:
            assets.delete(library, shelf.admin, [shelf.assets[0]])
            shelf.sql("UPDATE asset SET deleted_at = '2000' WHERE deleted_at IS NOT NULL")
            sweep(library)

    at.unlink()
    assert check(library, progress=purge) == []
    assert check(library) == []


def test_bytes_swept_while_they_are_read_are_no_finding(
    library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Blobs.verify

    def slow(blobs: Blobs, sha256: str) -> bool:
        if sha256 == shelf.bytes[0].sha256 and shelf.blob().exists():
            shelf.sql("DELETE FROM asset WHERE number = 1")
            shelf.blob().unlink()
        return verify(blobs, sha256)

    monkeypatch.setattr(Blobs, "verify", slow)
    assert "blob-missing" not in codes(library)


def test_a_store_that_does_not_answer_is_no_finding(
    library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_blobs: Blobs, _sha256: str) -> bool:
        raise PinakesError("UNAVAILABLE", "no answer")

    monkeypatch.setattr(Blobs, "verify", fail)
    with pytest.raises(PinakesError, match="no answer"):
        check(library)
    assert shelf.blob().exists()


def test_an_orphan_that_is_taken_up_meanwhile_is_no_finding(
    library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.sql("DELETE FROM asset WHERE number = 2")  # what goes with it stays, which is not looked at here
    age(shelf.blob(1), 2)
    unreferenced = UpkeepSql.unreferenced

    def upload_meanwhile(sql: UpkeepSql, hashes: list[str]) -> list[str]:
        found = unreferenced(sql, hashes)
        library.blobs.put(shelf.blob(1).read_bytes())
        return found

    assert "blob-orphan" in codes(library, is_quick=True)
    monkeypatch.setattr(UpkeepSql, "unreferenced", upload_meanwhile)
    assert "blob-orphan" not in codes(library, is_quick=True)


def test_check_finds_nothing_while_the_library_changes(library: Library, shelf: Shelf) -> None:
    admin, ending = shelf.admin, threading.Event()

    def change(n: int) -> None:
        grey = 10 + n
        while not ending.is_set():
            grey += 10
            made = assets.create(
                library, admin, NewAsset("a.png", "", collection_ids=[shelf.id]), store(library, grey % 250)
            ).id
            assets.update_tags(library, admin, made, TagChange(add=["red"]))
            assets.delete(library, admin, [made])
            if grey % 20:
                assets.restore(library, admin, [made])
            else:
                with library.store.write() as tx:
                    tx.upkeep.purge("asset", admin.owner, ids.now(), 10, 100)

    threads = [threading.Thread(target=change, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [check(library) for _ in range(10)] == [[]] * 10
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def test_old_thumbnails_of_nothing_are_found(library: Library, shelf: Shelf) -> None:
    hashes = {days: str(days)[0] * 64 for days in (0.9, 1.1)}
    for days, sha256 in hashes.items():
        library.blobs.put_pictures(sha256, {256: b"webp"}, None)
        age(shelf.folder / thumbnail_key(sha256, 256), days)
    again = library.blobs.put(b"uploaded again, and its asset is on the way")
    for sha256 in (again, shelf.bytes[0].sha256):
        library.blobs.put_pictures(sha256, {256: b"webp"}, None)
        age(shelf.folder / thumbnail_key(sha256, 256), 5)
    found = [(finding.code, finding.subject) for finding in check(library)]
    assert found == [("thumbnail-orphan", thumbnail_key(hashes[1.1], 256))]
