"""Collections and their members: all or nothing, counted exactly, and the same seen from both sides."""

from collections.abc import Callable

import msgspec
import pytest
from conftest import Clock, make_assets, store_png

from pinakes import assets, collections, mlmodels, upkeep
from pinakes.access import Actor
from pinakes.asset_types import Thumbnail
from pinakes.assets import NewAsset
from pinakes.collections import Collection, CollectionPatch, MemberNoun, NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import NewModel

NOUNS: list[MemberNoun] = ["asset", "model"]


def make_models(library: Library, actor: Actor, n: int) -> list[str]:
    return [mlmodels.create(library, actor, NewModel()).id for _ in range(n)]


def make(library: Library, actor: Actor, noun: MemberNoun, n: int) -> list[str]:
    return make_assets(library, actor, n) if noun == "asset" else make_models(library, actor, n)


def collection_ids(library: Library, actor: Actor, noun: MemberNoun, id: str) -> list[str]:
    if noun == "asset":
        return assets.get(library, actor, id).collection_ids
    return mlmodels.get(library, actor, id).collection_ids


@pytest.fixture
def shelf(library: Library, admin: Actor) -> str:
    return collections.create(library, admin, NewCollection("Shelf")).id


@pytest.mark.usefixtures("clock")
def test_a_new_collection_is_empty_and_owned_by_the_project(library: Library, admin: Actor) -> None:
    made = collections.create(library, admin, NewCollection("Shelf"))
    assert made == collections.get(library, admin, made.id)
    assert (made.owner_id, made.asset_count, made.model_count, made.item_count) == (admin.project_id, 0, 0, 0)
    assert made.created_at == made.updated_at == "2023-11-14T22:13:20.000Z"
    assert made.id.startswith("col_")


@pytest.mark.parametrize("name", ["  kept  ", "e\u0301", "\u00e9", "a\nb", "💾", "x" * 1024, "\u200b"])
def test_names_are_kept_byte_for_byte(library: Library, admin: Actor, name: str) -> None:
    made = collections.create(library, admin, NewCollection(name))
    assert collections.get(library, admin, made.id).name == name
    renamed = collections.update(library, admin, made.id, CollectionPatch(name=name + "!" if len(name) < 9 else name))
    assert collections.get(library, admin, made.id).name == renamed.name


@pytest.mark.parametrize("name", ["", " ", "\t\n\u3000", "a\0b", "x" * 1025])
def test_names_that_nobody_can_mean_are_refused(library: Library, admin: Actor, shelf: str, name: str) -> None:
    verbs: list[Callable[[], Collection]] = [
        lambda: collections.create(library, admin, NewCollection(name)),
        lambda: collections.update(library, admin, shelf, CollectionPatch(name=name)),
    ]
    for refused in verbs:
        with pytest.raises(PinakesError) as caught:
            refused()
        assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "name")
    assert len(collections.get_page(library, admin, 100).items) == 1


def test_two_collections_may_have_the_same_name(library: Library, admin: Actor) -> None:
    made = [collections.create(library, admin, NewCollection("Same")) for _ in range(2)]
    assert made[0].id < made[1].id
    assert [c.id for c in collections.get_page(library, admin).items] == [made[1].id, made[0].id]


@pytest.mark.parametrize("noun", NOUNS)
def test_adding_reports_counts_and_shows_on_both_sides(
    library: Library, admin: Actor, shelf: str, noun: MemberNoun
) -> None:
    wanted = make(library, admin, noun, 3)
    _, report = collections.add(library, admin, shelf, noun, wanted[:1])
    assert (report.added, report.unchanged) == (wanted[:1], [])
    after, report = collections.add(library, admin, shelf, noun, [wanted[2], wanted[0], wanted[2], wanted[1]])
    assert (report.added, report.unchanged) == ([wanted[2], wanted[1]], [wanted[0]])
    assert after == collections.get(library, admin, shelf)
    assert (after.asset_count, after.model_count) == ((3, 0) if noun == "asset" else (0, 3))
    assert after.item_count == 3
    assert all(collection_ids(library, admin, noun, id) == [shelf] for id in wanted)


@pytest.mark.parametrize("noun", NOUNS)
def test_removing_is_the_reverse_and_may_be_repeated(
    library: Library, admin: Actor, shelf: str, noun: MemberNoun
) -> None:
    first, second, stranger = make(library, admin, noun, 3)
    collections.add(library, admin, shelf, noun, [first, second])
    after, report = collections.remove(library, admin, shelf, noun, [second, stranger, "never_was", second])
    assert (report.removed, report.unchanged) == ([second], [stranger, "never_was"])
    assert after.item_count == 1
    again, report = collections.remove(library, admin, shelf, noun, [second])
    assert (report.removed, report.unchanged, again) == ([], [second], after)
    assert collection_ids(library, admin, noun, second) == []
    assert collection_ids(library, admin, noun, first) == [shelf]


