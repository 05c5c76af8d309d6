"""A library that was moved is what it was, whatever engines it is moved between and whatever happens on the way."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import ENGINES, new_database, store_png
from listings import everything
from shuffled import Shuffled, files_in
from stores import S3

from pinakes import assets, collections, ids, upkeep, uploads
from pinakes.access import Actor
from pinakes.asset_types import Bytes
from pinakes.assets import NewAsset
from pinakes.blob_urls import open_blobs
from pinakes.blobs import blob_key
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library, open_store
from pinakes.tags import TagChange
from pinakes.transfer import move as moves
from pinakes.transfer.files import Files
from pinakes.transfer.move import Choice, MoveReport, To, move
from pinakes.transfer.rows import Rows, measure
from pinakes.upload_types import NewUpload

SWITCH = Choice(is_switch=True)


@pytest.fixture(params=ENGINES)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """Where to: each engine in turn, and another folder."""
    with new_database(request.param, request) as url:
        yield Config(data=str(tmp_path / "there"), database_url=url)


@pytest.fixture
def nearby(tmp_path: Path) -> Config:
    """Where to, when the engine makes no difference."""
    return Config(data=str(tmp_path / "nearby"))


def run(library: Library, there: Config, choice: Choice = SWITCH, *, is_whole: bool = True) -> MoveReport:
    """Move rows, and files too if it `is_whole`."""
    with closing(open_store(there, create=True)) as store:
        return move(library, "here", To(store, "there", open_blobs(there.blobs_url) if is_whole else None), choice)


def refusal(library: Library, there: Config, choice: Choice = SWITCH) -> str:
    with pytest.raises(PinakesError) as caught:
        run(library, there, choice)
    assert caught.value.code == "BAD_REQUEST"
    return caught.value.message


@contextmanager
def opened(config: Config) -> Iterator[Library]:
    with closing(open_library(config, create=False)) as library:
        yield library


def assert_same(library: Library, other: Library) -> None:
    """The two show the same, hold the same rows and bytes, and are sound."""
    ours, theirs = measure(library.store), measure(other.store)
    assert {name: one for name, one in ours.items() if one != theirs[name] and name != "setting"} == {}
    assert everything(library) == everything(other)
    assert upkeep.check(library) == upkeep.check(other) == []


def is_orphan(library: Library, key: str) -> bool:
    """Whether a file is not referred to: its asset could not be made."""
    sha256 = key.rpartition("/")[2][:64]
    with library.store.read() as tx:
        return not key.startswith("uploads") and not tx.upkeep.users([sha256])


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_library_is_the_same_and_takes_changes_where_it_is_now(
    library: Library, there: Config, seed: int
) -> None:
    shuffled = Shuffled(library, random.Random(seed)).run(400)
    report = run(library, there)
    assert (report.is_switched, report.absent) == (True, [])
    assert report.written == sum(table.rows for table in report.tables)
    assert {table.name for table in report.tables if not table.rows} <= {"job", "model_example"}
    with opened(there) as moved:
        assert_same(library, moved)
        assert files_in(moved) == {key: hash for key, hash in files_in(library).items() if not is_orphan(library, key)}
        with pytest.raises(PinakesError, match="moved to there"):
            collections.create(library, shuffled.actors[0], NewCollection("Late"))
        with pytest.raises(PinakesError, match="moved to there"):
            library.ready()
        moved.ready()
        before = {thing for things in shuffled.things.values() for thing in things}
        again = Shuffled(moved, random.Random(seed + 100), shuffled.actors)
        again.things = shuffled.things
        again.run(100)
        assert upkeep.check(moved) == []
        assert before < {thing for things in again.things.values() for thing in things}


def test_there_and_back_again(library: Library, admin: Actor, there: Config) -> None:
    shuffled = Shuffled(library, random.Random(7), [admin]).run(150)
    run(library, there)
    with opened(there) as moved:
        back = Shuffled(moved, random.Random(8), [admin])
        back.things = shuffled.things
        back.run(100)
        report = run(moved, library.config)
        assert 0 < report.written < sum(table.rows for table in report.tables)
        assert_same(moved, library)
        assert "moved to there" in refusal(moved, library.config)
    assert refusal(library, library.config)
    collections.create(library, admin, NewCollection("Here again"))
    assert upkeep.check(library) == []


def test_a_copy_follows_the_library_and_takes_no_changes(library: Library, admin: Actor, there: Config) -> None:
    shuffled = Shuffled(library, random.Random(1), [admin]).run(60)
    run(library, there, Choice())
    for seed in (2, 3):
        again = Shuffled(library, random.Random(seed), [admin])
        again.things = shuffled.things
        again.run(60)
        report = run(library, there, Choice(is_verified=True))
        assert not report.is_switched
        with opened(there) as copy:
            assert_same(library, copy)
            with pytest.raises(PinakesError, match="copy of the library in here"):
                collections.create(copy, admin, NewCollection("Early"))
            with pytest.raises(PinakesError, match="copy of the library in here"):
                copy.ready()
            assert "copy of the library in here" in refusal(copy, library.config)
    assert run(library, there).is_switched


def test_what_holds_something_else_is_refused_and_left_alone(
    library: Library, admin: Actor, there: Config, tmp_path: Path
) -> None:
    collections.create(library, admin, NewCollection("Mine"))
    with closing(open_library(there)) as other:
        Shuffled(other, random.Random(1)).run(20)
        before = measure(other.store)
        assert "takes changes" in refusal(library, there)
        assert measure(other.store) == before
        with closing(open_library(Config(data=str(tmp_path / "third")))) as third:
            run(third, Config(data=str(tmp_path / "copy")), Choice())
            assert "copy of another library" in refusal(other, Config(data=str(tmp_path / "copy")))
    library.ready()


def test_the_library_itself_is_no_target(library: Library, admin: Actor) -> None:
    assert "takes changes" in refusal(library, library.config)
    library.ready()
    assert admin.owner


def test_an_empty_library_is_told_from_its_target(library: Library) -> None:
    assert "of the library itself" in refusal(library, library.config)
    library.ready()


def test_what_was_moved_can_be_moved_from_where_it_is_only(
    library: Library, admin: Actor, nearby: Config, tmp_path: Path
) -> None:
    collections.create(library, admin, NewCollection("Mine"))
    run(library, nearby)
    assert "was moved to there" in refusal(library, nearby)
    assert "was moved to there" in refusal(library, Config(data=str(tmp_path / "third")))


@pytest.mark.parametrize("at", ["index", "set_numbers", "measure"])
def test_a_move_that_fails_leaves_the_library_open_and_goes_on_later(
    library: Library, there: Config, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = Shuffled(library, random.Random(5)).run(60)

    def fail(*_args: object) -> None:
        raise PinakesError("UNAVAILABLE", "no more")

    with monkeypatch.context() as patch:
        patch.setattr(moves if at == "measure" else Rows, at, fail)
        with pytest.raises(PinakesError, match="no more"):
            run(library, there)
    library.ready()
    collections.create(library, shuffled.actors[0], NewCollection("Goes on"))
    assert run(library, there).is_switched
    with opened(there) as moved:
        assert_same(library, moved)


def test_a_copy_that_differs_is_not_switched_to(
    library: Library, admin: Actor, nearby: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    collections.create(library, admin, NewCollection("Mine"))
    finish = Files.copy_some

    def spoil(files: Files, hashes: set[str]) -> None:
        finish(files, hashes)
        with closing(open_store(nearby)) as store, store.fill() as tx:
            tx.upkeep.set_setting("link_secret", "00")

    monkeypatch.setattr(Files, "copy_some", spoil)
    with pytest.raises(PinakesError, match="setting has other contents"):
        run(library, nearby)
    library.ready()


def test_two_moves_to_one_target_do_not_mix(library: Library, admin: Actor, nearby: Config) -> None:
    collections.create(library, admin, NewCollection("Mine"))
    with closing(open_store(nearby, create=True)) as store:
        mark = moves._claim(library.store, store, "here")
        first = Rows(library.store, store, mark.run)
        moves._claim(library.store, store, "here")
        with pytest.raises(PinakesError, match="another `pinakes move`"):
            first.run(lambda _done, _total: None)


def test_a_switch_that_another_overtakes_opens_nothing(
    library: Library, admin: Actor, nearby: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    collections.create(library, admin, NewCollection("Mine"))
    look, overtaken = measure, list[MoveReport]()

    def overtake(*args: Any) -> Any:
        monkeypatch.setattr(moves, "measure", look)
        overtaken.append(run(library, nearby))
        return look(*args)

    monkeypatch.setattr(moves, "measure", overtake)
    assert "another `pinakes move`" in refusal(library, nearby)
    assert overtaken[0].is_switched
    with opened(nearby) as moved:
        moved.ready()
        with pytest.raises(PinakesError, match="moved to there"):
            library.ready()


def test_writes_go_on_during_a_move_and_none_is_lost(library: Library, admin: Actor, there: Config) -> None:
    """Threads create, add, tag and delete, and note what was acknowledged; it is all in the copy, and nothing more."""
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    stored, made, gone = store_png(library), set[str](), set[str]()
    ending, door = threading.Event(), threading.Lock()
    for _ in range(300):
        made.add(assets.create(library, admin, NewAsset("a.png", ""), stored).id)

    def write(number: int) -> None:
        dice = random.Random(number)
        while not ending.is_set():
            try:
                id = assets.create(library, admin, NewAsset(f"{number}.png", ""), stored).id
                with door:
                    made.add(id)
                collections.add(library, admin, shelf, "asset", [id])
                assets.update_tags(library, admin, id, TagChange(add=[f"t{dice.randrange(9)}"]))
                if dice.random() < 0.3:
                    with door:
                        old = dice.choice(sorted(made - gone))
                    assets.delete(library, admin, [old])
                    with door:
                        gone.add(old)
            except PinakesError as error:
                if error.code not in ("UNAVAILABLE", "NOT_FOUND"):  # moved, or deleted by another thread
                    raise

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        run(library, there, Choice())
        report = run(library, there)
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert (report.is_switched, len(made) > 300) == (True, True)
    with opened(there) as moved:
        assert_same(library, moved)
        assert {asset.id for asset in everything(moved)[admin.project_id][1]["assets"]} == made - gone


def test_lost_bytes_are_named_and_the_rest_is_copied(library: Library, admin: Actor, nearby: Config) -> None:
    kept = [library.blobs.put(b"bytes %d" % number) for number in range(3)]
    for sha256 in kept:
        data = Bytes(sha256, 7, "document", "text/plain", None, None, None, 1)
        assets.create(library, admin, NewAsset("a.bin", ""), data)
    folder = Path(library.config.data, "blobs")
    (folder / blob_key(kept[0])).unlink()
    (folder / blob_key(kept[1])).write_bytes(b"changed")
    report = run(library, nearby)
    assert report.absent == sorted([kept[0], kept[1]])
    copies = open_blobs(nearby.blobs_url)
    assert [copies.info(sha256) is not None for sha256 in kept] == [False, False, True]


def test_bytes_that_were_spoilt_in_the_copy_are_found_when_asked_for(
    library: Library, admin: Actor, nearby: Config
) -> None:
    stored = upload_one(library, admin)
    run(library, nearby, Choice())
    spoilt = Path(nearby.data, "blobs", blob_key(stored))
    size = spoilt.stat().st_size
    spoilt.write_bytes(b"x" * size)
    assert run(library, nearby, Choice()).files == 0
    assert run(library, nearby, Choice(is_verified=True)).files == 1
    assert open_blobs(nearby.blobs_url).verify(stored)


def upload_one(library: Library, admin: Actor) -> str:
    stored = store_png(library)
    assets.create(library, admin, NewAsset("a.png", ""), stored)
    return stored.sha256


def test_rows_alone_and_bytes_alone(library: Library, admin: Actor, nearby: Config, tmp_path: Path) -> None:
    upload_one(library, admin)
    blobs = open_blobs((tmp_path / "elsewhere").as_uri())
    report = move(library, "here", To(None, "", blobs), Choice())
    assert (report.files, report.tables, report.is_switched) == (4, [], False)
    assert move(library, "here", To(None, "", blobs), Choice()).files == 0
    assert run(library, nearby, is_whole=False).files == 0


def test_a_part_that_has_become_a_file_meanwhile_comes_along(library: Library, admin: Actor, nearby: Config) -> None:
    """The worker gives a single part its name as a file before the row of its asset is stored."""
    new = uploads.create(library, admin, NewUpload(file_name="a.bin", file_size=5.0, kind="asset", parts=1.0))
    writer = library.parts.begin(new.id, 1)
    writer.write(b"bytes")
    part = writer.finish()
    uploads.add_part(library, admin.project_id, new.id, part)
    uploads.complete(library, admin, new.id)
    sha256 = library.parts.join(new.id, [part])
    run(library, nearby)
    with opened(nearby) as moved:
        assert moved.blobs.verify(sha256)
        assert moved.parts.join(new.id, [part]) == sha256
        with moved.store.read() as tx:
            assert tx.jobs.is_due(False) == (ids.now() > "")


def test_bytes_go_to_an_object_store_and_back(
    library: Library, admin: Actor, nearby: Config, s3: S3, tmp_path: Path
) -> None:
    shuffled = Shuffled(library, random.Random(3), [admin]).run(120)
    away = msgspec.structs.replace(nearby, blob_url=s3.url())
    run(library, away)
    with opened(away) as moved:
        assert_same(library, moved)
        kept = {key: hash for key, hash in files_in(library).items() if not is_orphan(library, key)}
        copied = files_in(moved)
        assert sorted(copied.values()) == sorted(kept.values())  # parts have other names in an object store
        assert {key for key in kept if not key.startswith("uploads")} <= copied.keys()
        again = Shuffled(moved, random.Random(4), [admin])
        again.things = shuffled.things
        again.run(60)
        back = Config(data=str(tmp_path / "back"))
        run(moved, back, Choice(is_switch=True, is_verified=True))
        with opened(back) as returned:
            assert_same(moved, returned)
            assert files_in(returned).keys() >= kept.keys()
