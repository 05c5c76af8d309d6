"""Random histories of several projects, compared after each step with a model in memory."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

import linking
import pytest
from conftest import DAY_MS, Clock, OpenDatabase, make_assets, new_key, sign_in, store_png
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from library_model import Noun, Project, Shelf, Thing
from msgspec import UNSET

from pinakes import assets, collections, ids, mlmodels, projects, tags, upkeep
from pinakes.access import Actor
from pinakes.asset_types import Ingredient, SkippedAsset, Thumbnail
from pinakes.assets import AssetFilter, NewAsset
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library, open_library
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.model_types import FileRole
from pinakes.page import Page
from pinakes.projects import NewProject
from pinakes.tags import TagChange

NOUNS = st.sampled_from(["asset", "model"])
CHOICE = st.integers(0, 1000)
CHOICES = st.lists(CHOICE, min_size=1, max_size=6)
WHICH = st.integers(0, 2)
TAGS = st.sets(st.sampled_from(["a", "b", "Ä", "c c"]), max_size=3)
NAMES = st.sampled_from(["", "Fox", "WOLF"])
NEVER = ["asset_never", "flux.1-never", ""]


class LibraryMachine(RuleBasedStateMachine):
    """Each rule calls a verb on the library and says in the model what it must have done."""

    databases: Callable[[], AbstractContextManager[str]]
    looks_after = 1
    """Steps from one look at everything to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.things = ExitStack()
        folder = self.things.enter_context(tempfile.TemporaryDirectory())
        url = self.things.enter_context(type(self).databases())
        self.clock, self.real_clock = Clock(2_000_000_000_000), ids.now_ms
        self.ticks = ids._last_tick
        ids.now_ms, ids._last_tick = self.clock, 0
        config = Config(data=folder, database_url=url, blob_url="memory://", database_connections=2)
        self.library: Library = open_library(config)
        self.steps = 0

    @initialize()
    def begin(self) -> None:
        key = new_key(self.library)
        first = sign_in(self.library, key)
        made = [projects.create(self.library, first, NewProject(name)).id for name in ("Second", "Third")]
        self.actors = [first] + [sign_in(self.library, key, id) for id in made]
        self.projects = [Project() for _ in self.actors]
        for which in range(3):  # histories are short: something to work with
            self.create_collection(which, "Shelf")
            for noun in ("asset", "asset", "asset", "model"):
                self.create_thing(which, noun, [0])

    def teardown(self) -> None:
        self.library.close()
        ids.now_ms, ids._last_tick = self.real_clock, self.ticks
        self.things.close()

    def at(self, which: int) -> tuple[Library, Actor, Project]:
        self.clock.move(ms=1)
        return self.library, self.actors[which], self.projects[which]

    # Collections

    @rule(which=WHICH, name=st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
    def create_collection(self, which: int, name: str) -> None:
        library, actor, project = self.at(which)
        made = collections.create(library, actor, NewCollection(name))
        project.shelves[made.id] = Shelf(made.id, name, self.clock.ms)

    @rule(which=WHICH, choice=CHOICE)
    def rename_collection(self, which: int, choice: int) -> None:
        library, actor, project = self.at(which)
        if shelf := pick(project.live_shelves(), choice):
            collections.update(library, actor, shelf.id, CollectionPatch(name=f"Name {choice}"))
            shelf.name, shelf.updated_ms = f"Name {choice}", self.clock.ms

    @rule(which=WHICH, choice=CHOICE)
    def delete_collection(self, which: int, choice: int) -> None:
        library, actor, project = self.at(which)
        if shelf := pick(list(project.shelves.values()), choice):
            refused = missing(lambda: collections.delete(library, actor, shelf.id))
            assert refused == ([shelf.id] if shelf.is_deleted else None)
            shelf.is_deleted = True

    @rule(which=WHICH, noun=NOUNS, choice=CHOICE, wanted=CHOICES)
    def add(self, which: int, noun: Noun, choice: int, wanted: list[int]) -> None:
        """Of own live ids: unknown, foreign and trashed ones have a rule of their own."""
        library, actor, project = self.at(which)
        shelf, members = pick(project.live_shelves(), choice), [pick(project.live(noun), n) for n in wanted]
        chosen = list(dict.fromkeys(member.id for member in members if member))
        if shelf and chosen:
            after, report = collections.add(library, actor, shelf.id, noun, chosen + chosen[:1])
            assert report.added == [id for id in chosen if id not in shelf.members[noun]]
            assert sorted(report.added + report.unchanged) == sorted(chosen)
            shelf.members[noun] |= set(chosen)
            shelf.updated_ms = self.clock.ms if report.added else shelf.updated_ms
            assert facts_of(after) == project.shelf_facts(shelf)

    @rule(which=WHICH, noun=NOUNS, choice=CHOICE, wanted=CHOICES)
    def add_with_wrong_ids(self, which: int, noun: Noun, choice: int, wanted: list[int]) -> None:
        library, actor, project = self.at(which)
        everybody = [id for one in self.projects for id in one.things[noun]] + NEVER
        chosen = list(dict.fromkeys(everybody[n % len(everybody)] for n in wanted))
        wrong = [id for id in chosen if not project.is_live(noun, id)]
        if (shelf := pick(list(project.shelves.values()), choice)) and wrong:
            refused = missing(lambda: collections.add(library, actor, shelf.id, noun, chosen))
            assert refused == ([shelf.id] if shelf.is_deleted else wrong)

    @rule(which=WHICH, noun=NOUNS, choice=CHOICE, wanted=CHOICES)
    def remove(self, which: int, noun: Noun, choice: int, wanted: list[int]) -> None:
        """Any ids at all, members foremost."""
        library, actor, project = self.at(which)
        if shelf := pick(project.live_shelves(), choice):
            everybody = [id for one in self.projects for id in one.things[noun]] + NEVER
            some = sorted(shelf.members[noun]) or everybody
            chosen = list(dict.fromkeys(pick(some if n % 3 else everybody, n // 3) for n in wanted))
            after, report = collections.remove(library, actor, shelf.id, noun, chosen)
            gone = [id for id in chosen if id in shelf.members[noun] and project.is_live(noun, id)]
            assert (report.removed, report.unchanged) == (gone, [id for id in chosen if id not in gone])
            ended = shelf.members[noun] & set(chosen)  # also what is in the trash, which nobody sees
            shelf.members[noun] -= ended
            shelf.updated_ms = self.clock.ms if gone else shelf.updated_ms
            shelf.cover = None if noun == "asset" and shelf.cover in ended else shelf.cover
            assert facts_of(after) == project.shelf_facts(shelf)

    @rule(which=WHICH, choice=CHOICE, cover=st.none() | CHOICE)
    def set_cover_of_collection(self, which: int, choice: int, cover: int | None) -> None:
        library, actor, project = self.at(which)
        if shelf := pick(project.live_shelves(), choice):
            members = [project.things["asset"][id] for id in sorted(shelf.members["asset"])]
            some = members if members and cover and cover % 3 else list(project.things["asset"].values())
            thing = None if cover is None else pick(some, cover // 3)
            wanted = thing.id if thing else None
            patch = CollectionPatch(thumbnail=wanted)
            refused = missing(lambda: collections.update(library, actor, shelf.id, patch))
            if thing and thing.deleted_ms is not None:
                assert refused == [thing.id]
            else:
                assert refused is None
                shelf.cover, shelf.updated_ms = wanted, self.clock.ms

    # Assets and models

    @rule(which=WHICH, noun=NOUNS, wanted=st.lists(CHOICE, max_size=3))
    def create_thing(self, which: int, noun: Noun, wanted: list[int]) -> None:
        _, actor, project = self.at(which)
        shelves = {shelf.id: shelf for n in wanted if (shelf := pick(list(project.shelves.values()), n))}
        wrong = sorted(shelf.id for shelf in shelves.values() if shelf.is_deleted)
        if wrong:
            assert missing(lambda: self.make(actor, noun, list(shelves))) == wrong
            return
        id = self.make(actor, noun, list(shelves))
        project.things[noun][id] = Thing(id, self.clock.ms, self.clock.ms)
        for shelf in shelves.values():
            shelf.members[noun].add(id)
            shelf.updated_ms = self.clock.ms

    @rule(which=WHICH, made_with=linking.MADE_WITH, choice=st.none() | CHOICE)
    def create_asset_of_models(self, which: int, made_with: tuple[Ingredient, ...], choice: int | None) -> None:
        library, actor, project = self.at(which)
        said = None if choice is None else pick(project.live("model"), choice)
        model_id = said and said.id
        id = linking.made_with(library, actor, *made_with, model_id=model_id)
        project.things["asset"][id] = Thing(id, self.clock.ms, self.clock.ms, made_with=made_with, said=model_id)

    @rule(
        which=WHICH,
        data=st.sampled_from(linking.FILES),
        name=NAMES,
        role=st.sampled_from(["lora", "checkpoint", "unknown"]),
    )
    def import_model(self, which: int, data: bytes, name: str, role: FileRole) -> None:
        library, actor, project = self.at(which)
        id, file = linking.file_model(library, actor, data, "model.safetensors", role, name or UNSET)
        known, now = role.replace("unknown", ""), self.clock.ms
        project.things["model"][id] = Thing(id, now, now, name=name, role=known, hash=file.auto_v2)

    @rule(which=WHICH, choice=CHOICE, name=NAMES.filter(bool))
    def rename_model(self, which: int, choice: int, name: str) -> None:
        """One without a file: of others the names in their files count too."""
        library, actor, project = self.at(which)
        if thing := pick([model for model in project.live("model") if not model.hash], choice):
            mlmodels.update(library, actor, thing.id, ModelPatch(name=name))
            thing.name, thing.updated_ms = name, self.clock.ms

    def make(self, actor: Actor, noun: Noun, collection_ids: list[str]) -> str:
        if noun == "model":
            return mlmodels.create(self.library, actor, NewModel(collection_ids=collection_ids)).id
        new = NewAsset("a.png", "", collection_ids=collection_ids)
        return assets.create(self.library, actor, new, store_png(self.library)).id

    @rule(which=WHICH, receiver=WHICH, noun=NOUNS, choice=CHOICE)
    def copy(self, which: int, receiver: int, noun: Noun, choice: int) -> None:
        library, actor, project = self.at(which)
        if thing := pick(project.live(noun), choice):
            if noun == "asset":
                id = assets.copy(library, actor, thing.id, self.actors[receiver].project_id).id
                to, cover = self.projects[receiver], None
            else:
                id = mlmodels.copy(library, actor, thing.id).id
                to, cover = project, project.shown_cover(thing.cover)
            said = thing.said if to is project else None
            changes = {"id": id, "created_ms": self.clock.ms, "updated_ms": self.clock.ms, "cover": cover, "said": said}
            to.things[noun][id] = replace(thing, tags=set(thing.tags), **changes)

    @rule(which=WHICH, wanted=CHOICES)
    def trash_assets(self, which: int, wanted: list[int]) -> None:
        library, actor, project = self.at(which)
        everybody = [id for one in self.projects for id in one.things["asset"]] + NEVER
        chosen = [everybody[n % len(everybody)] for n in wanted]
        assets.delete(library, actor, chosen)
        for id in dict.fromkeys(chosen):
            if project.is_live("asset", id):
                project.move("asset", id, self.clock.ms, self.clock.ms)

    @rule(which=WHICH, wanted=CHOICES)
    def restore_assets(self, which: int, wanted: list[int]) -> None:
        library, actor, project = self.at(which)
        everybody = [id for one in self.projects for id in one.things["asset"]] + NEVER
        chosen = list(dict.fromkeys(everybody[n % len(everybody)] for n in wanted))
        back = [id for id in chosen if id in project.trash("asset", self.clock.ms)]
        report = assets.restore(library, actor, chosen)
        assert report.restored_asset_ids == back
        assert report.skipped_assets == [self.skipped(project, id) for id in chosen if id not in back]
        for id in back:
            project.move("asset", id, None, self.clock.ms)

    def skipped(self, project: Project, id: str) -> SkippedAsset:
        if id not in project.things["asset"]:
            return SkippedAsset(id, "not-found")
        return SkippedAsset(id, "not-deleted" if project.is_live("asset", id) else "expired")

    @rule(which=WHICH, choice=CHOICE)
    def trash_model(self, which: int, choice: int) -> None:
        library, actor, project = self.at(which)
        if thing := pick(list(project.things["model"].values()), choice):
            refused = missing(lambda: mlmodels.delete(library, actor, thing.id))
            assert (refused is None) == (thing.deleted_ms is None)
            if refused is None:
                project.move("model", thing.id, self.clock.ms, self.clock.ms)

    @rule(which=WHICH, choice=CHOICE)
    def restore_model(self, which: int, choice: int) -> None:
        library, actor, project = self.at(which)
        if thing := pick(list(project.things["model"].values()), choice):
            if thing.id in project.trash("model", self.clock.ms):
                mlmodels.restore(library, actor, thing.id)
                project.move("model", thing.id, None, self.clock.ms)
            else:
                with pytest.raises(PinakesError) as caught:
                    mlmodels.restore(library, actor, thing.id)
                assert caught.value.code == ("BAD_REQUEST" if thing.deleted_ms is None else "GONE")

    @rule(which=WHICH, choice=CHOICE, cover=st.none() | CHOICE)
    def set_cover_of_model(self, which: int, choice: int, cover: int | None) -> None:
        library, actor, project = self.at(which)
        asset = None if cover is None else pick(project.live("asset"), cover)
        if thing := pick(project.live("model"), choice):
            mlmodels.update(library, actor, thing.id, ModelPatch(thumbnail=asset.id if asset else None))
            thing.cover, thing.updated_ms = asset.id if asset else None, self.clock.ms

    @rule(which=WHICH, noun=NOUNS, choice=CHOICE, add=TAGS, delete=TAGS)
    def tag(self, which: int, noun: Noun, choice: int, add: set[str], delete: set[str]) -> None:
        library, actor, project = self.at(which)
        if thing := pick(project.live(noun), choice):
            change = TagChange(sorted(add), sorted(delete - add), strict=False)
            verb: Callable[..., Any] = assets.update_tags if noun == "asset" else mlmodels.update_tags
            report = verb(library, actor, thing.id, change)
            assert (report.added, report.deleted) == (sorted(add - thing.tags), sorted((delete - add) & thing.tags))
            thing.tags = thing.tags - (delete - add) | add
            thing.updated_ms = self.clock.ms if report.added or report.deleted else thing.updated_ms

    @rule(days=st.sampled_from([0.5, 3.0, 29.0, 31.0]))
    def time_passes(self, days: float) -> None:
        self.clock.move(days=days)

    # What must hold after each of them

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "actors"):
            return
        self.steps += 1
        if self.steps % self.looks_after:
            return
        for which, (actor, project) in enumerate(zip(self.actors, self.projects, strict=True)):
            looks = self.steps // self.looks_after
            size = 1 + (looks + which) % 5 if looks % len(self.actors) == which else 100
            self.collections_agree(actor, project, size)
            self.things_agree(actor, project, "asset", size)
            self.things_agree(actor, project, "model", size)
            found = walk(lambda token: tags.get_page(self.library, actor, size, token))  # noqa: B023 - called here
            assert {tag.tag_name: tag.item_count for tag in found} == project.tag_counts()
            assert [tag.tag_name for tag in found] == sorted(project.tag_counts(), key=str.encode)
        assert upkeep.check(self.library, is_quick=True) == []

    def collections_agree(self, actor: Actor, project: Project, size: int) -> None:
        found = walk(lambda token: collections.get_page(self.library, actor, size, token))
        wanted = [project.shelf_facts(shelf) for shelf in project.live_shelves()]
        assert [facts_of(item) for item in found] == wanted[::-1]
        for item in found[: self.steps % 3]:
            assert collections.get(self.library, actor, item.id) == item

    def things_agree(self, actor: Actor, project: Project, noun: Noun, size: int) -> None:
        up = bool(self.steps & 1)
        wanted = [project.facts(noun, thing) for thing in project.live(noun)]
        assert self.listed(actor, noun, size, is_ascending=up) == wanted[:: 1 if up else -1]
        by_update = sorted(wanted, key=lambda facts: (facts[4], facts[0]), reverse=not up)
        assert self.listed(actor, noun, size, is_ascending=up, sort_by="updated_at") == by_update
        trash = [facts[0] for facts in self.listed(actor, noun, size, is_deleted=True)]
        assert trash == project.trash(noun, self.clock.ms)
        for shelf in project.live_shelves()[-3:]:
            narrow = {"collection_id": shelf.id} if noun == "asset" else {"collection_ids": (shelf.id,)}
            members = [facts for facts in wanted if facts[0] in shelf.members[noun]]
            assert self.listed(actor, noun, size, is_ascending=up, **narrow) == members[:: 1 if up else -1]

        if noun == "asset":
            for model in project.live("model")[-3:]:
                made = [facts for facts in wanted if model.id in project.links(project.things["asset"][str(facts[0])])]
                assert self.listed(actor, noun, size, is_ascending=up, model_id=model.id) == made[:: 1 if up else -1]

    def listed(self, actor: Actor, noun: Noun, size: int, **filter: Any) -> list[tuple[Any, ...]]:
        if noun == "asset":
            found = walk(lambda token: assets.get_page(self.library, actor, AssetFilter(**filter), size, token))
            return [(*shared_facts(asset), linking.models_of(asset)) for asset in found]
        rows = walk(lambda token: mlmodels.get_page(self.library, actor, ModelFilter(**filter), size, token))
        return [(*shared_facts(model), cover_of(model)) for model in rows]


def walk(get_page: Callable[[str | None], Page[Any]]) -> list[Any]:
    """All rows of a list, page by page. Only the last page may be empty, and it has no token."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = get_page(token)
        assert page.items or not found
        found += page.items
        if page.token is None:
            return found
        assert page.token != token
        token = page.token


def pick(found: list[Any], choice: int) -> Any:
    return found[choice % len(found)] if found else None


def missing(verb: Callable[[], object]) -> list[str] | None:
    """The ids that a verb does not find; None when it does what it should."""
    try:
        verb()
    except PinakesError as error:
        if error.code != "NOT_FOUND":
            raise
        return list(error.details["missing"])
    return None


def cover_of(item: Any) -> str | None:
    return item.thumbnail.asset_id if isinstance(item.thumbnail, Thumbnail) else None


def facts_of(item: collections.Collection) -> tuple[object, ...]:
    assert item.item_count == item.asset_count + item.model_count
    return (item.id, item.name, item.asset_count, item.model_count, cover_of(item), item.updated_at)


def shared_facts(item: Any) -> tuple[Any, ...]:
    return (item.id, sorted(item.tags), sorted(item.collection_ids), item.created_at, item.updated_at)


@pytest.mark.timeout(600)
def test_random_histories(engine: str, open_database: OpenDatabase) -> None:
    databases = staticmethod(open_database)
    is_embedded = engine == "sqlite"  # where a look takes a tenth of what it takes elsewhere
    machine = type("Machine", (LibraryMachine,), {"databases": databases, "looks_after": 1 if is_embedded else 5})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100 if is_embedded else 30,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=checks,
        ),
    )


def test_the_helper_makes_what_check_accepts(library: Library, admin: Actor) -> None:
    make_assets(library, admin, 3)
    assert upkeep.check(library) == []
    assert DAY_MS == 24 * 3600 * 1000
