"""Keys, roles, scopes and projects: what a key may see and do, and how that ends."""

import pytest
from conftest import Clock, make_assets, new_actor
from databases import everything

from pinakes import access, assets, collections, projects
from pinakes.access import ROLES, SCOPES, Actor, NewApiKey
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.projects import NewProject, ProjectPatch


def refusal(verb: object, *args: object) -> PinakesError:
    assert callable(verb)
    with pytest.raises(PinakesError) as caught:
        verb(*args)
    return caught.value


def sign_in(library: Library, id: str, secret: str, project_id: str | None = None) -> Actor:
    return access.authenticate(library, id, access.hash_secret(secret), project_id, "http://x")


def test_a_key_that_was_confirmed_is_not_once_it_is_revoked_in_the_same_transaction(
    library: Library, admin: Actor
) -> None:
    key = access.create_key(library, admin, admin.project_id, NewApiKey())
    actor = sign_in(library, key.id, key.secret)
    with library.store.transaction() as tx:
        access.confirm(tx, actor)
        access.confirm(tx, actor)
        access.revoke_key(library, admin, admin.project_id, key.id)
        with pytest.raises(PinakesError, match="revoked while"):
            access.confirm(tx, actor)
    with library.store.transaction() as tx, pytest.raises(PinakesError, match="revoked while"):
        access.confirm(tx, actor)


def test_a_key_acts_in_its_project_until_revoked(library: Library, admin: Actor) -> None:
    key = access.create_key(library, admin, admin.project_id, NewApiKey("K", "editor"))
    actor = sign_in(library, key.id, key.secret)
    assert (actor.project_id, actor.key_id, actor.scopes) == (admin.project_id, key.id, ROLES["editor"])
    assert (actor.origin, key.owner_id, key.role, key.author_id) == (
        "http://x",
        admin.project_id,
        "editor",
        admin.key_id,
    )
    assert sign_in(library, key.id, key.secret, admin.project_id) == actor
    access.revoke_key(library, admin, admin.project_id, key.id)
    assert refusal(sign_in, library, key.id, key.secret).code == "UNAUTHORIZED"
    assert refusal(access.revoke_key, library, admin, admin.project_id, key.id).code == "NOT_FOUND"
    access.revoke_key(library, admin, admin.project_id, key.id, is_repeat=True)
    unknown = refusal(lambda: access.revoke_key(library, admin, admin.project_id, "key_never", is_repeat=True))
    assert unknown.code == "NOT_FOUND"


def test_wrong_credentials_read_the_same(library: Library, admin: Actor) -> None:
    key = access.create_key(library, admin, admin.project_id, NewApiKey())
    revoked = access.create_key(library, admin, admin.project_id, NewApiKey())
    access.revoke_key(library, admin, admin.project_id, revoked.id)
    wrong = [("key_never", key.secret), (key.id, "x"), (key.id, ""), (revoked.id, revoked.secret), (key.id, "\ud800")]
    refusals = [refusal(sign_in, library, *pair, project) for pair in wrong for project in (None, "proj_never")]
    assert {(e.code, e.message, str(e.details)) for e in refusals} == {
        ("UNAUTHORIZED", "The API key or secret is wrong, or the key was revoked.", "{}")
    }


def test_secrets_are_long_and_only_their_hash_is_kept(library: Library, admin: Actor) -> None:
    keys = [access.create_key(library, admin, admin.project_id, NewApiKey()) for _ in range(3)]
    assert len({key.secret for key in keys}) == 3
    assert all(len(key.secret) >= 43 for key in keys)
    stored = everything(library.config)
    assert keys[0].id.encode() in stored
    assert keys[0].secret.encode() not in stored
    assert keys[0].secret not in str(projects.get(library, admin, admin.project_id))


