"""Who asks, and what they may: actors, roles and scopes, API keys, and what tokens say.

A key belongs to one project and may be admitted to others. Its role is `admin`, `editor`, `reader`, or a
`;`-separated list of scopes such as `assets.read;collections.write`. Secrets are 256 random bits, shown once and stored
as a SHA-256 hash: with that much entropy a slow hash would add nothing.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Literal, ParamSpec, TypeVar

import msgspec

from pinakes import errors, ids, text
from pinakes.errors import PinakesError
from pinakes.text import Name

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

P = ParamSpec("P")
R = TypeVar("R")

READ_SCOPES = frozenset({"assets.read", "collections.read", "models.read", "tags.read", "projects.read", "teams.read"})
WRITE_SCOPES = frozenset({"assets.write", "collections.write", "models.write"})
ADMIN_SCOPES = frozenset({"projects.write", "keys.read", "keys.write"})
SCOPES = READ_SCOPES | WRITE_SCOPES | ADMIN_SCOPES
ROLES: dict[str, frozenset[str]] = {
    "admin": SCOPES,
    "editor": READ_SCOPES | WRITE_SCOPES,
    "reader": READ_SCOPES,
}

_SCOPE_LIST = re.compile(r"[a-z][a-z-]*\.[a-z][a-z-]*(;[a-z][a-z-]*\.[a-z][a-z-]*)*;?")


Role = Annotated[
    str,
    msgspec.Meta(
        description="`admin`, `editor`, `reader`, or scopes such as `assets.read;collections.write`.",
        extra_json_schema={"pattern": f"^(admin|editor|reader|{_SCOPE_LIST.pattern})$"},
    ),
]


class Token(msgspec.Struct, frozen=True):
    """What a verified token says of its bearer: the role in each project, the first their own, until a time (ms)."""

    user_id: str
    grants: dict[str, str]
    expires_ms: int

    @property
    def own_project_id(self) -> str:
        return next(iter(self.grants))


class Actor(msgspec.Struct, frozen=True):
    """A key, or the bearer of a token, acting in one project, whose number is `owner`.

    `key_id` is who acts: a key's id, or the `user_…` of a token. Links made for them begin with `origin` (or nothing).
    """

    project_id: str
    owner: int
    key_id: str
    scopes: frozenset[str]
    origin: str = ""
    token: Token | None = None

    @property
    def kind(self) -> str:
        return "key" if self.token is None else "token"


class NewApiKey(msgspec.Struct, frozen=True, rename="camel"):
    """What a new key is called and may do."""

    name: Name = "API key"
    role: Role = "editor"


class ApiKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key without its secret, as projects and teams list it."""

    id: str
    api_key_id: str
    api_key_status: Literal["active", "inactive"]
    created_at: str
    name: str
    role: str
    scope: Literal["project", "team"]
    updated_at: str
    author_id: str
    owner_id: str


class ApiKeySecret(msgspec.Struct, frozen=True, rename="camel"):
    """A key at the one moment its secret is known."""

    id: str
    secret: str
    author_id: str
    user_id: str
    owner_id: str
    team_id: str
    owner_type: Literal["project", "team"]
    name: str
    role: str
    created_at: str