@pytest.mark.parametrize("noun", NOUNS)
def test_one_wrong_id_refuses_the_whole_add_and_never_tells_why(
    library: Library, admin: Actor, other: Actor, shelf: str, noun: MemberNoun
) -> None:
    good, trashed = make(library, admin, noun, 2)
    (foreign,) = make(library, other, noun, 1)
    if noun == "asset":
        assets.delete(library, admin, [trashed])
    else:
        mlmodels.delete(library, admin, trashed)
    before = collections.get(library, admin, shelf)
    for wrong in ("never_was", foreign, trashed, shelf, good + "\0", good.lower(), "", "💾"):
        with pytest.raises(PinakesError) as caught:
            collections.add(library, admin, shelf, noun, [good, wrong])
        assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [wrong]})
        assert caught.value.message == f"{noun}Ids: no such {noun} in this project: {wrong}"
    assert collections.get(library, admin, shelf) == before
    assert collection_ids(library, admin, noun, good) == []


def test_the_kinds_of_members_are_apart(library: Library, admin: Actor, shelf: str) -> None:
    (asset,), (model,) = make_assets(library, admin, 1), make_models(library, admin, 1)
    for noun, wrong in (("asset", model), ("model", asset)):
        with pytest.raises(PinakesError, match="no such"):
            collections.add(library, admin, shelf, "asset" if noun == "asset" else "model", [wrong])


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("change", [collections.add, collections.remove])
def test_49_ids_are_taken_and_none_or_50_are_not(
    library: Library, admin: Actor, shelf: str, noun: MemberNoun, change: object
) -> None:
    assert callable(change)
    wanted = make(library, admin, noun, 50)
    for wrong in ([], wanted, [wanted[0]] * 50):
        with pytest.raises(PinakesError) as caught:
            change(library, admin, shelf, noun, wrong)
        assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", f"{noun}Ids")
    change(library, admin, shelf, noun, wanted[:49])
    assert collections.get(library, admin, shelf).item_count == (49 if change is collections.add else 0)


def test_updated_at_moves_only_when_the_set_changed(clock: Clock, library: Library, admin: Actor, shelf: str) -> None:
    (asset,) = make_assets(library, admin, 1)
    seen = [collections.get(library, admin, shelf).updated_at]

    def step(change: object) -> str:
        assert callable(change)
        clock.move(ms=5)
        change(library, admin, shelf, "asset", [asset])
        seen.append(collections.get(library, admin, shelf).updated_at)
        return seen[-1]

    assert step(collections.remove) == seen[0]
    added = step(collections.add)
    assert added > seen[0]
    assert step(collections.add) == added
    removed = step(collections.remove)
    assert removed > added
    assert step(collections.remove) == removed


def test_updated_at_moves_on_when_the_clock_stands_or_steps_back(
    clock: Clock, library: Library, admin: Actor, shelf: str
) -> None:
    moments = [collections.get(library, admin, shelf).updated_at]
    for move in (0, 0, -5000, 0, 1):
        clock.move(ms=move)
        moments.append(collections.update(library, admin, shelf, CollectionPatch(name=f"{move}")).updated_at)
    assert moments == sorted(set(moments))


def test_reject_reproduces_the_hosted_service(library: Library, admin: Actor, shelf: str) -> None:
    config = msgspec.structs.replace(library.config, duplicate_members="reject")
    strict = msgspec.structs.replace(library, config=config)
    inside, outside = make_assets(library, admin, 2)
    collections.add(strict, admin, shelf, "asset", [inside])
    with pytest.raises(PinakesError) as caught:
        collections.add(strict, admin, shelf, "asset", [outside, inside])
    assert (caught.value.code, caught.value.details["present"]) == ("BAD_REQUEST", [inside])
    with pytest.raises(PinakesError) as caught:
        collections.remove(strict, admin, shelf, "asset", [inside, outside])
    assert (caught.value.code, caught.value.details["absent"]) == ("BAD_REQUEST", [outside])
    assert collections.get(library, admin, shelf).asset_count == 1
    after, added = collections.add(strict, admin, shelf, "asset", [outside, inside], is_repeat=True)
    assert (added.added, added.unchanged, after.asset_count) == ([outside], [inside], 2)
    collections.remove(strict, admin, shelf, "asset", [outside])
    after, removed = collections.remove(strict, admin, shelf, "asset", [outside], is_repeat=True)
    assert (removed.unchanged, after.asset_count) == ([outside], 1)


