"""Reads that may take long come from a replica, and miss nothing that was committed before they began."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import make_assets, new_actor
from structlog.testing import capture_logs

from local.postgres import PostgresServer, wait_until
from pinakes import assets
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.store.replica import Replica
from pinakes.tags import TagChange


@pytest.fixture
def library(primary: PostgresServer, standby: PostgresServer, tmp_path: Path) -> Iterator[Library]:
    library = open_library(
        Config(
            data=str(tmp_path / "data"),
            database_url=primary.url(),
            database_read_url=standby.url(),
            busy_timeout_s=1,
        )
    )
    yield library
    library.close()


@pytest.fixture
def actor(library: Library) -> Actor:
    return new_actor(library)


@pytest.fixture
def beside(library: Library) -> Library:
    """The library for reads that may take long."""
    return msgspec.structs.replace(library, store=library.store.replica())


def replica_of(library: Library) -> Replica:
    store: Any = library.store
    replica: Replica = store._replica
    return replica


def tagged(library: Library, actor: Actor, tag: str) -> list[str]:
    page = library.store.attempt(lambda: assets.get_page(library, actor, AssetFilter(tags=(tag,)), 100))
    return sorted(asset.id for asset in page.items)


def wait_for_use(library: Library, beside: Library, actor: Actor) -> None:
    """Until the replica answers reads again; they are answered meanwhile."""
    before = replica_of(library).reads

    def is_used() -> bool:
        tagged(beside, actor, "any")
        return replica_of(library).reads > before

    wait_until(is_used, "the replica to be read")


def add_tag(library: Library, actor: Actor, id: str, tag: str) -> None:
    assets.update_tags(library, actor, id, TagChange(add=[tag]))


def test_reads_go_there(library: Library, beside: Library, actor: Actor, standby: PostgresServer) -> None:
    (id,) = make_assets(library, actor, 1)
    add_tag(library, actor, id, "red")
    wait_for_use(library, beside, actor)
    before = replica_of(library).reads
    for _ in range(10):
        assert tagged(beside, actor, "red") == [id]
    assert replica_of(library).reads == before + 10
    last = standby.execute("SELECT query FROM pg_stat_activity WHERE application_name = 'pinakes'")
    assert any("FROM asset" in query for (query,) in last)
    assert not any("FOR NO KEY" in query for (query,) in last)


def test_own_writes_are_seen(library: Library, beside: Library, actor: Actor) -> None:
    """Written here, read there at once, again and again."""
    wait_for_use(library, beside, actor)
    ids = make_assets(library, actor, 50)
    for number, id in enumerate(ids):
        add_tag(library, actor, id, "red")
        assert tagged(beside, actor, "red") == sorted(ids[: number + 1])
    assert replica_of(library).reads > 25


def test_a_replica_that_is_behind(library: Library, beside: Library, actor: Actor, standby: PostgresServer) -> None:
    """Waited for only once in a while, and said once."""
    ids = make_assets(library, actor, 20)
    wait_for_use(library, beside, actor)
    standby.execute("SELECT pg_wal_replay_pause()")
    with capture_logs() as logs:
        started = time.monotonic()
        for number, id in enumerate(ids):
            add_tag(library, actor, id, "red")
            assert tagged(beside, actor, "red") == sorted(ids[: number + 1])
        took = time.monotonic() - started
    assert [entry["event"] for entry in logs] == ["replica not read"]
    assert "behind" in logs[0]["error"]
    assert took < 10
    standby.execute("SELECT pg_wal_replay_resume()")
    wait_for_use(library, beside, actor)
    assert tagged(beside, actor, "red") == sorted(ids)


def test_a_replica_that_is_away(
    library: Library, beside: Library, actor: Actor, primary: PostgresServer, standby: PostgresServer
) -> None:
    (id,) = make_assets(library, actor, 1)
    wait_for_use(library, beside, actor)
    primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
    primary.execute("SELECT pg_reload_conf()")
    standby.kill()
    add_tag(library, actor, id, "red")
    slowest = 0.0
    for _ in range(30):
        started = time.monotonic()
        assert tagged(beside, actor, "red") == [id]
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.05)
    assert slowest < 1
    standby.restart()
    wait_for_use(library, beside, actor)
    assert tagged(beside, actor, "red") == [id]


def test_a_replica_that_hangs(library: Library, beside: Library, actor: Actor, standby: PostgresServer) -> None:
    """It takes connections and says nothing: one read waits for it, and the others go on."""
    (id,) = make_assets(library, actor, 1)
    add_tag(library, actor, id, "red")
    wait_for_use(library, beside, actor)
    with standby.suspended():
        started = time.monotonic()
        for _ in range(10):
            assert tagged(beside, actor, "red") == [id]
        assert time.monotonic() - started < 5
    wait_for_use(library, beside, actor)


def test_a_replica_that_was_promoted(
    library: Library, beside: Library, actor: Actor, primary: PostgresServer, standby: PostgresServer
) -> None:
    """It follows nobody any more, and may have what the primary has not."""
    (id,) = make_assets(library, actor, 1)
    wait_for_use(library, beside, actor)
    primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
    primary.execute("SELECT pg_reload_conf()")
    standby.promote()
    standby.execute("CREATE TABLE more AS SELECT generate_series(1, 10000)")
    before = replica_of(library).reads
    add_tag(library, actor, id, "red")
    for _ in range(3):
        assert tagged(beside, actor, "red") == [id]
        time.sleep(0.6)
    assert replica_of(library).reads == before


def test_another_database_is_no_replica(primary: PostgresServer, postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.fresh() as url:
        library = open_library(
            Config(data=str(tmp_path / "data"), database_url=primary.url(), database_read_url=url, busy_timeout_s=1)
        )
        beside = msgspec.structs.replace(library, store=library.store.replica())
        actor = new_actor(library)
        (id,) = make_assets(library, actor, 1)
        add_tag(library, actor, id, "red")
        with capture_logs() as logs:
            for _ in range(20):
                assert tagged(beside, actor, "red") == [id]
                time.sleep(0.1)
        assert replica_of(library).reads == 0
        assert [entry["error"] for entry in logs] == ["database_read_url leads to another database than database_url"]
        library.close()


def test_without_the_primary_nothing_is_read(
    library: Library, beside: Library, actor: Actor, primary: PostgresServer
) -> None:
    """Nobody knows what the replica lacks."""
    wait_for_use(library, beside, actor)
    primary.kill()
    with pytest.raises(PinakesError) as caught:
        tagged(beside, actor, "red")
    assert caught.value.code == "UNAVAILABLE"
    primary.restart()
    wait_for_use(library, beside, actor)


def test_sqlite_is_its_own_replica(tmp_path: Path) -> None:
    library = open_library(Config(data=str(tmp_path / "data")))
    assert library.store.replica() is library.store
    library.close()
