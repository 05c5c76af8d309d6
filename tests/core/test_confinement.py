"""Every statement on an owned table is confined to one project: shown on a schema that has a partition for each.

PostgreSQL runs each statement of the widest scenario on trial, and says which partitions it looked into. What looks
into several is listed here, with the reason.
"""

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import psycopg
import pytest
from conftest import DAY_MS, new_database
from psycopg.sql import SQL, Composed, Identifier, Literal

from bench import large
from bench.explain import Explained, explained
from bench.large_rows import Sizes
from bench.large_verbs import World, look_around, reads, writes
from bench.plans import somebody
from pinakes import access, assets, collections, downloads, ids, mlmodels, projects, upkeep, uploads, worker
from pinakes.access import Token
from pinakes.assets import NewAsset
from pinakes.collections import NewCollection
from pinakes.config import Config
from pinakes.download_types import ArchiveOptions, ArchiveQuery, NewArchive, NewModelDownload
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.mlmodels import NewModel
from pinakes.projects import NewProject, ProjectPatch
from pinakes.store.jobs import Job
from pinakes.tags import TagChange
from pinakes.upload_types import NewUpload

ACROSS = {
    "UpkeepSql.contradictions": "`check` compares all there is with all there is",
    "UpkeepSql.gather": "bytes are the library's: `check` and the sweep note whatever refers to some",
    "UpkeepSql.users": "bytes are the library's: `check` asks who refers to those that it suspects",
    "UpkeepSql.newest": "bytes are the library's: the sweep asks each key's end where to go on looking",
    "UpkeepSql.referenced_since": "bytes are the library's: the same, from the end that `newest` found",
    "UploadSql.kept_parts": "moving a library takes along the parts of all uploads",
    "UploadSql.abandon": "a restore ends all uploads, once, before anybody is served",
    "ProjectSql.count_team": "a team has many projects, and says how much they hold together",
}
"""Methods whose statements look into several projects, and why."""
NOT_RUN = {
    "AccessSql.begin": "it is no statement",
    "AccessSql.is_admitted": "its statement is `find_grant`",
    "ProcessSql": "servers are the library's, and no project's",
    "RateSql": "requests are counted by who sends them",
    "RowSql": "moving a library reads and writes all of it, a table after the other",
    "UpkeepSql.close": "a mark among the settings",
    "UpkeepSql.closed": "a mark among the settings",
    "UpkeepSql.move_turn": "whose turn it is stands among the settings",
    "UpkeepSql.referenced_bytes": "it sums up what `gather` noted",
    "UpkeepSql.reopen": "a mark among the settings",
    "UpkeepSql.setting": "settings are the library's",
    "UpkeepSql.snapshot": "it is no statement",
    "UpkeepSql.take_turn": "whose turn it is stands among the settings",
}
"""Methods, or all of a class, that the scenario does not call, and why."""

pytestmark = pytest.mark.timeout(400)
MOST_OWNERS = 24


@pytest.fixture(scope="module")
def scattered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library of three projects, each of which has its rows in partitions of its own."""
    folder = tmp_path_factory.mktemp("scattered")
    with new_database("postgres", request) as url:
        config = Config(data=str(folder / "data"), database_url=url)
        large.fill(config, Sizes(600, 120, 1_500, 100), 3)
        _partition(url)
        library = open_library(config)
        yield library
        library.close()


def _partition(url: str) -> None:
    """Replace every owned table by one of the same columns, keys and indexes that has a partition for each owner."""
    with psycopg.connect(url) as connection:
        for table in _owned(connection):
            name, old = Identifier(table), Identifier(f"old_{table}")
            numbered = connection.execute(
                "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = 'number'"
                " AND is_identity = 'YES'",
                (table,),
            ).fetchall()
            for command in (
                SQL("ALTER TABLE {} RENAME TO {}").format(name, old),
                SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL) PARTITION BY LIST (owner)").format(name, old),
                *(_part(table, owner) for owner in range(1, MOST_OWNERS)),
                SQL("INSERT INTO {} SELECT * FROM {}").format(name, old),
                SQL("DROP TABLE {}").format(old),
            ):
                connection.execute(command)
            if numbered:
                last = SQL("pg_get_serial_sequence({}, 'number'), 1 + coalesce(max(number), 0)").format(Literal(table))
                connection.execute(SQL("SELECT setval({}) FROM {}").format(last, name))
        connection.execute("ANALYZE")


def _owned(connection: psycopg.Connection) -> list[str]:
    """All tables that have an owner but the queue of jobs, and what keys may see: those are the library's."""
    found = connection.execute(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema()"
        " AND column_name = 'owner' AND table_name NOT IN ('access_grant', 'job')"
    )
    return [row[0] for row in found]


def _part(table: str, owner: int) -> Composed:
    """The names of partitions tell whose they are."""
    names = (Identifier(f"{table}_of_{owner}"), Identifier(table), Literal(owner))
    return SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({})").format(*names)


def _owners(found: Explained) -> set[str]:
    """Whose partitions a statement looked into."""
    return {owner for step in found.steps for owner in re.findall(r"_of_(\d+)", step.relation)}


