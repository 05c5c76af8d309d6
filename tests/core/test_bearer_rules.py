"""Whoever bears a token: which projects they see, what they may do there, and how that ends."""

from typing import Any

import pytest
from conftest import Clock, make_assets

from pinakes import access, assets, collections, ids, mlmodels, projects
from pinakes.access import ROLES, Actor, NewApiKey, Token
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import NewModel
from pinakes.projects import NewProject, ProjectPatch


def bearer_of(library: Library, grants: dict[str, str], project_id: str | None = None, user: str = "ada") -> Actor:
    token = Token(ids.derived("user", "https://issuer.example", user), grants, ids.now_ms() + 60_000)
    return access.admit(library, token, project_id)


def refused(verb: Any, *args: Any) -> PinakesError:
    with pytest.raises(PinakesError) as caught:
        verb(*args)
    return caught.value


def test_a_bearer_acts_in_the_projects_that_are_named(library: Library, admin: Actor, other: Actor) -> None:
    own, second = admin.project_id, projects.create(library, admin, NewProject("Second")).id
    grants = {own: "editor", second: "reader", "proj_never": "admin"}
    actor = bearer_of(library, grants)
    assert (actor.project_id, actor.owner, actor.scopes) == (own, admin.owner, ROLES["editor"])
    shelf = collections.create(library, actor, NewCollection("Shelf"))
    assert collections.get(library, admin, shelf.id) == shelf
    (asset,) = make_assets(library, actor, 1)
    model = mlmodels.create(library, actor, NewModel())
    assert assets.get(library, admin, asset).author_id == model.author_id == actor.key_id
    assert actor.key_id.startswith("user_")
    assert bearer_of(library, grants, user="bob").key_id != actor.key_id
    there = bearer_of(library, grants, second)
    assert (there.project_id, there.scopes) == (second, ROLES["reader"])
    error = refused(collections.create, library, there, NewCollection("Shelf"))
    assert (error.code, error.message[:10]) == ("FORBIDDEN", "This token")
    for wrong in (other.project_id, "proj_never", "proj_unknown", ""):
        error = refused(bearer_of, library, grants, wrong)
        assert (error.code, error.details) == ("FORBIDDEN", {"projectId": wrong})


def test_a_bearer_sees_no_other_projects(library: Library, admin: Actor, other: Actor) -> None:
    second = projects.create(library, admin, NewProject("Second")).id
    collections.create(library, other, NewCollection("Theirs"))
    actor = bearer_of(library, {admin.project_id: "admin", second: "reader", "proj_never": "admin"})
    assert [project.id for project in projects.get_page(library, actor).items] == [second, admin.project_id]
    first = projects.get_page(library, actor, 1)
    assert [project.id for project in projects.get_page(library, actor, 1, first.token).items] == [admin.project_id]
    assert [key.id for project in projects.get_page(library, actor).items for key in project.keys] == [admin.key_id]
    team = projects.get_team(library, actor)
    assert [project.id for project in team.projects] == [second, admin.project_id]
    assert team.context.user_role == "member"
    counts = projects.count_team(library, actor, team.id)
    assert (counts.projects, counts.api_keys, counts.collections) == (2, 1, 0)
    assert projects.get(library, actor, second).keys == []
    for verb, args in (
        (projects.get, ()),
        (projects.update, (ProjectPatch(name="x"),)),
        (projects.delete, ()),
        (access.create_key, (NewApiKey(),)),
        (access.revoke_key, (other.key_id,)),
    ):
        assert refused(verb, library, actor, other.project_id, *args).code == "NOT_FOUND"


def test_a_bearer_that_administers(library: Library, admin: Actor) -> None:
    second = projects.create(library, admin, NewProject("Second")).id
    actor = bearer_of(library, {admin.project_id: "admin", second: "projects.write;keys.write;projects.read"})
    assert projects.update(library, actor, second, ProjectPatch(name="New")).name == "New"
    key = access.create_key(library, actor, admin.project_id, NewApiKey("K", "admin"))
    assert (key.author_id, key.role) == (actor.key_id, "admin")
    access.revoke_key(library, actor, admin.project_id, key.id)
    assert refused(access.create_key, library, actor, second, NewApiKey("K", "editor")).code == "FORBIDDEN"
    error = refused(projects.create, library, actor, NewProject("Third"))
    assert error.code == "FORBIDDEN"
    assert error.message.startswith("A token cannot make a project: make it with an API key")
    assert refused(projects.delete, library, actor, admin.project_id).code == "BAD_REQUEST"
    projects.delete(library, actor, second)
    projects.delete(library, actor, second, True)  # a repeat
    assert refused(bearer_of, library, {second: "admin"}).code == "FORBIDDEN"


def test_a_copy_to_another_project_needs_its_name_in_the_token(library: Library, admin: Actor, other: Actor) -> None:
    second = projects.create(library, admin, NewProject("Second")).id
    third = projects.create(library, admin, NewProject("Third")).id
    (asset,) = make_assets(library, admin, 1)
    actor = bearer_of(library, {admin.project_id: "editor", second: "editor", third: "reader"})
    assert assets.copy(library, actor, asset, second).owner_id == second
    for wrong in (third, other.project_id):
        assert refused(assets.copy, library, actor, asset, wrong).code == "FORBIDDEN"


def test_a_change_waits_no_longer_than_the_token_lives(library: Library, admin: Actor, clock: Clock) -> None:
    second = projects.create(library, admin, NewProject("Second")).id
    actor, there = (bearer_of(library, {id: "editor"}) for id in (admin.project_id, second))
    with library.store.read() as tx:
        access.confirm(tx, actor)
    projects.delete(library, admin, second)
    with library.store.read() as tx:
        assert refused(access.confirm, tx, there).code == "UNAUTHORIZED"
    clock.move(ms=60_000)
    with library.store.read() as tx:
        assert refused(access.confirm, tx, actor).code == "UNAUTHORIZED"


def test_a_token_costs_one_statement(library: Library, admin: Actor) -> None:
    before = library.store.statements()
    bearer_of(library, {admin.project_id: "editor"})
    assert library.store.statements() - before == 1