def test_another_projects_collection_reads_as_unknown(library: Library, admin: Actor, other: Actor, shelf: str) -> None:
    (own,) = make_assets(library, other, 1)
    for id in (shelf, "col_never"):
        for call in (
            lambda id: collections.get(library, other, id),
            lambda id: collections.update(library, other, id, CollectionPatch(name="Mine")),
            lambda id: collections.delete(library, other, id),
            lambda id: collections.delete(library, other, id, is_repeat=True),
            lambda id: collections.add(library, other, id, "asset", [own]),
            lambda id: collections.remove(library, other, id, "asset", [own]),
        ):
            with pytest.raises(PinakesError) as caught:
                call(id)
            assert caught.value.code == "NOT_FOUND"
            assert caught.value.message == f"There is no collection {id!r} in this project."
    assert collections.get(library, admin, shelf).name == "Shelf"
    assert collections.get_page(library, other).items == []


def test_a_deleted_collection_leaves_its_members(library: Library, admin: Actor, shelf: str) -> None:
    kept = collections.create(library, admin, NewCollection("Kept")).id
    (asset,), (model,) = make_assets(library, admin, 1), make_models(library, admin, 1)
    for id in (shelf, kept):
        collections.add(library, admin, id, "asset", [asset])
        collections.add(library, admin, id, "model", [model])
    collections.delete(library, admin, shelf)
    assert assets.get(library, admin, asset).collection_ids == [kept]
    assert mlmodels.get(library, admin, model).collection_ids == [kept]
    with pytest.raises(PinakesError, match="There is no collection"):
        collections.get(library, admin, shelf)
    assert [c.id for c in collections.get_page(library, admin).items] == [kept]


def test_deleting_twice_is_an_error_unless_it_repeats_a_lost_answer(library: Library, admin: Actor, shelf: str) -> None:
    collections.delete(library, admin, shelf)
    with pytest.raises(PinakesError, match="There is no collection"):
        collections.delete(library, admin, shelf)
    collections.delete(library, admin, shelf, is_repeat=True)


def test_an_asset_may_be_born_into_collections_or_not_at_all(library: Library, admin: Actor, shelf: str) -> None:
    (asset,) = make_assets(library, admin, 1, [shelf, shelf])
    assert assets.get(library, admin, asset).collection_ids == [shelf]
    assert collections.get(library, admin, shelf).asset_count == 1
    with pytest.raises(PinakesError) as caught:
        make_assets(library, admin, 1, [shelf, "col_never"])
    assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": ["col_never"]})
    with pytest.raises(PinakesError):
        mlmodels.create(library, admin, NewModel(collection_ids=["col_never"]))
    model = mlmodels.create(library, admin, NewModel(collection_ids=[shelf]))
    assert (model.collection_ids, collections.get(library, admin, shelf).model_count) == ([shelf], 1)
    assert len(assets.get_page(library, admin, assets.AssetFilter()).items) == 1
    assert len(mlmodels.get_page(library, admin, mlmodels.ModelFilter()).items) == 1


def test_nothing_is_born_into_more_than_49_collections(library: Library, admin: Actor, shelf: str) -> None:
    ids = [shelf, *(f"col_{n}" for n in range(49))]
    stored = store_png(library)
    for refused in (
        lambda: assets.create(library, admin, NewAsset("a.png", "", collection_ids=ids), stored),
        lambda: mlmodels.create(library, admin, NewModel(collection_ids=ids)),
    ):
        with pytest.raises(PinakesError) as caught:
            refused()
        assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "collectionIds")
    assert collections.get(library, admin, shelf).item_count == 0


@pytest.mark.usefixtures("clock")
def test_if_match(library: Library, admin: Actor, shelf: str) -> None:
    made = make_assets(library, admin, 1)
    first = collections.get(library, admin, shelf)
    etag = collections.etag_of(first)
    second = collections.update(library, admin, shelf, CollectionPatch(name="B"), etag)
    for change in (
        lambda etag: collections.update(library, admin, shelf, CollectionPatch(name="C"), etag),
        lambda etag: collections.delete(library, admin, shelf, etag),
        lambda etag: collections.add(library, admin, shelf, "asset", made, etag),
        lambda etag: collections.remove(library, admin, shelf, "asset", made, etag),
    ):
        for wrong in (etag, '"x"', "", f"W/{collections.etag_of(second)}"):
            with pytest.raises(PinakesError) as caught:
                change(wrong)
            assert caught.value.code == "PRECONDITION_FAILED"
    assert collections.get(library, admin, shelf) == second
    third = collections.update(library, admin, shelf, CollectionPatch(name="C"), "*")
    fourth, _ = collections.add(library, admin, shelf, "asset", made, f'"x", {collections.etag_of(third)}')
    fifth, _ = collections.remove(library, admin, shelf, "asset", made, collections.etag_of(fourth))
    collections.delete(library, admin, shelf, collections.etag_of(fifth))


