"""Tags: shared by assets and models, counted over what is live, strict unless told otherwise."""

import pytest
from conftest import Clock, make_assets

from pinakes import assets, mlmodels, tags, upkeep
from pinakes.access import Actor
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import NewModel
from pinakes.tags import TagChange


def counts(library: Library, actor: Actor) -> dict[str, int]:
    return {tag.tag_name: tag.item_count for tag in tags.get_page(library, actor, 100).items}


@pytest.fixture
def asset(library: Library, admin: Actor) -> str:
    return make_assets(library, admin, 1)[0]


def test_assets_and_models_share_tags(library: Library, admin: Actor, other: Actor, asset: str) -> None:
    model = mlmodels.create(library, admin, NewModel()).id
    report = assets.update_tags(library, admin, asset, TagChange(add=["b", "a", "b"]))
    assert (report.added, report.deleted) == (["b", "a"], [])
    assert assets.get(library, admin, asset).tags == ["a", "b"]
    mlmodels.update_tags(library, admin, model, TagChange(add=["b"]))
    assert mlmodels.get(library, admin, model).tags == ["b"]
    assert counts(library, admin) == {"a": 1, "b": 2}
    assert counts(library, other) == {}
    report = assets.update_tags(library, admin, asset, TagChange(add=["c"], delete=["a", "b"]))
    assert (report.added, report.deleted) == (["c"], ["a", "b"])
    assert counts(library, admin) == {"b": 1, "c": 1}


def test_strict_refuses_what_would_change_nothing_and_then_changes_nothing(
    clock: Clock, library: Library, admin: Actor, asset: str
) -> None:
    assets.update_tags(library, admin, asset, TagChange(add=["a"]))
    before = assets.get(library, admin, asset)
    clock.move(ms=1)
    for change, field, named in (
        (TagChange(add=["new", "a"]), "add", ["a"]),
        (TagChange(add=["new"], delete=["b", "a"]), "delete", ["b"]),
    ):
        with pytest.raises(PinakesError) as caught:
            assets.update_tags(library, admin, asset, change)
        assert caught.value.code == "BAD_REQUEST"
        assert caught.value.details == {"field": field, "tags": named}
    assert assets.get(library, admin, asset) == before
    assert counts(library, admin) == {"a": 1}


def test_lenient_skips_what_would_change_nothing(clock: Clock, library: Library, admin: Actor, asset: str) -> None:
    assets.update_tags(library, admin, asset, TagChange(add=["a"]))
    clock.move(ms=1)
    nothing = assets.update_tags(library, admin, asset, TagChange(add=["a"], delete=["b"], strict=False))
    assert (nothing.added, nothing.deleted) == ([], [])
    unmoved = assets.get(library, admin, asset)
    assert unmoved.updated_at == unmoved.created_at
    some = assets.update_tags(library, admin, asset, TagChange(add=["a", "c"], delete=["b"], strict=False))
    assert (some.added, some.deleted) == (["c"], [])
    assert assets.get(library, admin, asset).updated_at > unmoved.updated_at


@pytest.mark.parametrize(
    "change",
    [
        TagChange(add=["a"], delete=["a"]),
        TagChange(add=[""]),
        TagChange(delete=[" "]),
        TagChange(add=["a\0"]),
        TagChange(add=["x" * 257]),
        TagChange(add=[str(n) for n in range(101)]),
    ],
)
def test_tags_that_cannot_be_are_refused(library: Library, admin: Actor, asset: str, change: TagChange) -> None:
    for strict in (True, False):
        with pytest.raises(PinakesError) as caught:
            assets.update_tags(library, admin, asset, TagChange(change.add, change.delete, strict))
        assert caught.value.code == "BAD_REQUEST"
    assert counts(library, admin) == {}


def test_names_are_kept_byte_for_byte(library: Library, admin: Actor, asset: str) -> None:
    names = [" a", "a", "A", "e\u0301", "\u00e9", "💾", "x" * 256]
    assets.update_tags(library, admin, asset, TagChange(add=names))
    assert sorted(assets.get(library, admin, asset).tags) == sorted(names)
    assert counts(library, admin) == dict.fromkeys(names, 1)


@pytest.mark.usefixtures("clock")
def test_the_trash_does_not_count(library: Library, admin: Actor) -> None:
    first, second = make_assets(library, admin, 2)
    model = mlmodels.create(library, admin, NewModel()).id
    for id in (first, second):
        assets.update_tags(library, admin, id, TagChange(add=["both", id[-3:]]))
    mlmodels.update_tags(library, admin, model, TagChange(add=["both"]))
    before = counts(library, admin)
    assets.delete(library, admin, [first, second])
    assert counts(library, admin) == {"both": 1}
    mlmodels.delete(library, admin, model)
    assert counts(library, admin) == {}
    assets.restore(library, admin, [second, first])
    mlmodels.restore(library, admin, model)
    assert counts(library, admin) == before
    assert before["both"] == 3


def test_a_tag_tells_its_project_and_times(clock: Clock, library: Library, admin: Actor, asset: str) -> None:
    assets.update_tags(library, admin, asset, TagChange(add=["a"]))
    clock.move(ms=1)
    mlmodels.update_tags(library, admin, mlmodels.create(library, admin, NewModel()).id, TagChange(add=["a"]))
    (tag,) = tags.get_page(library, admin).items
    assert (tag.owner_id, tag.item_count) == (admin.project_id, 2)
    assert (tag.created_at[-5:], tag.updated_at[-5:]) == (".000Z", ".001Z")


def test_a_tag_that_nothing_live_has_is_gone(clock: Clock, library: Library, admin: Actor, asset: str) -> None:
    def stored() -> list[tuple[str, int, str, str]]:
        with library.store.read() as tx:
            rows = tx.upkeep._query("SELECT name, item_count, created_at, updated_at FROM tag ORDER BY name")
        return [(name, count, created[-5:], updated[-5:]) for name, count, created, updated in rows]

    model = mlmodels.create(library, admin, NewModel()).id
    assets.update_tags(library, admin, asset, TagChange(add=["a", "b", "c"]))
    mlmodels.update_tags(library, admin, model, TagChange(add=["a"]))
    clock.move(ms=1)
    assets.update_tags(library, admin, asset, TagChange(delete=["b"]))
    assert stored() == [("a", 2, ".000Z", ".000Z"), ("c", 1, ".000Z", ".000Z")]
    assets.delete(library, admin, [asset])
    assert stored() == [("a", 1, ".000Z", ".001Z")]
    mlmodels.delete(library, admin, model)
    assert stored() == []
    assert upkeep.check(library) == []
    clock.move(ms=1)
    assets.restore(library, admin, [asset])
    clock.move(ms=1)
    mlmodels.restore(library, admin, model)
    assert stored() == [("a", 2, ".002Z", ".003Z"), ("c", 1, ".002Z", ".002Z")]
    assert upkeep.check(library) == []


def test_one_thing_has_at_most_a_thousand_tags(library: Library, admin: Actor, asset: str) -> None:
    for start in range(0, 1000, 100):
        assets.update_tags(library, admin, asset, TagChange(add=[str(n) for n in range(start, start + 100)]))
    for strict in (True, False):
        with pytest.raises(PinakesError, match="at most 1000 tags") as caught:
            assets.update_tags(library, admin, asset, TagChange(add=["0", "more"][strict:], strict=strict))
        assert (caught.value.code, caught.value.details) == ("BAD_REQUEST", {"field": "add"})
    assets.update_tags(library, admin, asset, TagChange(add=["more"], delete=["0"]))
    assert len(assets.get(library, admin, asset).tags) == 1000