@pytest.fixture(scope="module")
def ran(scattered: Library) -> list[Explained]:
    """Every statement of a scenario in which every verb is called, as it was planned for its values and for any."""
    library, admin = scattered, somebody(scattered).actor
    with explained(library, most=3) as found:
        world = look_around(library, admin, pages=4)
        for verb in {**reads(world), **writes(world)}.values():
            verb()
        _in_projects(world)
        _again(world)
        _work(world)
        with pytest.MonkeyPatch.context() as later:
            real = ids.now_ms
            later.setattr(ids, "now_ms", lambda: real() + 40 * DAY_MS)
            _sweep(library)
        _look_at_all(library, world.stored.sha256)
    return found


def _in_projects(world: World) -> None:
    """What is about projects and keys, and what goes from one project to another."""
    library, admin = world.library, world.actor
    projects.create_first(library, "First")
    made = projects.create(library, admin, NewProject("Other"))
    projects.update(library, admin, made.id, ProjectPatch(name="Renamed"))
    assets.copy(library, admin, world.asset, made.id)
    projects.count_team(library, admin, projects.get_team(library, admin).id)
    projects.find_first(library, None)
    access.admit(library, Token("user_1", {admin.project_id: "admin"}, 1 << 60), admin.project_id)
    key = access.get_all_keys(library, [admin.project_id])[0]
    access.revoke_first_key(library, [made.id, admin.project_id], key.id)
    access.revoke_key(library, admin, admin.project_id, key.id, is_repeat=True)
    projects.delete(library, admin, made.id)
    projects.delete(library, admin, made.id, is_repeat=True)


def _again(world: World) -> None:
    """What is rarely asked for."""
    library, admin = world.library, world.actor
    shelf = collections.create(library, admin, NewCollection("Gone")).id
    collections.delete(library, admin, shelf)
    collections.delete(library, admin, shelf, is_repeat=True)
    archive = NewArchive(ArchiveOptions("<id>"), ArchiveQuery(model_ids=world.models[:3]))
    downloads.plan(library, admin, archive)
    downloads.locate(library, admin.project_id, world.asset)
    with suppress(PinakesError):  # it has no file
        downloads.of_model(library, admin, world.model, NewModelDownload())
    for number in range(2):
        model = mlmodels.create(library, admin, NewModel(name=f"Named {number}")).id
        mlmodels.update_tags(library, admin, model, TagChange(add=["tag 1"]))
        mlmodels.update_tags(library, admin, model, TagChange(delete=["tag 1"]))
        collections.add(library, admin, world.collection, "model", [model])
        collections.remove(library, admin, world.collection, "model", [model])


def _work(world: World) -> None:
    """Jobs of all kinds: done, put back, and given up."""
    library, admin = world.library, world.actor
    pending = msgspec.structs.replace(world.stored, is_probed=False)
    for _ in range(2):
        assets.create(library, admin, NewAsset("a.png", ""), pending)
    for url in ("https://example.org/a", "https://example.org/b"):
        uploads.create(library, admin, NewUpload(kind="image", url=url))
    with library.store.write() as tx:
        tx.jobs.add(admin.owner, "link", world.models[0], ids.now())
        tx.jobs.waiting()
    count = Counter[str]()
    for is_fetch in (False, True):
        while job := _claim(library, is_fetch):
            doing = worker._DOING[job.kind]
            with library.store.write() as tx:
                tx.jobs.put_back(job, ids.now(), counts=True)
            job = _claim(library, is_fetch)
            assert job is not None
            count[job.kind] += 1
            if count[job.kind] % 2 and not is_fetch:
                doing.settle(library, job)
            else:
                doing.give_up(library, job, "as told")


def _claim(library: Library, is_fetch: bool) -> Job | None:
    with library.store.write(beside=True) as tx:
        return tx.jobs.claim(is_fetch)


def _sweep(library: Library) -> None:
    library.blobs.put(b"an orphan")
    writer = library.parts.begin("upload_stray", 1)
    writer.write(b"abc")
    writer.finish()
    upkeep.hold_blobs(library, 0)
    report = upkeep.sweep(library, rest=lambda _: False)
    assert min(report.assets, report.models, report.collections, report.uploads, report.downloads) > 0
    assert report.blobs > 0


def _look_at_all(library: Library, sha256: str) -> None:
    library.ready()
    with library.store.transaction() as tx:
        tx.upkeep.learn()
    upkeep.check(library, is_quick=True)
    with library.store.survey() as tx:
        tx.upkeep.users([sha256])
        tx.uploads.kept_parts()
    with library.store.write() as tx:
        tx.uploads.abandon("as told", ids.now())
        tx.assets.fail(1, 1, "as told", ids.now())
        tx.projects.insert_team("team_zzz", "As told", ids.now())


def test_no_statement_looks_into_two_projects(ran: list[Explained]) -> None:
    across = {f"{one.name}, {one.mode}": one.sql for one in ran if len(_owners(one)) > 1 and one.name not in ACROSS}
    assert across == {}
    assert {name for one in ran for name in [one.name] if len(_owners(one)) == 1} > {"AssetSql.find", "SearchSql.find"}


def test_what_is_said_to_look_into_all_does(ran: list[Explained]) -> None:
    assert {one.name for one in ran if len(_owners(one)) > 1} == set(ACROSS)


def test_the_scenario_has_every_statement_there_is(scattered: Library, ran: list[Explained]) -> None:
    with scattered.store.read() as tx:
        methods = {
            f"{type(noun).__name__}.{name}"
            for noun in vars(tx).values()
            for name, _ in inspect.getmembers(noun, inspect.ismethod)
            if not name.startswith("_")
        }
    left = methods - {one.name for one in ran}
    assert {name for name in left if not {name, name.partition(".")[0]} & set(NOT_RUN)} == set()