def test_another_project_is_forbidden_whether_it_exists_or_not(library: Library, admin: Actor, other: Actor) -> None:
    key = access.create_key(library, admin, admin.project_id, NewApiKey())
    for project_id in (other.project_id, "proj_never", ""):
        error = refusal(sign_in, library, key.id, key.secret, project_id)
        assert (error.code, error.details) == ("FORBIDDEN", {"projectId": project_id})


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        ("admin", SCOPES),
        ("editor", access.READ_SCOPES | access.WRITE_SCOPES),
        ("reader", access.READ_SCOPES),
        ("assets.read", {"assets.read"}),
        ("assets.read;collections.write;", {"assets.read", "collections.write"}),
        ("assets.read;workflows.run", {"assets.read"}),
        ("workflows.run", set()),
    ],
)
def test_roles_and_scope_lists(library: Library, admin: Actor, role: str, scopes: set[str]) -> None:
    assert new_actor(library, role, admin.project_id).scopes == scopes


@pytest.mark.parametrize("role", ["", "owner", "Admin", "assets", "assets.read;;x.y", "assets.read ", "a.b;\n", ";"])
def test_other_roles_are_refused(library: Library, admin: Actor, role: str) -> None:
    for error in (
        refusal(access.create_key, library, admin, admin.project_id, NewApiKey("K", role)),
        refusal(access.create_first_key, library, admin.project_id, NewApiKey("K", role)),
    ):
        assert (error.code, error.details["field"]) == ("BAD_REQUEST", "role")


def test_a_scope_allows_its_verbs_and_no_others(library: Library, admin: Actor) -> None:
    writer = new_actor(library, "collections.write", admin.project_id)
    made = collections.create(library, writer, NewCollection("Shelf"))
    assert refusal(collections.get, library, writer, made.id).details == {"scope": "collections.read"}
    assert access.scope_of(collections.get) == "collections.read"
    assert refusal(access.require, writer, "assets.read").code == "FORBIDDEN"
    access.require(writer, "collections.write")


def test_only_admins_make_keys_and_projects(library: Library, admin: Actor, other: Actor) -> None:
    for role in ("editor", "reader"):
        actor = new_actor(library, role, admin.project_id)
        assert refusal(access.create_key, library, actor, admin.project_id, NewApiKey()).code == "FORBIDDEN"
        assert refusal(projects.create, library, actor, NewProject("P")).code == "FORBIDDEN"
        assert projects.get(library, actor, admin.project_id).keys == []
    for project_id in (other.project_id, "proj_never"):
        assert refusal(access.create_key, library, admin, project_id, NewApiKey()).code == "NOT_FOUND"
        assert refusal(access.revoke_key, library, admin, project_id, other.key_id).code == "NOT_FOUND"
    assert refusal(access.revoke_key, library, admin, admin.project_id, other.key_id).code == "NOT_FOUND"
    assert refusal(access.create_first_key, library, "proj_never", NewApiKey()).code == "NOT_FOUND"
    for name in ("", "\0"):
        assert refusal(access.create_key, library, admin, admin.project_id, NewApiKey(name)).code == "BAD_REQUEST"
        assert refusal(access.create_first_key, library, admin.project_id, NewApiKey(name)).code == "BAD_REQUEST"


@pytest.mark.usefixtures("clock")
def test_a_new_project_is_its_makers(library: Library) -> None:
    project_id = projects.create_first(library, "First")
    key = access.create_first_key(library, project_id, NewApiKey("K", "admin"))
    admin = sign_in(library, key.id, key.secret)
    made = projects.create(library, admin, NewProject(" Second ", privacy_mode=True))
    assert made == projects.get(library, admin, made.id)
    assert (made.name, made.privacy_mode, made.keys) == (" Second ", True, [])
    there = sign_in(library, key.id, key.secret, made.id)
    assert (there.project_id, there.scopes) == (made.id, SCOPES)
    shelf = collections.create(library, there, NewCollection("Shelf"))
    assert shelf.owner_id == made.id
    assert collections.get_page(library, admin).items == []
    assert [project.id for project in projects.get_page(library, admin).items] == [made.id, project_id]
    assert refusal(projects.create, library, admin, NewProject(" ")).code == "BAD_REQUEST"


