"""Background work: claimed by one worker at a time, taken up again when that one is killed, and ended in any case."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import Clock, make_png, new_asset, upload

from pinakes import asset_bytes, assets, upkeep, uploads, worker
from pinakes.access import Actor
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.store.jobs import LEASE_MS, Job
from pinakes.upload_types import FoundUpload, NewUpload, StoredPart
from pinakes.worker import MOST_ATTEMPTS, Worker

TEXT = b"Moss grows on stones."


def claim(library: Library) -> Job | None:
    with library.store.write() as tx:
        return tx.jobs.claim()


def waiting(library: Library) -> int:
    with library.store.read() as tx:
        return tx.jobs.waiting()


def begin(library: Library, actor: Actor, data: bytes = TEXT, name: str = "a.txt", parts: int = 1) -> FoundUpload:
    """An upload whose parts are all there."""
    new = NewUpload(kind="asset", file_name=name, file_size=float(len(data)), parts=float(parts))
    begun = uploads.create(library, actor, new)
    step = len(data) // parts
    for number in range(1, parts + 1):
        writer = library.parts.begin(begun.id, number)
        writer.write(data[(number - 1) * step :] if number == parts else data[(number - 1) * step : number * step])
        uploads.add_part(library, actor.project_id, begun.id, writer.finish())
    return begun


@pytest.fixture
def pending(library: Library, admin: Actor) -> str:
    """An asset that nobody has looked into."""
    asset = upload(library, admin, new_asset("a.txt", TEXT))
    assert asset.status == "pending"
    return asset.id


def test_a_job_is_claimed_once(library: Library, pending: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = [one for one in threads.map(lambda _: claim(library), range(8)) if one is not None]
    assert [(job.kind, job.subject, job.attempts) for job in claims] == [("probe", pending, 1)]


def test_a_job_whose_worker_was_killed_is_taken_up_again(library: Library, admin: Actor, clock: Clock) -> None:
    asset = upload(library, admin, new_asset("a.txt", TEXT))
    first = claim(library)
    assert first is not None
    clock.move(ms=LEASE_MS - 1)
    assert claim(library) is None
    clock.move(ms=1)
    second = claim(library)
    assert second is not None
    assert (second.number, second.attempts) == (first.number, 2)
    with pytest.raises(PinakesError, match="taken up by another worker"):
        asset_bytes.settle(library, first)
    assert assets.get(library, admin, asset.id).status == "pending"
    asset_bytes.settle(library, second)
    assert assets.get(library, admin, asset.id).properties.preview == TEXT.decode()
    assert waiting(library) == 0


def test_a_lease_that_is_renewed_does_not_end(library: Library, admin: Actor, clock: Clock) -> None:
    upload(library, admin, new_asset("a.txt", TEXT))
    job = claim(library)
    assert job is not None
    for _ in range(5):
        clock.move(ms=LEASE_MS - 1)
        with library.store.write() as tx:
            assert tx.jobs.renew(job)
    assert claim(library) is None


def test_an_asset_in_the_trash_is_looked_into_all_the_same(library: Library, admin: Actor, pending: str) -> None:
    assets.delete(library, admin, [pending])
    job = claim(library)
    assert job is not None
    asset_bytes.settle(library, job)
    assets.restore(library, admin, [pending])
    assert assets.get(library, admin, pending).status == "success"


def test_a_copy_of_what_is_pending_is_looked_into_itself(library: Library, admin: Actor, pending: str) -> None:
    twin = assets.copy(library, admin, pending)
    assert (twin.status, waiting(library)) == ("pending", 2)
    while (job := claim(library)) is not None:
        asset_bytes.settle(library, job)
    assert {assets.get(library, admin, id).status for id in (pending, twin.id)} == {"success"}
    assert assets.copy(library, admin, pending).properties.char_count == len(TEXT)


def test_the_worker_does_what_there_is(library: Library, admin: Actor, pending: str) -> None:
    done = begin(library, admin, make_png(9, 4), "b.png", parts=3)
    uploads.complete(library, admin, done.id)
    with running(library):
        wait_for(lambda: waiting(library) == 0)
    imported = uploads.get(library, admin, done.id)
    assert (imported.status, imported.file_size) == ("imported", len(make_png(9, 4)))
    assert assets.get(library, admin, imported.entity_id or "").properties.width == 9
    assert assets.get(library, admin, pending).status == "success"
    assert upkeep.check(library) == []


def test_what_fails_again_and_again_is_given_up(
    library: Library, admin: Actor, pending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in looking into a file ends in an error of that file, after some tries; no other file waits for that."""
    tries: list[int] = []

    def stumble(_library: Library, job: Job) -> None:
        tries.append(job.attempts)
        raise RuntimeError("a bug")

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(stumble, asset_bytes.give_up))
    monkeypatch.setattr(worker, "_LONGEST_WAIT_MS", 1)
    with running(library):
        wait_for(lambda: waiting(library) == 0)
    assert tries == list(range(1, MOST_ATTEMPTS + 1))
    asset = assets.get(library, admin, pending)
    assert (asset.status, "tried several times" in str(asset.error_message)) == ("error", True)


