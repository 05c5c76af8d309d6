"""Projects, and the team they belong to. A project owns collections, assets, models, tags and keys.

A library has one team. A key sees its own project and those it created, a token those it names; nothing tells them
whether others exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pinakes import access, errors, ids, text
from pinakes.access import Actor, ApiKey, ApiKeySecret, NewApiKey, needs, scopes_of
from pinakes.errors import PinakesError
from pinakes.page import Page
from pinakes.text import Name, Prose

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx


class Project(msgspec.Struct, frozen=True, rename="camel"):
    """A project with its live keys. `users` is empty: people act through keys here."""

    id: str
    name: str
    team_id: str
    privacy_mode: bool
    created_at: str
    updated_at: str
    keys: list[ApiKey]
    users: list[str] = []
    description: str | msgspec.UnsetType = msgspec.UNSET


class NewProject(msgspec.Struct, frozen=True, rename="camel"):
    """What `create` takes."""

    name: Name
    privacy_mode: bool = False


class ProjectPatch(msgspec.Struct, frozen=True, rename="camel"):
    """What `update` changes; absent fields stay."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Prose | msgspec.UnsetType = msgspec.UNSET
    privacy_mode: bool | msgspec.UnsetType = msgspec.UNSET


class FoundProject(msgspec.Struct, frozen=True):
    """A live project as stored, and the role of whoever asked in it. `number` is 0 until it is stored."""

    number: int
    id: str
    team_id: str
    name: str
    description: str | None
    privacy_mode: int
    created_at: str
    updated_at: str
    role: str


class TeamContext(msgspec.Struct, frozen=True, rename="camel"):
    """How many of everything the team has."""

    invitations_count: int
    keys_count: int
    users_count: int
    user_role: Literal["admin", "key", "member"]


class TeamProject(msgspec.Struct, frozen=True, rename="camel"):
    """A project as its team lists it."""

    id: str
    name: str
    created_at: str
    updated_at: str


class TeamSearchIndex(msgspec.Struct, frozen=True):
    """Names of search indexes, which the SDK expects; searching goes through the API here."""

    private: str = ""
    public: str = ""


class TeamSearchIndexes(msgspec.Struct, frozen=True):
    """One index for each noun."""

    assets: TeamSearchIndex = TeamSearchIndex()
    models: TeamSearchIndex = TeamSearchIndex()
    workflows: TeamSearchIndex = TeamSearchIndex()


class Team(msgspec.Struct, frozen=True, rename="camel"):
    """The team, with the projects that the asking key may see. Plan and payment mean nothing here and never limit."""

    id: str
    name: str
    created_at: str
    updated_at: str
    context: TeamContext
    projects: list[TeamProject]
    keys: list[ApiKey]
    plan: Literal["enterprise"] = "enterprise"
    type: Literal["shared"] = "shared"
    payment_status: Literal["succeeded"] = "succeeded"
    invitations: list[str] = []
    users: list[str] = []
    search_host: str = ""
    search_indexes: TeamSearchIndexes = TeamSearchIndexes()


class TeamCounts(msgspec.Struct, frozen=True):
    """Live rows over those of a team's projects that a key may see."""

    projects: int
    api_keys: int
    collections: int
    models: int


@needs("projects.write")
def create(library: Library, actor: Actor, new: NewProject) -> Project:
    """A new project in the actor's team; the actor's key has the role there that it has where it acts, and no more.

    FORBIDDEN for a token: who issues it decides what it names, so its bearer would make what they cannot see.
    """
    text.check_name("name", new.name)
    if actor.token is not None:
        hint = "make it with an API key or `pinakes project create`, then have the token name it"
        raise PinakesError("FORBIDDEN", f"A token cannot make a project: {hint}.")
    now = ids.now()
    with library.store.write() as tx:
        here = tx.projects.get(actor, actor.project_id)
        if here is None:
            raise errors.not_found("project", actor.project_id)
        row = FoundProject(0, ids.new("proj"), here.team_id, new.name, None, new.privacy_mode, now, now, here.role)
        tx.projects.insert(row)
        tx.access.grant(actor.key_id, row.id, row.role)
    return _project(row, [])


@needs("projects.read")
def get(library: Library, actor: Actor, id: str) -> Project:
    """A project the actor's key may see; NOT_FOUND for any other."""
    with library.store.read() as tx:
        row = tx.projects.get(actor, id)
        if row is None:
            raise errors.not_found("project", id)
        return _project(row, _keys(row, tx.access.keys_of([id])))


@needs("projects.read")
def get_page(
    library: Library, actor: Actor, size: int = 10, token: str | None = None, team_id: str | None = None
) -> Page[Project]:
    """The projects that the actor's key may see, newest first."""
    scope = ("projects", actor.key_id, team_id)
    after = library.tokens.read(token, scope)
    with library.store.read() as tx:
        rows = library.tokens.cut(tx.projects.page(actor, team_id, after, size + 1), size, scope, lambda row: (row.id,))
        keys = tx.access.keys_of([row.id for row in rows.items])
    return Page([_project(row, _keys(row, keys)) for row in rows.items], rows.token)


@needs("projects.write")
def update(library: Library, actor: Actor, id: str, patch: ProjectPatch) -> Project:
    """Change what the patch names. NOT_FOUND unless the actor administers the project."""
    if patch.name is not msgspec.UNSET:
        text.check_name("name", patch.name)
    if patch.description is not msgspec.UNSET:
        text.check_prose("description", patch.description)
    with library.store.write() as tx:
        row = _administered(tx.projects.get(actor, id), id)
        changes = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
        row = msgspec.structs.replace(row, **changes, updated_at=ids.now())
        tx.projects.update(row)
        return _project(row, _keys(row, tx.access.keys_of([id])))


