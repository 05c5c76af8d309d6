"""Project, API key and team calls."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import access, ids, projects
from pinakes.access import ApiKeySecret, NewApiKey
from pinakes.api.call import Call
from pinakes.api.http import Empty
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.projects import NewProject, Project, ProjectPatch, Team, TeamCounts

routes = Routes()

NO_LIMIT = 1_000_000_000


class ProjectsQuery(ProjectQuery, frozen=True, rename="camel"):
    """A page of projects."""

    page_size: Annotated[int, Meta(ge=1, le=100)] = 10
    pagination_token: str | None = None
    team_id: str | None = None


class OneProject(msgspec.Struct, frozen=True):
    """`{project}`"""

    project: Project


class ProjectPage(msgspec.Struct, frozen=True, rename="camel"):
    """`{projects, nextPaginationToken?}`"""

    projects: list[Project]
    next_pagination_token: str | UnsetType = UNSET


class OneTeam(msgspec.Struct, frozen=True):
    """`{team}`"""

    team: Team


class TeamList(msgspec.Struct, frozen=True):
    """`{teams}`"""

    teams: list[Team]


def _limit_name(field: str) -> str:
    """Camel case, but for one name that the SDK spells its own way."""
    first, *rest = field.split("_")
    return "OTPSessions" if field == "otp_sessions" else first + "".join(part.title() for part in rest)


class Limits(msgspec.Struct, frozen=True, rename=_limit_name):
    """The hosted service's plan limits. None applies here: what is not offered is 0, what is has no limit."""

    api_keys: int = NO_LIMIT
    canvas_asset_layers: int = 0
    canvas_assets: int = 0
    collections: int = NO_LIMIT
    creative_units: int = 0
    default_seats: int = 0
    download_assets: int = NO_LIMIT
    download_model: int = NO_LIMIT
    inference_batch_size: int = 0
    max_cooldown: int = 0
    max_training_datasets: int = 0
    min_cooldown: int = 0
    models: int = NO_LIMIT
    otp_sessions: int = 0
    parallel_custom_jobs: int = 0
    parallel_inferences: int = 0
    parallel_training: int = 0
    parallel_workflow_runs: int = 0
    premium_generation_samples: int = 0
    projects: int = NO_LIMIT
    scaling_factor: int = 1
    seats: int = NO_LIMIT
    snapshots_retention: int = 0
    upload: int = NO_LIMIT


class Values(msgspec.Struct, frozen=True, rename="camel"):
    """What there is of each limited thing."""

    api_keys: int
    collections: int
    projects: int
    models: int
    canvas_assets: int = 0
    creative_units: int = 0
    seats: int = 0


class Period(msgspec.Struct, frozen=True):
    """The calendar month, which stands for the billing period."""

    start: str
    end: str


class TeamLimits(msgspec.Struct, frozen=True, rename="camel"):
    """Limits, and what is used of them."""

    limits: Limits
    values: Values
    period: Period
    plan: Literal["enterprise"] = "enterprise"
    one_shot_creative_units: list[str] = []


@routes.add("GET", "/projects", projects.get_page, ProjectPage, query=ProjectsQuery)
async def get_page(call: Call[ProjectsQuery, None]) -> ProjectPage:
    """List the projects that this key may see, newest first."""
    query = call.query
    page = await call.read(projects.get_page, query.page_size, query.pagination_token, query.team_id)
    return ProjectPage(page.items, page.token or UNSET)


@routes.add("POST", "/projects", projects.create, OneProject, body=NewProject, example={"name": "Forest game"})
async def create(call: Call[Any, NewProject]) -> OneProject:
    """Create a project; this key has the same role in it."""
    return OneProject(await call.write(projects.create, call.body))


@routes.add("GET", "/projects/{projectId}", projects.get, OneProject, errors=("NOT_FOUND",))
async def get(call: Call[Any, None]) -> OneProject:
    """Get a project, with its keys for those who may manage them."""
    return OneProject(await call.read(projects.get, call.params[0]))


@routes.add(
    "PUT",
    "/projects/{projectId}",
    projects.update,
    OneProject,
    body=ProjectPatch,
    example={"name": "Forest game II"},
    errors=("NOT_FOUND",),
)
async def update(call: Call[Any, ProjectPatch]) -> OneProject:
    """Change a project."""
    return OneProject(await call.write(projects.update, call.params[0], call.body))


@routes.add("DELETE", "/projects/{projectId}", projects.delete, Empty, errors=("NOT_FOUND",))
async def delete(call: Call[Any, None]) -> Empty:
    """Delete a project. It and its keys stop at once; a key cannot delete its own project."""
    await call.write(projects.delete, call.params[0], call.is_repeat)
    return Empty()


@routes.add(
    "POST",
    "/projects/{projectId}/api-keys",
    access.create_key,
    ApiKeySecret,
    body=NewApiKey,
    example={"name": "Plugin", "role": "editor"},
    needs_body=False,
    errors=("NOT_FOUND",),
)
async def create_key(call: Call[Any, NewApiKey]) -> ApiKeySecret:
    """Create an API key of a project. The secret is in this answer and nowhere else."""
    return await call.write(access.create_key, call.params[0], call.body)


@routes.add("DELETE", "/projects/{projectId}/api-keys/{keyId}", access.revoke_key, Empty, errors=("NOT_FOUND",))
async def revoke_key(call: Call[Any, None]) -> Empty:
    """Revoke an API key, at once."""
    await call.write(access.revoke_key, call.params[0], call.params[1], call.is_repeat)
    return Empty()


@routes.add("GET", "/teams", projects.get_team, TeamList)
async def get_teams(call: Call[Any, None]) -> TeamList:
    """List teams: there is one."""
    return TeamList([await call.scan(projects.get_team)])


@routes.add("GET", "/teams/{teamId}", projects.get_team, OneTeam, errors=("NOT_FOUND",))
async def get_team(call: Call[Any, None]) -> OneTeam:
    """Get the team."""
    return OneTeam(await call.scan(projects.get_team, call.params[0]))


@routes.add("GET", "/teams/{teamId}/limits", projects.count_team, TeamLimits, errors=("NOT_FOUND",))
async def get_limits(call: Call[Any, None]) -> TeamLimits:
    """Get the team's limits, which never bite, and how much there is."""
    counts: TeamCounts = await call.scan(projects.count_team, call.params[0])
    return TeamLimits(Limits(), Values(counts.api_keys, counts.collections, counts.projects, counts.models), _month())


def _month() -> Period:
    now = dt.datetime.fromtimestamp(ids.now_ms() / 1000, dt.UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + dt.timedelta(days=32)).replace(day=1)
    return Period(*(ids.iso(int(moment.timestamp() * 1000)) for moment in (start, end)))
