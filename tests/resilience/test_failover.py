"""A database that is killed while servers write to it: its standby takes over, and every answered write is there."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import scenario_sdk
from patience import Diary, patient_client, write_on
from servers import Server, findings, make_place, serving
from workers import Members, Names, Tags, Trash, Worker

from local.postgres import PostgresServer, wait_until
from pinakes import collections, projects
from pinakes.access import Actor, NewApiKey, authenticate, create_first_key, hash_secret
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library

KINDS: tuple[type[Worker], ...] = (Members, Members, Trash, Tags, Names, Members, Tags)
EACH = 120


def either(primary: PostgresServer, standby: PostgresServer, options: str = "") -> str:
    """The URL of whichever of the two takes writes."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return f"postgresql://postgres:{primary.password}@{hosts}/postgres{options}"


@contextmanager
def writing(server: Server, workers: list[Worker], diary: Diary) -> Iterator[threading.Event]:
    """The workers write as long as the block runs, some before and some after it. The event: one has failed."""
    stop = threading.Event()

    def write(worker: Worker) -> None:
        try:
            write_on(worker, server, diary, stop)
        finally:
            stop.set()

    with ThreadPoolExecutor(len(workers)) as pool:
        running = [pool.submit(write, worker) for worker in workers]
        try:
            wait_for_writes(workers, stop)
            if not stop.is_set():
                yield stop
            wait_for_writes(workers, stop)
        finally:
            stop.set()
            for one in running:
                one.result()


def wait_for_writes(workers: list[Worker], stop: threading.Event) -> None:
    """Until each has written, or one failed."""
    before = [worker.writes for worker in workers]
    until = time.monotonic() + 60
    while any(worker.writes < n + 3 for worker, n in zip(workers, before, strict=True)) and not stop.is_set():
        assert time.monotonic() < until
        time.sleep(0.01)


def make_workers(server: Server, diary: Diary) -> list[Worker]:
    workers = [kind(number) for number, kind in enumerate(KINDS)]
    with patient_client(server, diary) as client:
        for worker in workers:
            worker.prepare(client, server.place.asset_ids[worker.number * EACH :][:EACH])
    return workers


def assert_nothing_lost(server: Server, workers: list[Worker], diary: Diary, **settings: str) -> None:
    with patient_client(server, diary) as client:
        for worker in workers:
            worker.possible = worker.confirmed
            worker.compare(client)
    assert findings(server.place, **settings) == []
    assert diary.statuses() == {200, 503}
    assert "Traceback" not in server.place.log.read_text()


@pytest.mark.timeout(300)
def test_a_standby_takes_over(primary: PostgresServer, standby: PostgresServer, tmp_path: Path) -> None:
    settings = {"database_url": either(primary, standby)}
    place = make_place(tmp_path, EACH * len(KINDS), **settings)
    diary = Diary()
    with serving(place, access_log="false", **settings) as server:
        workers = make_workers(server, diary)
        with writing(server, workers, diary):
            time.sleep(1)
            killed_at = time.monotonic()
            primary.kill()
            standby.promote()
            promoted_at = time.monotonic()
        assert_nothing_lost(server, workers, diary, **settings)
    writes = sum(worker.writes for worker in workers)
    pause_s = diary.pause(killed_at, promoted_at)
    print(
        f"\n{writes} writes answered, and all are there; {sum(worker.in_flight for worker in workers)} answered 503;"
        f" {pause_s:.2f} s without writes, {promoted_at - killed_at:.2f} s from the kill until the standby was promoted"
    )
    assert pause_s < 10


@pytest.mark.timeout(300)
def test_a_server_that_starts_again(primary: PostgresServer, tmp_path: Path) -> None:
    """It refuses connections, then says that it is starting up, then goes on."""
    settings = {"database_url": primary.url()}
    place = make_place(tmp_path, EACH * len(KINDS), **settings)
    diary = Diary()
    with serving(place, access_log="false", **settings) as server:
        workers = make_workers(server, diary)
        with writing(server, workers, diary) as stop:
            for _ in range(3):
                time.sleep(0.3)
                primary.kill()
                time.sleep(0.3)
                primary.restart()
                wait_for_writes(workers, stop)
        assert_nothing_lost(server, workers, diary, **settings)


@pytest.mark.timeout(300)
def test_the_official_client(primary: PostgresServer, standby: PostgresServer, tmp_path: Path) -> None:
    """It tries again by itself, and sees nothing of it all."""
    settings = {"database_url": either(primary, standby)}
    place = make_place(tmp_path, 49, **settings)
    with serving(place, access_log="false", **settings) as server:
        client = scenario_sdk.Scenario(
            base_url=f"{server.url}/v1", api_key=place.key_id, api_secret=place.secret, max_retries=20
        )
        made: list[str] = []
        stop = threading.Event()

        def make_collections() -> None:
            while not stop.is_set():
                collection = client.collections.create(name="A collection").collection
                client.collections.assets.add(collection.id, asset_ids=place.asset_ids)
                made.append(collection.id)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(make_collections)
            try:
                wait_until(lambda: len(made) >= 10 or running.done(), "the client to write")
                primary.kill()
                standby.promote()
                before = len(made)
                wait_until(lambda: len(made) >= before + 10 or running.done(), "the client to write")
            finally:
                stop.set()
            running.result()
        counts = {one.id: one.asset_count for one in client.collections.list(page_size=100)}
        assert {counts[id] for id in made} == {49}
        client.close()
    assert findings(place, **settings) == []


@pytest.fixture
def opened() -> Iterator[Callable[[Config], tuple[Library, Actor]]]:
    libraries: list[Library] = []

    def open_one(config: Config) -> tuple[Library, Actor]:
        library = open_library(config)
        libraries.append(library)
        key = create_first_key(library, projects.create_first(library, "A project"), NewApiKey("A key", "admin"))
        return library, authenticate(library, key.id, hash_secret(key.secret), None)

    yield open_one
    for library in libraries:
        library.close()


def test_a_standby_that_is_not_promoted_yet(
    primary: PostgresServer,
    standby: PostgresServer,
    tmp_path: Path,
    opened: Callable[[Config], tuple[Library, Actor]],
) -> None:
    """Whoever is led to it, as by a balancer that is too quick, is told to come again; no connection to it is kept."""
    url = either(primary, standby, "?target_session_attrs=any")
    library, actor = opened(Config(data=str(tmp_path / "data"), database_url=url))
    kept = collections.create(library, actor, NewCollection("Before"))
    primary.kill()
    for _ in range(3):
        with pytest.raises(PinakesError) as caught:
            collections.create(library, actor, NewCollection("Meanwhile"))
        assert (caught.value.code, caught.value.details["retryAfter"]) == ("UNAVAILABLE", 1)
        with pytest.raises(PinakesError, match="takes no writes"):
            library.store.ready()
    standby.promote()
    library.store.ready()
    after = library.store.attempt(lambda: collections.create(library, actor, NewCollection("After")))
    names = [one.name for one in collections.get_page(library, actor, 10, "").items]
    assert names == ["After", "Before"]
    assert {kept.id, after.id} == {one.id for one in collections.get_page(library, actor, 10, "").items}


def test_a_standby_is_no_place_to_start(primary: PostgresServer, standby: PostgresServer, tmp_path: Path) -> None:
    make_place(tmp_path, database_url=primary.url())
    with pytest.raises(PinakesError, match="takes no writes"):
        open_library(Config(data=str(tmp_path / "other"), database_url=standby.url()))