@pytest.mark.usefixtures("clock")
def test_a_repeat_of_what_was_done_needs_no_condition(library: Library, admin: Actor, shelf: str) -> None:
    made = make_assets(library, admin, 2)
    etag = collections.etag_of(collections.get(library, admin, shelf))
    patch = CollectionPatch(name="B", thumbnail=made[0])
    changes: list[tuple[Callable[..., object], Callable[..., object]]] = [
        (
            lambda *how: collections.update(library, admin, shelf, patch, *how),
            lambda *how: collections.update(library, admin, shelf, CollectionPatch(name="C"), *how),
        ),
        (
            lambda *how: collections.add(library, admin, shelf, "asset", made[:1], *how),
            lambda *how: collections.add(library, admin, shelf, "asset", made, *how),
        ),
        (
            lambda *how: collections.remove(library, admin, shelf, "asset", made[:1], *how),
            lambda *how: collections.update(library, admin, shelf, CollectionPatch(thumbnail=made[0]), *how),
        ),
    ]
    for change, another in changes:
        change(etag)
        done = collections.get(library, admin, shelf)
        change(etag, True)
        after = collections.get(library, admin, shelf)
        assert msgspec.structs.replace(after, updated_at=done.updated_at) == done
        for refused, is_repeat in ((change, False), (another, True)):
            with pytest.raises(PinakesError) as caught:
                refused(etag, is_repeat)
            assert caught.value.code == "PRECONDITION_FAILED"
        assert collections.get(library, admin, shelf) == after
        etag = collections.etag_of(after)


def test_the_etag_changes_before_the_link_of_the_thumbnail_ends(
    clock: Clock, library: Library, admin: Actor, shelf: str
) -> None:
    """Else a client that asks whether anything changed would keep a dead link."""
    bare = collections.etag_of(collections.get(library, admin, shelf))
    clock.move(days=1)
    assert collections.etag_of(collections.get(library, admin, shelf)) == bare
    (cover,) = make_assets(library, admin, 1)
    collections.update(library, admin, shelf, CollectionPatch(thumbnail=cover))
    links: dict[str, set[str]] = {}
    first = collections.etag_of(collections.get(library, admin, shelf))
    for _ in range(60):
        seen = collections.get(library, admin, shelf)
        assert isinstance(seen.thumbnail, Thumbnail)
        links.setdefault(collections.etag_of(seen), set()).add(seen.thumbnail.url)
        clock.move(days=1 / 24)
    assert len(links) > 1
    assert all(len(same) == 1 for same in links.values())
    collections.update(library, admin, shelf, CollectionPatch(name="still what was read"), first)


@pytest.mark.usefixtures("clock")
def test_the_etag_moves_with_members_and_their_trash(library: Library, admin: Actor, shelf: str) -> None:
    asset, cover = make_assets(library, admin, 2)
    etags = [collections.etag_of(collections.get(library, admin, shelf))]
    for change in (
        lambda: collections.add(library, admin, shelf, "asset", [asset]),
        lambda: assets.delete(library, admin, [asset]),
        lambda: collections.update(library, admin, shelf, CollectionPatch(thumbnail=cover)),
        lambda: assets.delete(library, admin, [cover]),
    ):
        change()
        etags.append(collections.etag_of(collections.get(library, admin, shelf)))
    assert len(set(etags)) == len(etags)


def test_members_in_the_trash_are_hidden_and_come_back(library: Library, admin: Actor, shelf: str) -> None:
    gone, kept = make_assets(library, admin, 2, [shelf])
    assets.delete(library, admin, [gone])
    assert collections.get(library, admin, shelf).asset_count == 1
    listed = assets.get_page(library, admin, assets.AssetFilter(collection_id=shelf)).items
    assert [asset.id for asset in listed] == [kept]
    assets.restore(library, admin, [gone])
    assert collections.get(library, admin, shelf).asset_count == 2
    assert assets.get(library, admin, gone).collection_ids == [shelf]


@pytest.mark.parametrize("noun", NOUNS)
def test_what_was_removed_while_in_the_trash_stays_removed(
    clock: Clock, library: Library, admin: Actor, shelf: str, noun: MemberNoun
) -> None:
    gone, kept = make(library, admin, noun, 2)
    collections.add(library, admin, shelf, noun, [gone, kept])
    if noun == "asset":
        collections.update(library, admin, shelf, CollectionPatch(thumbnail=gone))
        assets.delete(library, admin, [gone])
    else:
        mlmodels.delete(library, admin, gone)
    before = collections.get(library, admin, shelf)
    clock.move(ms=5)
    after, report = collections.remove(library, admin, shelf, noun, [gone])
    assert (after, report.removed, report.unchanged) == (before, [], [gone])
    if noun == "asset":
        assets.restore(library, admin, [gone])
    else:
        mlmodels.restore(library, admin, gone)
    assert collection_ids(library, admin, noun, gone) == []
    assert collections.get(library, admin, shelf) == before
    assert upkeep.check(library, is_quick=True) == []