@pytest.mark.parametrize("role", ["projects.write", "projects.read;projects.write;assets.read;"])
def test_making_a_project_gives_no_scope_that_the_key_lacks(library: Library, admin: Actor, role: str) -> None:
    key = access.create_key(library, admin, admin.project_id, NewApiKey("K", role))
    made = projects.create(library, sign_in(library, key.id, key.secret), NewProject("P"))
    assert made.name == "P"
    there = sign_in(library, key.id, key.secret, made.id)
    assert there.scopes == access.scopes_of(role)
    error = refusal(access.create_key, library, there, made.id, NewApiKey("K", "admin"))
    assert error.details == {"scope": "keys.write"}
    again = projects.create(library, there, NewProject("Q"))
    assert sign_in(library, key.id, key.secret, again.id).scopes == access.scopes_of(role)


def test_a_change_shows_keys_only_to_those_who_may_see_them(library: Library, admin: Actor) -> None:
    writer = new_actor(library, "projects.read;projects.write", admin.project_id)
    patch = ProjectPatch(description="D")
    assert projects.update(library, writer, admin.project_id, patch).keys == []
    assert len(projects.update(library, admin, admin.project_id, patch).keys) == 2


def test_a_project_changes_what_is_named(clock: Clock, library: Library, admin: Actor, other: Actor) -> None:
    clock.move(ms=7)
    after = projects.update(library, admin, admin.project_id, ProjectPatch(description="D"))
    assert (after.name, after.description, after.privacy_mode) == ("A project", "D", False)
    assert after.updated_at > after.created_at
    after = projects.update(library, admin, admin.project_id, ProjectPatch(name="N", privacy_mode=True))
    assert after == projects.get(library, admin, admin.project_id)
    assert (after.name, after.description, after.privacy_mode) == ("N", "D", True)
    assert [key.id for key in after.keys] == [admin.key_id]
    for patch in (ProjectPatch(name=""), ProjectPatch(description="\0")):
        assert refusal(projects.update, library, admin, admin.project_id, patch).code == "BAD_REQUEST"
    for wrong in (other.project_id, "proj_never"):
        for verb, args in ((projects.get, ()), (projects.update, (ProjectPatch(name="x"),)), (projects.delete, ())):
            error = refusal(verb, library, admin, wrong, *args)
            assert (error.code, error.details) == ("NOT_FOUND", {"missing": [wrong]})
            assert error.message == f"There is no project {wrong!r} that this key may see."


def test_a_deleted_project_ends_with_its_keys(library: Library) -> None:
    project_id = projects.create_first(library, "First")
    key = access.create_first_key(library, project_id, NewApiKey("K", "admin"))
    admin = sign_in(library, key.id, key.secret)
    second = projects.create(library, admin, NewProject("Second")).id
    inner = access.create_key(library, admin, second, NewApiKey("K", "admin"))
    make_assets(library, sign_in(library, inner.id, inner.secret), 1)
    assert refusal(projects.delete, library, admin, project_id).code == "BAD_REQUEST"
    projects.delete(library, admin, second)
    assert refusal(sign_in, library, inner.id, inner.secret).code == "UNAUTHORIZED"
    assert refusal(sign_in, library, key.id, key.secret, second).code == "FORBIDDEN"
    assert refusal(projects.get, library, admin, second).code == "NOT_FOUND"
    assert refusal(projects.delete, library, admin, second).code == "NOT_FOUND"
    projects.delete(library, admin, second, is_repeat=True)
    stranger = new_actor(library)
    assert refusal(lambda: projects.delete(library, stranger, second, is_repeat=True)).code == "NOT_FOUND"
    assert refusal(lambda: projects.delete(library, admin, "proj_never", is_repeat=True)).code == "NOT_FOUND"
    assert refusal(access.create_key, library, admin, second, NewApiKey()).code == "NOT_FOUND"
    (asset,) = make_assets(library, admin, 1)
    assert refusal(assets.copy, library, admin, asset, second).code == "FORBIDDEN"
    assert [project.id for project in projects.get_page(library, admin).items] == [project_id]


