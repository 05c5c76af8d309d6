"""The picture of a collection or model: any live asset, and never one that is gone."""

from collections.abc import Callable

import msgspec
import pytest
from conftest import make_assets
from msgspec import UNSET

from pinakes import assets, collections, mlmodels
from pinakes.access import Actor
from pinakes.asset_types import Thumbnail
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel


class Shelf:
    """A collection or a model, seen only through its thumbnail."""

    def __init__(self, library: Library, actor: Actor, noun: str) -> None:
        self.library, self.actor, self.noun = library, actor, noun
        if noun == "collection":
            self.id = collections.create(library, actor, NewCollection("Shelf")).id
        else:
            self.id = mlmodels.create(library, actor, NewModel()).id

    def set(self, asset_id: str | None) -> None:
        if self.noun == "collection":
            collections.update(self.library, self.actor, self.id, CollectionPatch(thumbnail=asset_id))
        else:
            mlmodels.update(self.library, self.actor, self.id, ModelPatch(thumbnail=asset_id))

    def rename(self) -> None:
        if self.noun == "collection":
            collections.update(self.library, self.actor, self.id, CollectionPatch(name="New name"))
        else:
            mlmodels.update(self.library, self.actor, self.id, ModelPatch(name="New name"))

    def cover(self) -> str | None:
        """The thumbnail's asset as one reads it and as all lists have it."""
        if self.noun == "collection":
            one = collections.get(self.library, self.actor, self.id).thumbnail
            (listed,) = [item.thumbnail for item in collections.get_page(self.library, self.actor).items]
        else:
            one = mlmodels.get(self.library, self.actor, self.id).thumbnail
            (listed,) = [item.thumbnail for item in mlmodels.get_bulk(self.library, self.actor, [self.id])]
        assert (one is UNSET) == (listed is UNSET)
        return one.asset_id if isinstance(one, Thumbnail) else None


@pytest.fixture(params=["collection", "model"])
def shelf(request: pytest.FixtureRequest, library: Library, admin: Actor) -> Shelf:
    return Shelf(library, admin, request.param)


def test_set_replaced_and_unset(library: Library, admin: Actor, shelf: Shelf) -> None:
    first, second = make_assets(library, admin, 2)
    assert shelf.cover() is None
    for cover in (first, second, second, None, None, first):
        shelf.set(cover)
        assert shelf.cover() == cover


def test_other_changes_keep_it(library: Library, admin: Actor, shelf: Shelf) -> None:
    (cover,) = make_assets(library, admin, 1)
    shelf.set(cover)
    shelf.rename()
    assert shelf.cover() == cover


def test_only_a_live_asset_of_the_project_can_be_it(library: Library, admin: Actor, other: Actor, shelf: Shelf) -> None:
    kept, trashed = make_assets(library, admin, 2)
    (foreign,) = make_assets(library, other, 1)
    assets.delete(library, admin, [trashed])
    shelf.set(kept)
    for wrong in (trashed, foreign, "never_was", shelf.id, ""):
        with pytest.raises(PinakesError, match="thumbnail: no such asset") as caught:
            shelf.set(wrong)
        assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [wrong]})
    assert shelf.cover() == kept


def test_the_trash_hides_it_and_restoring_brings_it_back(library: Library, admin: Actor, shelf: Shelf) -> None:
    (cover,) = make_assets(library, admin, 1)
    shelf.set(cover)
    assets.delete(library, admin, [cover])
    assert shelf.cover() is None
    shelf.rename()
    assets.restore(library, admin, [cover])
    assert shelf.cover() == cover


def test_another_set_or_none_while_it_was_in_the_trash_stays(library: Library, admin: Actor, shelf: Shelf) -> None:
    first, second = make_assets(library, admin, 2)
    for later in (second, None):
        shelf.set(first)
        assets.delete(library, admin, [first])
        shelf.set(later)
        assets.restore(library, admin, [first])
        assert shelf.cover() == later


def test_removing_the_member_unsets_it(library: Library, admin: Actor) -> None:
    shelf = Shelf(library, admin, "collection")
    cover, other = make_assets(library, admin, 2, [shelf.id])
    shelf.set(cover)
    after, _ = collections.remove(library, admin, shelf.id, "asset", [other])
    assert isinstance(after.thumbnail, Thumbnail)
    after, _ = collections.remove(library, admin, shelf.id, "asset", [cover])
    assert after.thumbnail is UNSET
    collections.add(library, admin, shelf.id, "asset", [cover])
    assert shelf.cover() is None


def test_removing_what_is_no_member_keeps_it(library: Library, admin: Actor) -> None:
    shelf = Shelf(library, admin, "collection")
    (cover,) = make_assets(library, admin, 1)
    shelf.set(cover)
    collections.remove(library, admin, shelf.id, "asset", [cover])
    assert shelf.cover() == cover


def test_the_link_is_signed_and_begins_where_the_actor_came_from(
    library: Library, admin: Actor, open_with: Callable[..., Library]
) -> None:
    (cover,) = make_assets(library, admin, 1)
    shelf = Shelf(library, admin, "collection")
    shelf.set(cover)
    near = msgspec.structs.replace(admin, origin="https://media.example")
    thumbnail = collections.get(library, near, shelf.id).thumbnail
    assert isinstance(thumbnail, Thumbnail)
    base, query = thumbnail.url.split("?")
    assert base == f"https://media.example/files/{admin.project_id}/{cover}/thumbnail"
    expires, signature = (part.split("=")[1] for part in query.split("&"))
    assert library.links.is_good(base.removeprefix("https://media.example"), expires, signature)
    assert open_with().links.is_good(base.removeprefix("https://media.example"), expires, signature)