def test_what_cannot_be_done_now_is_not_given_up(
    library: Library, admin: Actor, pending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = MOST_ATTEMPTS * 2

    def away(library: Library, job: Job) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            raise PinakesError("UNAVAILABLE", "the disk is away")
        asset_bytes.settle(library, job)

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(away, asset_bytes.give_up))
    monkeypatch.setattr(worker, "_LONGEST_WAIT_MS", 1)
    with running(library):
        wait_for(lambda: waiting(library) == 0)
    assert assets.get(library, admin, pending).status == "success"


def test_an_import_that_was_interrupted_anywhere_is_done_once(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Killed before the parts are joined, after, before the transaction, or before what is left of parts is removed."""
    for parts in (1, 3):
        for at in ("join", "local_file", "examine", "delete"):
            begun = begin(library, admin, make_png(parts * 7, 3), "c.png", parts)
            uploads.complete(library, admin, begun.id)
            job = claim(library)
            assert job is not None
            with killed(library, monkeypatch, at), pytest.raises(KeyboardInterrupt):
                uploads.settle(library, job)
            clock.move(ms=LEASE_MS)
            if (again := claim(library)) is not None:
                uploads.settle(library, again)
            done = uploads.get(library, admin, begun.id)
            assert done.status == "imported", (at, done.error_message)
    assert len(assets.get_page(library, admin, assets.AssetFilter()).items) == 8
    clock.move(days=2)
    upkeep.sweep(library)
    assert library.parts.uploads() == {}
    assert upkeep.check(library) == []


@contextmanager
def killed(library: Library, monkeypatch: pytest.MonkeyPatch, at: str) -> Iterator[None]:
    """Whatever is called here ends the worker at once; of `join` only after it has done its work."""
    places = {
        "join": (type(library.parts), "join"),
        "local_file": (type(library.blobs), "local_file"),
        "examine": (asset_bytes, "keep"),
        "delete": (type(library.parts), "delete"),
    }
    holder, name = places[at]
    real = getattr(holder, name)

    def end(*args: object, **kwargs: object) -> object:
        if at == "join":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, end)
        yield


def test_an_upload_that_nothing_happens_to_is_swept(
    library: Library, admin: Actor, config: Config, clock: Clock
) -> None:
    left, kept = begin(library, admin), begin(library, admin)
    clock.move(days=config.upload_days - 1)
    uploads.add_part(library, admin.project_id, kept.id, _part(library, kept.id))
    clock.move(days=1)
    assert upkeep.sweep(library).uploads == 1
    with pytest.raises(PinakesError, match="no upload"):
        uploads.get(library, admin, left.id)
    assert set(library.parts.uploads()) == {kept.id}
    uploads.complete(library, admin, kept.id)
    job = claim(library)
    assert job is not None
    uploads.settle(library, job)
    assert uploads.get(library, admin, kept.id).status == "imported"


def test_parts_that_no_upload_waits_for_are_swept(library: Library, admin: Actor, clock: Clock) -> None:
    begun = begin(library, admin)
    _part(library, "upload_never")
    assert upkeep.check(library) == []  # it may belong to somebody who comes in a moment
    clock.ms = 4_000_000_000_000
    with library.store.write() as tx:
        tx.uploads.set_part(admin.owner, tx.uploads.find(admin.owner, begun.id), StoredPart(1, 1, "0" * 64), "2099")  # type: ignore[arg-type]
    found = {(finding.code, finding.subject) for finding in upkeep.check(library)}
    assert found >= {("upload-orphan", "upload_never"), ("upload-part-missing", begun.id)}
    upkeep.sweep(library)
    assert "upload_never" not in library.parts.uploads()


def test_a_job_that_is_lost_is_found(library: Library, admin: Actor, pending: str) -> None:
    begun = begin(library, admin)
    uploads.complete(library, admin, begun.id)
    assert upkeep.check(library) == []
    for _ in range(2):
        job = claim(library)
        assert job is not None
        with library.store.write() as tx:
            tx.jobs.finish(job)
    assert {(found.code, found.subject) for found in upkeep.check(library)} == {
        ("job-missing", pending),
        ("job-missing", begun.id),
    }


def test_parts_from_many_at_once(library: Library, admin: Actor) -> None:
    """Sent by as many threads, twice each, in no order."""
    data = bytes(range(256)) * 40
    new = NewUpload(kind="asset", file_name="a.bin", file_size=float(len(data)), parts=40.0)
    begun = uploads.create(library, admin, new)

    def send(number: int) -> None:
        writer = library.parts.begin(begun.id, number)
        writer.write(data[(number - 1) * 256 : number * 256])
        uploads.add_part(library, admin.project_id, begun.id, writer.finish())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, [*range(40, 0, -1), *range(1, 41)]))
    uploads.complete(library, admin, begun.id)
    job = claim(library)
    assert job is not None
    uploads.settle(library, job)
    asset = assets.get(library, admin, uploads.get(library, admin, begun.id).entity_id or "")
    assert asset.properties.size == len(data)
    located = assets.locate(library, admin.project_id, asset.id)
    assert (
        b"".join(library.blobs.stream(f"blobs/{located.sha256[:2]}/{located.sha256[2:4]}/{located.sha256}", 0, 1 << 20))
        == data
    )


def _part(library: Library, upload_id: str) -> StoredPart:
    writer = library.parts.begin(upload_id, 1)
    writer.write(TEXT)
    return writer.finish()


@contextmanager
def running(library: Library) -> Iterator[None]:
    at_work = Worker(library, first_after_s=3600)
    at_work.start()
    library.work.set()
    yield
    at_work.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in time")


@pytest.mark.usefixtures("pending")
def test_stopping_does_not_wait_for_long_work(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def take_long(_library: Library, _job: Job) -> None:
        begun.set()
        ended.wait(30)

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(take_long, asset_bytes.give_up))
    monkeypatch.setattr(worker, "_STOP_S", 0.2)
    at_work = Worker(library, first_after_s=3600)
    at_work.start()
    library.work.set()
    assert begun.wait(10)
    at_work.stop()
    assert not ended.is_set()
    ended.set()


def test_a_stop_is_no_failure_of_the_job(library: Library, pending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a server is started anew while a long file is imported, and the next one takes it up at once."""
    ended = threading.Event()

    def take_long(_library: Library, _job: Job) -> None:
        ended.wait(30)

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(take_long, asset_bytes.give_up))
    monkeypatch.setattr(worker, "_STOP_S", 0.2)
    at_work = Worker(library, first_after_s=3600)
    at_work.start()
    library.work.set()
    wait_for(lambda: bool(at_work._doing))
    at_work.stop()
    job = claim(library)
    assert job is not None
    assert (job.subject, job.attempts) == (pending, 1)
    ended.set()