def test_a_key_cannot_delete_its_own_project_wherever_it_acts(library: Library) -> None:
    own = projects.create_first(library, "Own")
    key = access.create_first_key(library, own, NewApiKey("K", "admin"))
    second = projects.create(library, sign_in(library, key.id, key.secret), NewProject("Second")).id
    there = sign_in(library, key.id, key.secret, second)
    assert refusal(projects.delete, library, there, own).code == "BAD_REQUEST"
    sign_in(library, key.id, key.secret, own)
    projects.delete(library, there, second)
    assert refusal(sign_in, library, key.id, key.secret, second).code == "FORBIDDEN"


def test_the_team_shows_what_the_key_may_see(library: Library, admin: Actor, other: Actor) -> None:
    second = projects.create(library, admin, NewProject("Second")).id
    collections.create(library, admin, NewCollection("Shelf"))
    team = projects.get_team(library, admin)
    assert team == projects.get_team(library, admin, team.id)
    assert [project.id for project in team.projects] == [second, admin.project_id]
    assert [key.id for key in team.keys] == [admin.key_id]
    assert projects.get_team(library, other).id == team.id
    counts = projects.count_team(library, admin, team.id)
    assert (counts.projects, counts.api_keys, counts.collections, counts.models) == (2, 1, 1, 0)
    theirs = projects.count_team(library, other, team.id)
    assert (theirs.projects, theirs.api_keys, theirs.collections, theirs.models) == (1, 1, 0, 0)
    for verb in (projects.get_team, projects.count_team):
        error = refusal(verb, library, admin, "team_never")
        assert (error.code, error.message) == ("NOT_FOUND", "There is no team 'team_never' that this key may see.")


def test_projects_come_in_pages(library: Library, admin: Actor) -> None:
    made = [projects.create(library, admin, NewProject(f"P{n}")).id for n in range(4)]
    wanted = [*reversed(made), admin.project_id]
    first = projects.get_page(library, admin, 3)
    second = projects.get_page(library, admin, 3, first.token)
    assert [project.id for project in first.items + second.items] == wanted
    assert second.token is None
    team_id = first.items[0].team_id
    assert len(projects.get_page(library, admin, 10, team_id=team_id).items) == 5
    assert projects.get_page(library, admin, 10, team_id="team_never").items == []
    assert refusal(projects.get_page, library, admin, 3, first.token, team_id).code == "BAD_REQUEST"


def test_the_machine_itself_needs_no_key(library: Library, clock: Clock) -> None:
    """What `pinakes key` and `pinakes project` stand on."""
    assert projects.find_first(library, None) is None
    key = projects.create_first_key(library, None, NewApiKey("K", "admin"))
    clock.move(ms=1)
    second = projects.create_first_key(library, "Second", NewApiKey("K2", "reader"))
    first, other = projects.get_all(library)
    assert [(first.name, other.name)] == [("default", "Second")]
    assert (key.owner_id, second.owner_id) == (first.id, other.id)
    assert projects.create_first_key(library, None, NewApiKey()).owner_id == first.id
    assert projects.create_first_key(library, "Second", NewApiKey()).owner_id == other.id
    assert projects.create_first_key(library, other.id, NewApiKey()).owner_id == other.id
    assert projects.find_first(library, "never") is None
    twin = projects.create_first(library, "Second")
    assert refusal(projects.find_first, library, "Second").details["field"] == "project"
    assert next(one.id for one in access.get_all_keys(library, [first.id, twin])) == key.id
    access.revoke_first_key(library, [twin, other.id], second.id)
    assert refusal(sign_in, library, second.id, second.secret).code == "UNAUTHORIZED"
    for wrong in (second.id, key.id, "key_never"):
        assert refusal(access.revoke_first_key, library, [other.id], wrong).code == "NOT_FOUND"
    sign_in(library, key.id, key.secret)