def needs(
    scope: str,
) -> Callable[[Callable[Concatenate[Library, Actor, P], R]], Callable[Concatenate[Library, Actor, P], R]]:
    """Marks a verb with the scope its actor needs; FORBIDDEN without. `api` reads the mark to refuse before parsing."""

    def mark(verb: Callable[Concatenate[Library, Actor, P], R]) -> Callable[Concatenate[Library, Actor, P], R]:
        @functools.wraps(verb)
        def checked(library: Library, actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if scope not in actor.scopes:
                require(actor, scope)
            return verb(library, actor, *args, **kwargs)

        checked.scope = scope  # type: ignore[attr-defined]
        return checked

    return mark


def scope_of(verb: Callable[..., Any]) -> str:
    """The scope that `needs` marked a verb with."""
    return str(verb.scope)  # type: ignore[attr-defined]


def require(actor: Actor, scope: str) -> None:
    """FORBIDDEN unless the actor's role holds the scope."""
    if scope not in actor.scopes:
        raise PinakesError("FORBIDDEN", f"This {actor.kind} may not do that: its role lacks {scope!r}.", scope=scope)


@functools.lru_cache(maxsize=256)
def scopes_of(role: str) -> frozenset[str]:
    """What a role may do. Scopes of the hosted service that mean nothing here stay in the role and allow nothing."""
    return ROLES.get(role) or frozenset(role.rstrip(";").split(";")) & SCOPES


def check_role(role: str) -> None:
    """BAD_REQUEST for something that is neither a role nor a list of scopes."""
    if role not in ROLES and not _SCOPE_LIST.fullmatch(role):
        raise errors.bad_request(
            "role", f"expected admin, editor, reader or scopes such as 'assets.read;collections.write', got {role!r}"
        )


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def authenticate(library: Library, key_id: str, secret_hash: bytes, project_id: str | None, origin: str = "") -> Actor:
    """The actor of a key and the hash of its secret, in its own project or another that it may see.

    UNAUTHORIZED for an unknown or revoked key or a wrong secret (the three read the same), FORBIDDEN for a project
    that the key may not see, whether it exists or not. Read from the store every time: a revoked key ends at once.
    """
    with library.store.glance() as tx:
        grant = tx.access.find_grant(key_id, project_id)
        known = grant or tx.access.find_grant(key_id, None)
    if known is None or not hmac.compare_digest(known.secret_hash, secret_hash):
        raise PinakesError("UNAUTHORIZED", "The API key or secret is wrong, or the key was revoked.")
    if grant is None:
        raise PinakesError("FORBIDDEN", f"This key may not see project {project_id!r}.", projectId=project_id)
    return Actor(grant.project_id, grant.owner, key_id, scopes_of(grant.role), origin)


def admit(library: Library, token: Token, project_id: str | None, origin: str = "") -> Actor:
    """The actor of a verified token, in its own project or another that it names.

    FORBIDDEN for any other project, and for one that is deleted; the project is read from the store every time.
    """
    wanted = token.own_project_id if project_id is None else project_id
    role = token.grants.get(wanted)
    with library.store.glance() as tx:
        project = None if role is None else tx.projects.find(wanted)
    if role is None or project is None:
        raise PinakesError("FORBIDDEN", f"This token may not see project {wanted!r}.", projectId=wanted)
    return Actor(wanted, project.number, token.user_id, scopes_of(role), origin, token)


def confirm(tx: Tx, actor: Actor) -> None:
    """UNAUTHORIZED when the actor's key was revoked, token expired, or project deleted, since it was checked."""
    if actor.token is None:
        if not tx.access.is_admitted(actor.key_id, actor.project_id):
            raise PinakesError("UNAUTHORIZED", "The API key was revoked while it was used.")
    elif actor.token.expires_ms <= ids.now_ms() or tx.projects.find(actor.project_id) is None:
        raise PinakesError("UNAUTHORIZED", "The token expired, or its project was deleted, while it was used.")


@needs("keys.write")
def create_key(library: Library, actor: Actor, project_id: str, new: NewApiKey) -> ApiKeySecret:
    """A new key of a project the actor administers; its secret is in the answer and nowhere else.

    FORBIDDEN for a role with scopes that the actor's own key lacks in that project.
    """
    check_role(new.role)
    text.check_name("name", new.name)
    with library.store.write() as tx:
        project = tx.projects.get(actor, project_id)
        if project is None or "keys.write" not in scopes_of(project.role):
            raise errors.not_found("project", project_id)
        beyond = sorted(scopes_of(new.role) - scopes_of(project.role))
        if beyond:
            raise PinakesError(
                "FORBIDDEN", f"A key cannot give what it lacks itself: {', '.join(beyond)}.", scopes=beyond
            )
        key, secret = _new_key(project_id, new, actor.key_id)
        tx.access.insert_key(key, hash_secret(secret))
    return _with_secret(key, secret, project.team_id)


def create_first_key(library: Library, project_id: str, new: NewApiKey) -> ApiKeySecret:
    """A key made on the machine itself (`pinakes key create`), where no actor exists yet."""
    check_role(new.role)
    text.check_name("name", new.name)
    with library.store.write() as tx:
        project = tx.projects.find(project_id)
        if project is None:
            raise errors.not_found("project", project_id)
        key, secret = _new_key(project_id, new, author_id="")
        key = msgspec.structs.replace(key, author_id=key.id)
        tx.access.insert_key(key, hash_secret(secret))
    return _with_secret(key, secret, project.team_id)


def get_all_keys(library: Library, project_ids: list[str]) -> list[ApiKey]:
    """The live keys of projects, oldest first, for whoever is on the machine itself."""
    with library.store.glance() as tx:
        return tx.access.keys_of(project_ids)


def revoke_first_key(library: Library, project_ids: list[str], key_id: str) -> None:
    """End a key of any of the projects, for whoever is on the machine itself. NOT_FOUND when there is no such key."""
    with library.store.write() as tx:
        if not any(tx.access.revoke_key(id, key_id, ids.now()) for id in project_ids):
            raise PinakesError("NOT_FOUND", f"There is no live API key {key_id!r}.", missing=[key_id])


@needs("keys.write")
def revoke_key(library: Library, actor: Actor, project_id: str, key_id: str, is_repeat: bool = False) -> None:
    """End a key of a project the actor administers, at once. NOT_FOUND for a key of another project.

    And for one that was revoked before, unless `is_repeat` (see `collections.delete`).
    """
    with library.store.write() as tx:
        project = tx.projects.get(actor, project_id)
        if project is None or "keys.write" not in scopes_of(project.role):
            raise errors.not_found("project", project_id)
        is_done = is_repeat and tx.access.is_revoked(project_id, key_id)
        if not is_done and not tx.access.revoke_key(project_id, key_id, ids.now()):
            raise errors.not_found("API key", key_id)


def _new_key(project_id: str, new: NewApiKey, author_id: str) -> tuple[ApiKey, str]:
    id, now = ids.new("key"), ids.now()
    key = ApiKey(
        id=id,
        api_key_id=id,
        api_key_status="active",
        created_at=now,
        name=new.name,
        role=new.role,
        scope="project",
        updated_at=now,
        author_id=author_id,
        owner_id=project_id,
    )
    return key, secrets.token_urlsafe(32)


def _with_secret(key: ApiKey, secret: str, team_id: str) -> ApiKeySecret:
    return ApiKeySecret(
        id=key.id,
        secret=secret,
        author_id=key.author_id,
        user_id=key.author_id,
        owner_id=key.owner_id,
        team_id=team_id,
        owner_type="project",
        name=key.name,
        role=key.role,
        created_at=key.created_at,
    )
