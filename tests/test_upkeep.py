"""`check` finds every kind of damage and nothing else; `sweep` deletes what is due and nothing else."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import DAY_MS, make_png, new_actor
from structlog.testing import capture_logs

from pinakes import assets, collections, ids, media, mlmodels, upkeep
from pinakes.access import Actor
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes
from pinakes.assets import NewAsset
from pinakes.blobs import Blobs, blob_key, thumbnail_key
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.store.upkeep import UpkeepSql
from pinakes.tags import TagChange
from pinakes.upkeep import SweepReport, check, sweep
from pinakes.worker import Worker

NOTHING = SweepReport()


def store(library: Library, grey: int = 1) -> Bytes:
    """A picture with its thumbnails, whose files need not be pictures here."""
    data = make_png(grey=grey)
    sha256 = library.blobs.put(data)
    for size in THUMBNAIL_SIZES:
        library.blobs.put_thumbnail(sha256, size, b"webp")
    return Bytes(sha256, len(data), "image", "image/png", "png", 2, 2, 1)


class Shelf:
    """A collection with two assets and a model, all tagged; the first asset is cover and example."""

    def __init__(self, library: Library, admin: Actor) -> None:
        self.library, self.admin = library, admin
        self.id = collections.create(library, admin, NewCollection("Shelf")).id
        self.bytes = [store(library, grey) for grey in (1, 2)]
        self.assets = [
            assets.create(library, admin, NewAsset("a.png", "", collection_ids=[self.id]), stored).id
            for stored in self.bytes
        ]
        self.model = mlmodels.create(library, admin, NewModel(collection_ids=[self.id])).id
        for asset in self.assets:
            assets.update_tags(library, admin, asset, TagChange(add=["red", "blue"]))
        mlmodels.update_tags(library, admin, self.model, TagChange(add=["red"]))
        mlmodels.update_examples(library, admin, self.model, [self.assets[0]])
        mlmodels.update(library, admin, self.model, ModelPatch(thumbnail=self.assets[0]))
        collections.update(library, admin, self.id, CollectionPatch(thumbnail=self.assets[0]))

    def blob(self, n: int = 0) -> Path:
        return self.folder / blob_key(self.bytes[n].sha256)

    @property
    def folder(self) -> Path:
        return Path(self.library.config.data, "blobs")

    def sql(self, *statements: str) -> None:
        run_sql(self.library.config, *statements)


def run_sql(config: Config, *statements: str) -> None:
    with closing(apsw.Connection(str(config.database_path))) as connection:
        for statement in statements:
            connection.execute(statement)


def codes(library: Library, *, is_quick: bool = False) -> list[str]:
    return [finding.code for finding in check(library, is_quick=is_quick)]


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


@pytest.fixture
def shelf(library: Library, admin: Actor) -> Shelf:
    return Shelf(library, admin)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock to so many days from now; files keep the time of the machine."""
    real = ids.now_ms

    def move(days: float) -> None:
        monkeypatch.setattr(ids, "now_ms", lambda: real() + int(days * DAY_MS))

    return move


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


def test_sweep_leaves_what_can_be_restored(library: Library, shelf: Shelf, later: Callable[[float], None]) -> None:
    assets.delete(library, shelf.admin, shelf.assets)
    mlmodels.delete(library, shelf.admin, shelf.model)
    collections.delete(library, shelf.admin, shelf.id)
    later(29.9)
    assert sweep(library) == NOTHING
    assert check(library) == []
    assert assets.restore(library, shelf.admin, shelf.assets).skipped_assets == []
    assert mlmodels.restore(library, shelf.admin, shelf.model).tags == ["red"]


def test_sweep_deletes_an_asset_and_all_that_names_it(
    library: Library, shelf: Shelf, later: Callable[[float], None]
) -> None:
    assets.delete(library, shelf.admin, [shelf.assets[0]])
    later(30.1)
    assert sweep(library) == SweepReport(assets=1, blobs=1, blob_bytes=shelf.bytes[0].size)
    assert check(library) == []
    assert not shelf.blob().exists()
    assert not [path for path in shelf.folder.rglob(f"{shelf.bytes[0].sha256}*") if path.is_file()]
    assert shelf.blob(1).exists()
    tables = ("collection_asset", "asset_tag", "model_example")
    with closing(apsw.Connection(str(library.config.database_path))) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table} WHERE asset = 1").get for table in tables]
    assert counts == [0, 0, 0]
    assert mlmodels.get_examples(library, shelf.admin, shelf.model) == []
    assert sweep(library) == NOTHING


