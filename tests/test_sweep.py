"""`sweep` deletes what is due and nothing else."""

import shutil
import threading
from collections.abc import Callable

import pytest
from conftest import new_actor
from databases import ask_sql
from shelves import Shelf, age, codes, left

from pinakes import assets, collections, mlmodels, upkeep
from pinakes.asset_types import Bytes
from pinakes.assets import NewAsset
from pinakes.blobs import blob_key
from pinakes.library import Library
from pinakes.upkeep import SweepReport, check, sweep

NOTHING = SweepReport()


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
    counts = [ask_sql(library.config, f"SELECT count(*) FROM {table} WHERE asset = 1") for table in tables]
    assert counts == [[(0,)]] * 3
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
    library: Library, open_with: Callable[[], Library], orphans: set[str], later: Callable[[float], None]
) -> None:
    """It is another process, as a rule, and counts from the next step of a sweep on."""
    upkeep.hold_blobs(open_with(), 60_000)
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


def test_a_library_without_its_folder_is_not_swept(library: Library, shelf: Shelf) -> None:
    shutil.rmtree(shelf.folder)
    assert sweep(library) == NOTHING
    assert codes(library) == ["blob-missing", "blob-missing"]
