"""PostgreSQL under bad weather: locks and statements that last, deadlocks, full pools, other schemas, bad pages."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
from conftest import make_assets

from pinakes import assets, collections, upkeep
from pinakes.access import Actor
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library, upgrade
from pinakes.store import postgres_schema, schema

pytestmark = pytest.mark.engine("postgres")


def refusal(call: Callable[[], Any]) -> PinakesError:
    with pytest.raises(PinakesError) as caught:
        call()
    assert caught.value.code == "UNAVAILABLE"
    return caught.value


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    return collections.create(library, admin, NewCollection("Shelf")).id


def rename(library: Library, admin: Actor, shelf: str, name: str = "New") -> Callable[[], Any]:
    return lambda: library.store.attempt(lambda: collections.update(library, admin, shelf, CollectionPatch(name=name)))


def test_a_row_that_another_holds_is_waited_for_and_then_not(library: Library, admin: Actor, shelf: str) -> None:
    with psycopg.connect(library.config.database_url) as other:
        other.execute("SELECT 1 FROM collection FOR UPDATE")
        begun = time.monotonic()
        error = refusal(rename(library, admin, shelf))
        assert 0.9 < time.monotonic() - begun < 5  # `busy_timeout_s` is 1 in tests
        assert "lock timeout" in error.message
        assert error.details["retryAfter"] == 1
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(rename(library, admin, shelf))
            time.sleep(0.3)
            other.rollback()
            assert waiting.result().name == "New"


def test_a_statement_that_takes_too_long_is_given_up(config: Config, open_with: Callable[..., Library]) -> None:
    library = open_with(msgspec.structs.replace(config, statement_timeout_s=1))

    def sleep() -> None:
        with library.store.read() as tx:
            tx.upkeep._query("SELECT pg_sleep(5)")

    assert "statement timeout" in refusal(sleep).message
    library.ready()


def test_a_deadlock_is_run_anew_and_nobody_hears_of_it(
    admin: Actor, config: Config, open_with: Callable[..., Library]
) -> None:
    """Two verbs that each lock what the other wants next. PostgreSQL looks for deadlocks after a second of waiting."""
    library = open_with(msgspec.structs.replace(config, busy_timeout_s=10))
    first, second = (collections.create(library, admin, NewCollection(name)).id for name in ("a", "b"))
    tries: list[str] = []
    meet = threading.Barrier(2)

    def verb(order: tuple[str, str], name: str) -> Callable[[], None]:
        def run() -> None:
            is_first_try = name not in tries
            tries.append(name)
            with library.store.write(admin.owner, beside=True) as tx:
                assert tx.collections.find(admin.owner, order[0])
                if is_first_try:
                    meet.wait(10)
                assert tx.collections.find(admin.owner, order[1])

        return run

    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(library.store.attempt, verb((first, second), "one")),
            pool.submit(library.store.attempt, verb((second, first), "other")),
        ]
        assert [one.result(20) for one in both] == [None, None]
    assert len(tries) == 3


def test_what_a_verb_passes_over_does_not_pass_for_done(library: Library, admin: Actor) -> None:
    """PostgreSQL answers the commit of a transaction that failed by rolling it back, which is no error to it."""

    def careless() -> None:
        with library.store.write(admin.owner) as tx:
            tx.collections._change("UPDATE collection SET name = 'x'")
            with pytest.raises(psycopg.errors.UndefinedTable):
                tx.collections._query("SELECT 1 FROM nowhere")

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        careless()
    library.ready()


def test_who_finds_no_connection_free_waits_and_then_hears_so(
    config: Config, open_with: Callable[..., Library]
) -> None:
    library = open_with(msgspec.structs.replace(config, database_connections=2))
    held, done = threading.Barrier(3), threading.Event()

    def hold() -> None:
        with library.store.read() as tx:
            tx.upkeep.ready()
            held.wait(10)
            done.wait(10)

    with ThreadPoolExecutor(2) as pool:
        holding = [pool.submit(hold) for _ in range(2)]
        held.wait(10)
        assert "connections to the database are in use" in refusal(library.ready).message
        done.set()
        for one in holding:
            one.result()
    library.ready()


def test_connections_that_were_ended_are_replaced(library: Library, admin: Actor, shelf: str) -> None:
    rename(library, admin, shelf)()
    with psycopg.connect(library.config.database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert rename(library, admin, shelf, "After")().name == "After"
    assert library.store.attempt(lambda: collections.get(library, admin, shelf)).name == "After"


def test_only_the_schema_of_this_version_is_opened(config: Config) -> None:
    newest = schema.migrations("postgres")[-1].number
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO pinakes_migration (number, name) VALUES (%s, 'later')", (newest + 1,))
        assert "newer Pinakes" in refusal(lambda: open_library(config)).message
        connection.execute("DELETE FROM pinakes_migration WHERE number >= %s", (newest,))
        assert "pinakes migrate" in refusal(lambda: open_library(config)).message


def test_those_who_make_the_same_schema_at_once_make_one(config: Config) -> None:
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with ThreadPoolExecutor(4) as pool:
        ran = list(pool.map(lambda _: postgres_schema.create_or_upgrade(config.database_url), range(4)))
    names = [migration.name for migration in schema.migrations("postgres")]
    assert sorted(ran) == [[], [], [], names]
    assert upgrade(config) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"dbname": "nowhere"}, "does not exist"),
        ({"port": 1}, "refused"),
    ],
)
def test_a_database_that_cannot_be_reached_says_why(config: Config, change: dict[str, Any], words: str) -> None:
    given = psycopg.conninfo.conninfo_to_dict(config.database_url) | change
    host = f"{given['host']}:{given['port']}"
    url = f"postgresql://{given['user']}:{given['password']}@{host}/{given['dbname']}"
    error = refusal(lambda: open_library(msgspec.structs.replace(config, database_url=url)))
    assert "database_url" in error.message
    assert words in error.message
    assert str(given["password"]) not in error.message


def test_what_is_no_address_is_refused_without_telling_it(config: Config) -> None:
    url = "postgresql://user:se cret@[half/name"
    with pytest.raises(PinakesError, match="database_url") as caught:
        open_library(msgspec.structs.replace(config, database_url=url))
    assert caught.value.code == "BAD_REQUEST"
    assert "cret" not in caught.value.message


def test_a_damaged_page_is_told_and_is_no_bug(library: Library) -> None:
    """As PostgreSQL tells of one, word for word; to make one takes more than a test should do to a server."""

    def read() -> None:
        with library.store.read() as tx:
            tx.upkeep._query(
                "DO $$ BEGIN RAISE EXCEPTION 'invalid page in block 0 of relation base' USING ERRCODE = 'XX001'; END $$"
            )

    assert "restore a backup" in refusal(read).message


def test_an_add_and_a_delete_of_the_same_assets_count_right(library: Library, admin: Actor, shelf: str) -> None:
    """Without turns each would miss the other, and the count would be off."""
    made = make_assets(library, admin, 40)

    def work(number: int) -> None:
        some = made[number % 4 :: 4]
        for _ in range(5):
            library.store.attempt(lambda: add_if_live(library, admin, shelf, some))
            library.store.attempt(lambda: assets.delete(library, admin, some))
            library.store.attempt(lambda: assets.restore(library, admin, some))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert upkeep.check(library, is_quick=True) == []


def add_if_live(library: Library, admin: Actor, shelf: str, some: list[str]) -> None:
    """Another may have deleted some just now."""
    try:
        collections.add(library, admin, shelf, "asset", some)
    except PinakesError as error:
        assert error.code == "NOT_FOUND"  # noqa: PT017 - it need not be raised