@needs("projects.write")
def delete(library: Library, actor: Actor, id: str, is_repeat: bool = False) -> None:
    """Mark a project as deleted: it and its keys stop at once, its contents stay on disk.

    BAD_REQUEST for the actor's own, wherever it acts. NOT_FOUND for one that is deleted already, unless this key did it
    and `is_repeat` (see `collections.delete`).
    """
    with library.store.write() as tx:
        if _own_project_id(tx, actor) == id:
            raise errors.bad_request("projectId", f"a {actor.kind} cannot delete the project it belongs to")
        if is_repeat and tx.projects.is_deleted(id, actor.key_id):
            return
        _administered(tx.projects.get(actor, id), id)
        tx.projects.delete(id, actor.key_id, ids.now())
        tx.access.end_project(id)


@needs("teams.read")
def get_team(library: Library, actor: Actor, id: str | None = None) -> Team:
    """The actor's team; NOT_FOUND for any other id."""
    with library.store.read() as tx:
        team = tx.projects.team_of(actor.project_id)
        if team is None or (id is not None and team[0] != id):
            raise errors.not_found("team", id or "")
        rows = tx.projects.page(actor, team[0], None, _MOST_PROJECTS)
        keys = tx.access.keys_of([row.id for row in rows])
    seen = [key for row in rows for key in _keys(row, keys)]
    shown = [TeamProject(row.id, row.name, row.created_at, row.updated_at) for row in rows]
    return Team(*team, TeamContext(0, len(seen), 0, "key" if actor.token is None else "member"), shown, seen)


@needs("teams.read")
def count_team(library: Library, actor: Actor, id: str) -> TeamCounts:
    """How much the projects hold that the actor's key may see; NOT_FOUND for any team but its own."""
    with library.store.read() as tx:
        team = tx.projects.team_of(actor.project_id)
        if team is None or team[0] != id:
            raise errors.not_found("team", id)
        return tx.projects.count_team(actor, id)


def create_first(library: Library, name: str) -> str:
    """A project made on the machine itself, where no actor exists yet, and the team with the first; its id."""
    text.check_name("name", name)
    now = ids.now()
    with library.store.write() as tx:
        team_id = tx.projects.any_team()
        if team_id is None:
            team_id = ids.new("team")
            tx.projects.insert_team(team_id, "Pinakes", now)
        row = FoundProject(0, ids.new("proj"), team_id, name, None, False, now, now, "admin")
        tx.projects.insert(row)
    return row.id


def get_all(library: Library) -> list[FoundProject]:
    """Every live project, oldest first, for whoever is on the machine itself."""
    with library.store.glance() as tx:
        return tx.projects.all()


def find_first(library: Library, named: str | None) -> FoundProject | None:
    """The project of that id or name, for whoever is on the machine itself; the oldest when none is named.

    BAD_REQUEST when several have the name.
    """
    rows = get_all(library)
    if named is None:
        return rows[0] if rows else None
    found = [row for row in rows if row.id == named] or [row for row in rows if row.name == named]
    if len(found) > 1:
        all_ids = ", ".join(row.id for row in found)
        raise errors.bad_request("project", f"{len(found)} projects are called {named!r}; give an id: {all_ids}")
    return found[0] if found else None


def create_first_key(library: Library, named: str | None, new: NewApiKey) -> ApiKeySecret:
    """A key made on the machine itself, of the project of that id or name, which is created if there is none.

    NOT_FOUND for what looks like an id: nobody means to name a project so.
    """
    with library.store.write():
        project = find_first(library, named)
        if project is None and named is not None and named.startswith("proj_"):
            raise PinakesError("NOT_FOUND", f"There is no project {named!r}.", missing=[named])
        project_id = project.id if project else create_first(library, named or "default")
        return access.create_first_key(library, project_id, new)


def create_key_of_new_library(library: Library, new: NewApiKey) -> ApiKeySecret | None:
    """A key of the first project, made with it; None when there is one. Of several who try at once, one gets it."""
    if get_all(library):
        return None
    with library.store.write():
        return None if get_all(library) else create_first_key(library, None, new)


_MOST_PROJECTS = 10_000


def _own_project_id(tx: Tx, actor: Actor) -> str | None:
    if actor.token is not None:
        return actor.token.own_project_id
    own = tx.access.find_grant(actor.key_id, None)
    return None if own is None else own.project_id


def _administered(row: FoundProject | None, id: str) -> FoundProject:
    if row is None or "projects.write" not in scopes_of(row.role):
        raise errors.not_found("project", id)
    return row


def _keys(row: FoundProject, keys: list[ApiKey]) -> list[ApiKey]:
    """The project's keys, for those who may manage them."""
    if "keys.read" not in scopes_of(row.role):
        return []
    return [key for key in keys if key.owner_id == row.id]


def _project(row: FoundProject, keys: list[ApiKey]) -> Project:
    return Project(
        id=row.id,
        name=row.name,
        team_id=row.team_id,
        privacy_mode=bool(row.privacy_mode),
        created_at=row.created_at,
        updated_at=row.updated_at,
        keys=keys,
        description=msgspec.UNSET if row.description is None else row.description,
    )