def test_sweep_deletes_a_model_and_a_collection(library: Library, shelf: Shelf, later: Callable[[float], None]) -> None:
    mlmodels.delete(library, shelf.admin, shelf.model)
    collections.delete(library, shelf.admin, shelf.id)
    later(30.1)
    assert sweep(library) == SweepReport(models=1, collections=1)
    assert check(library) == []
    assert assets.get(library, shelf.admin, shelf.assets[0]).collection_ids == []


def test_bytes_live_as_long_as_any_copy_in_any_project(
    library: Library, shelf: Shelf, later: Callable[[float], None]
) -> None:
    other = new_actor(library)
    with library.store.write() as tx:
        tx.access.grant(shelf.admin.key_id, other.project_id, "editor")
    copy = assets.copy(library, shelf.admin, shelf.assets[0], other.project_id)
    assets.delete(library, shelf.admin, shelf.assets)
    later(31)
    assert sweep(library) == SweepReport(assets=2, blobs=1, blob_bytes=shelf.bytes[1].size)
    assert shelf.blob().exists()
    assets.delete(library, other, [copy.id])
    later(62)
    assert sweep(library).blobs == 1
    assert check(library) == []


def test_sweep_is_consistent_after_each_of_its_transactions(
    library: Library, shelf: Shelf, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_ROWS", 2)
    monkeypatch.setattr(upkeep, "_DEPENDENTS", 3)
    shelves = [shelf, *(Shelf(library, shelf.admin) for _ in range(4))]
    for one in shelves:
        collections.add(library, one.admin, one.id, "asset", [a for s in shelves for a in s.assets if s is not one])
    assets.delete(library, shelf.admin, [one.assets[0] for one in shelves])
    for one in shelves[:3]:
        collections.delete(library, one.admin, one.id)
    later(31)
    found: list[object] = []

    def look(_seconds: float) -> bool:
        found.extend(finding for finding in check(library, is_quick=True) if finding.code != "blob-orphan")
        return False

    report = sweep(library, rest=look)
    assert (report.assets, report.collections, report.models, found) == (5, 3, 0, [])
    assert check(library) == []


def test_sweep_deletes_old_orphans_alone(library: Library, shelf: Shelf) -> None:
    old, young = library.blobs.put(b"old"), library.blobs.put(b"young")
    age(shelf.folder / blob_key(old), 1.1)
    age(shelf.folder / blob_key(young), 0.9)
    age(shelf.blob(), 5)
    assert sweep(library) == SweepReport(blobs=1, blob_bytes=3)
    assert [library.blobs.info(sha256) is None for sha256 in (old, young, shelf.bytes[0].sha256)] == [
        True,
        False,
        False,
    ]


def test_what_killed_uploads_left_is_found_and_swept(library: Library, shelf: Shelf) -> None:
    left = {days: shelf.folder / f"{blob_key(str(n) * 64)}#1" for n, days in enumerate((0.9, 1.1))}
    for days, path in left.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        age(path, days)
    (finding,) = check(library, is_quick=True)
    assert (finding.code, finding.subject) == ("blob-unfinished", str(left[1.1].relative_to(shelf.folder)))
    assert sweep(library) == SweepReport(blobs=1, blob_bytes=4)
    assert [path.exists() for path in left.values()] == [True, False]
    assert check(library) == []


def test_old_thumbnails_of_nothing_are_found(library: Library, shelf: Shelf) -> None:
    hashes = {days: str(days)[0] * 64 for days in (0.9, 1.1)}
    for days, sha256 in hashes.items():
        library.blobs.put_thumbnail(sha256, 256, b"webp")
        age(shelf.folder / thumbnail_key(sha256, 256), days)
    again = library.blobs.put(b"uploaded again, and its asset is on the way")
    for sha256 in (again, shelf.bytes[0].sha256):
        library.blobs.put_thumbnail(sha256, 256, b"webp")
        age(shelf.folder / thumbnail_key(sha256, 256), 5)
    found = [(finding.code, finding.subject) for finding in check(library)]
    assert found == [("thumbnail-orphan", thumbnail_key(hashes[1.1], 256))]


@pytest.fixture
def orphans(library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The hashes of two old orphans, which a sweep looks at one after the other."""
    monkeypatch.setattr(upkeep, "_BLOBS_A_LOOK", 1)
    hashes = {library.blobs.put(data) for data in (b"one", b"two")}
    for sha256 in hashes:
        age(shelf.folder / blob_key(sha256), 2)
    return hashes


def left(library: Library, orphans: set[str]) -> set[str]:
    return {sha256 for sha256 in orphans if library.blobs.info(sha256)}


def test_bytes_uploaded_again_during_the_sweep_stay(library: Library, orphans: set[str]) -> None:
    def upload(_seconds: float) -> bool:
        if len(left(library, orphans)) == 1:
            (sha256,) = left(library, orphans)
            library.blobs.put(library.blobs.read(blob_key(sha256)))
        return False

    assert sweep(library, rest=upload).blobs == 1
    assert len(left(library, orphans)) == 1


def test_bytes_that_an_asset_takes_up_during_the_sweep_stay(library: Library, shelf: Shelf, orphans: set[str]) -> None:
    def take(_seconds: float) -> bool:
        if len(left(library, orphans)) == 1:
            (sha256,) = left(library, orphans)
            stored = Bytes(sha256, 3, "text", "text/plain", None, None, None, 1)
            assets.create(library, shelf.admin, NewAsset("a.txt", ""), stored)
        return False

    assert sweep(library, rest=take).blobs == 1
    assert len(left(library, orphans)) == 1
    assert check(library) == []


def test_a_backup_keeps_bytes_from_being_swept(
    library: Library, orphans: set[str], later: Callable[[float], None]
) -> None:
    upkeep.hold_blobs(library, 60_000)
    assert sweep(library) == NOTHING
    later(0.01)
    assert sweep(library).blobs == len(orphans)


def test_sweep_stops_when_told(library: Library, shelf: Shelf, orphans: set[str]) -> None:
    assert sweep(library, rest=lambda _seconds: True) == NOTHING
    assert left(library, orphans) == orphans
    assert sweep(library, rest=lambda seconds: seconds > 0).blobs == 1
    assert shelf.blob().exists()


def test_sweep_stops_between_projects_and_kinds(library: Library, shelf: Shelf, later: Callable[[float], None]) -> None:
    second = Shelf(library, new_actor(library))
    for one in (shelf, second):
        assets.delete(library, one.admin, one.assets)
        mlmodels.delete(library, one.admin, one.model)
    later(31)
    assert sweep(library, rest=lambda seconds: seconds > 0) == SweepReport(assets=2)
    assert sweep(library, rest=lambda _seconds: True) == NOTHING
    ending = threading.Event()

    def end(seconds: float) -> bool:
        if seconds:
            ending.set()
        return ending.is_set()

    assert sweep(library, rest=end) == SweepReport(assets=2)


def test_numbers_are_not_given_again(library: Library, shelf: Shelf, later: Callable[[float], None]) -> None:
    """Else a sweep would take an asset that came after its look at all of them for one from before."""

    def newest() -> list[int]:
        with library.store.read() as tx:
            nouns = ("asset", "collection", "model")
            return [tx.upkeep._query(f"SELECT max(number) FROM {noun}")[0][0] for noun in nouns]

    first = newest()
    assets.delete(library, shelf.admin, shelf.assets)
    mlmodels.delete(library, shelf.admin, shelf.model)
    collections.delete(library, shelf.admin, shelf.id)
    later(31)
    sweep(library)
    Shelf(library, shelf.admin)
    assert newest() == [first[0] + 2, first[1] + 1, first[2] + 1]


def test_the_worker_sweeps_and_stops(library: Library, orphans: set[str]) -> None:
    with capture_logs() as logs:
        worker = Worker(library, first_after_s=0, every_s=3600)
        worker.start()
        wait_for(lambda: bool(logs))
        begun = time.monotonic()
        worker.stop()
    assert time.monotonic() - begun < 2
    assert [(log["event"], log["blobs"]) for log in logs] == [("swept", 2)]
    assert left(library, orphans) == set()


def test_the_worker_survives_errors(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [PinakesError("UNAVAILABLE", "disk gone"), RuntimeError("a bug"), None]
    real = upkeep.sweep

    def sometimes(library: Library, *, rest: upkeep.Rest) -> SweepReport:
        error = answers.pop(0) if answers else None
        if error:
            raise error
        return real(library, rest=rest)

    monkeypatch.setattr(upkeep, "sweep", sometimes)
    with capture_logs() as logs:
        worker = Worker(library, first_after_s=0, every_s=0.01)
        worker.start()
        wait_for(lambda: any(log["event"] == "swept" for log in logs))
        worker.stop()
    assert [log["log_level"] for log in logs[:3]] == ["warning", "error", "info"]


def test_a_worker_that_never_began_stops(library: Library) -> None:
    Worker(library).stop()


def test_a_library_without_its_folder_is_not_swept(library: Library, shelf: Shelf) -> None:
    shutil.rmtree(shelf.folder)
    assert sweep(library) == NOTHING
    assert codes(library) == ["blob-missing", "blob-missing"]


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