def test_what_is_wrong_but_not_away_is_given_up(
    library: Library, admin: Actor, pending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal that nobody expected of a transaction would come again for ever."""

    def refuse(_library: Library, _job: Job) -> None:
        raise PinakesError("BAD_REQUEST", "too many tags")

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(refuse, asset_bytes.give_up))
    monkeypatch.setattr(worker, "_LONGEST_WAIT_MS", 1)
    with running(library):
        wait_for(lambda: waiting(library) == 0)
    assert assets.get(library, admin, pending).status == "error"


def test_slow_fetches_keep_only_fetches_waiting(
    library: Library, admin: Actor, pending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def take_long(_library: Library, _job: Job) -> None:
        ended.wait(30)

    monkeypatch.setitem(worker._DOING, "fetch", worker._Doing(take_long, uploads.give_up))
    monkeypatch.setattr(worker, "_STOP_S", 0.2)
    for _ in range(20):
        uploads.create(library, admin, NewUpload(kind="asset", url="https://example.com/a.bin"))
    with running(library):
        wait_for(lambda: assets.get(library, admin, pending).status == "success")
    ended.set()
    assert waiting(library) == 20
    assert [found.code for found in upkeep.check(library)] == []


@pytest.mark.usefixtures("pending")
def test_a_lease_that_was_lost_ends_no_thread(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still, or a clock that was set, and another thread of the same worker takes the job up."""
    claims: list[Job] = []
    ended = threading.Event()
    died: list[threading.ExceptHookArgs] = []

    def take_long(_library: Library, job: Job) -> None:
        claims.append(job)
        ended.wait(30)

    monkeypatch.setitem(worker._DOING, "probe", worker._Doing(take_long, asset_bytes.give_up))
    monkeypatch.setattr(threading, "excepthook", died.append)
    with running(library):
        wait_for(lambda: len(claims) == 1)
        with library.store.write() as tx:
            tx.jobs.put_back(claims[0], "2000", counts=True)
        library.work.set()
        wait_for(lambda: len(claims) == 2)
        ended.set()
    assert died == []
