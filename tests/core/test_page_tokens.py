"""Walking lists: nothing skipped or repeated, and a token good for one list of one project only."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from conftest import make_assets
from hypothesis import given
from hypothesis import strategies as st

from pinakes import assets, collections, mlmodels, page, projects, tags
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter, NewModel
from pinakes.page import Page, Tokens
from pinakes.tags import TagChange

GetPage = Callable[[Library, Actor, int, str | None], Page[Any]]

LISTS: dict[str, GetPage] = {
    "collections": collections.get_page,
    "tags": tags.get_page,
    "projects": projects.get_page,
    "assets": lambda library, actor, size, token: assets.get_page(library, actor, AssetFilter(), size, token),
    "models": lambda library, actor, size, token: mlmodels.get_page(library, actor, ModelFilter(), size, token),
}


def fill(library: Library, actor: Actor, n: int) -> None:
    """`n` of everything in all lists."""
    for number, id in enumerate(make_assets(library, actor, n)):
        collections.create(library, actor, NewCollection(f"{number}"))
        mlmodels.create(library, actor, NewModel())
        assets.update_tags(library, actor, id, TagChange(add=[f"{number}"]))
    for _ in range(n - 1):
        projects.create(library, actor, projects.NewProject("P"))


@pytest.mark.parametrize("name", LISTS)
def test_the_last_exactly_full_page_has_no_token(library: Library, admin: Actor, name: str) -> None:
    get_page = LISTS[name]
    fill(library, admin, 4)
    whole = get_page(library, admin, 4, None)
    assert (len(whole.items), whole.token) == (4, None)
    assert get_page(library, admin, 4, "") == whole
    first = get_page(library, admin, 2, None)
    second = get_page(library, admin, 2, first.token)
    assert ([*first.items, *second.items], second.token) == (whole.items, None)
    assert first.token is not None


def test_a_token_is_bound_to_list_project_filter_and_direction(library: Library, admin: Actor, other: Actor) -> None:
    for actor in (admin, other):
        fill(library, actor, 3)
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    filters = [AssetFilter(is_ascending=True), AssetFilter(sort_by="updated_at"), AssetFilter(tags=("1",))]
    filters += [AssetFilter(types=("uploaded",)), AssetFilter(collection_id=shelf), AssetFilter(before="3")]
    for name, get_page in LISTS.items():
        token = get_page(library, admin, 1, None).token
        assert token
        for wrong_name, wrong in LISTS.items():
            if wrong_name != name:
                with pytest.raises(PinakesError, match=r"^paginationToken: ") as caught:
                    wrong(library, admin, 1, token)
                assert caught.value.code == "BAD_REQUEST"
        with pytest.raises(PinakesError, match=r"^paginationToken: "):
            get_page(library, other, 1, token)
        assert get_page(library, admin, 2, token).items  # the size may change
    token = LISTS["assets"](library, admin, 1, None).token
    for filter in filters:
        with pytest.raises(PinakesError, match=r"^paginationToken: "):
            assets.get_page(library, admin, filter, 1, token)


def test_a_walk_survives_what_comes_and_goes(library: Library, admin: Actor) -> None:
    stay = make_assets(library, admin, 9)
    go = make_assets(library, admin, 3)
    stay += make_assets(library, admin, 3)
    for is_ascending in (False, True):
        filter = AssetFilter(is_ascending=is_ascending)
        seen, token, gone = [], None, list(go)
        while True:
            page = assets.get_page(library, admin, filter, 2, token)
            seen += [asset.id for asset in page.items]
            if page.token is None:
                break
            token = page.token
            assets.delete(library, admin, [page.items[-1].id])  # even the row that the token names
            assets.restore(library, admin, [page.items[-1].id])
            make_assets(library, admin, 1 if not is_ascending else 0)
            if gone:
                assets.delete(library, admin, [gone.pop()])
        assert len(seen) == len(set(seen))
        assert [id for id in seen if id in stay] == sorted(stay, reverse=not is_ascending)
        assets.restore(library, admin, go)


def test_collections_deleted_behind_a_token_are_no_gap(library: Library, admin: Actor) -> None:
    made = [collections.create(library, admin, NewCollection("x")).id for _ in range(6)][::-1]
    first = collections.get_page(library, admin, 2)
    collections.delete(library, admin, made[1])
    collections.delete(library, admin, made[2])
    collections.create(library, admin, NewCollection("new"))
    rest = collections.get_page(library, admin, 10, first.token)
    assert [item.id for item in rest.items] == made[3:]


KEYS = st.lists(st.text() | st.integers(0, 2**53), min_size=1, max_size=3).map(tuple)
TOKENS = Tokens(b"secret")
SCOPE = ("assets", "proj_1", (None, ("a", "b"), False))


@given(KEYS)
def test_a_token_holds_its_key(key: page.Key) -> None:
    token = TOKENS.cut([key, key], 1, SCOPE, lambda row: row).token
    assert token
    assert token.isascii()
    assert not set(token) & set("+/=&?#% ")
    assert TOKENS.read(token, SCOPE) == key


@given(KEYS, st.integers(0), st.integers(1, 255))
def test_a_damaged_token_is_refused(key: page.Key, at: int, flip: int) -> None:
    token = TOKENS.cut([key, key], 1, SCOPE, lambda row: row).token
    assert token
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at % len(raw)] ^= flip
    for wrong in (base64.urlsafe_b64encode(raw).decode(), token[:-4], "A" + token):
        with pytest.raises(PinakesError, match="start again without a token"):
            TOKENS.read(wrong, SCOPE)


@given(st.text(min_size=1))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(PinakesError, match="start again without a token"):
        TOKENS.read(text, SCOPE)


def test_a_page_is_cut_from_one_row_more() -> None:
    assert TOKENS.cut([], 3, SCOPE, lambda row: row) == Page([])
    assert TOKENS.cut([("a",), ("b",)], 2, SCOPE, lambda row: row) == Page([("a",), ("b",)])
    assert TOKENS.cut([("a",), ("b",)], 1, SCOPE, lambda row: row).items == [("a",)]
    assert msgspec.structs.asdict(Page([1])) == {"items": [1], "token": None}
