"""SQL of projects and their team."""

from pinakes.access import Actor
from pinakes.page import Key
from pinakes.projects import FoundProject, TeamCounts
from pinakes.store.dialect import PAIRS, Driver, pair_list

_COLUMNS = "p.number, p.id, p.team_id, p.name, p.description, p.privacy_mode, p.created_at, p.updated_at"


class ProjectSql:
    """Statements on `project` and `team`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find(self, id: str) -> FoundProject | None:
        """A live project, whoever asks."""
        rows = self._query(f"SELECT {_COLUMNS}, 'admin' FROM project p WHERE p.id = ? AND p.deleted_at IS NULL", (id,))
        return FoundProject(*rows[0]) if rows else None

    def all(self) -> list[FoundProject]:
        """Every live project, oldest first."""
        rows = self._query(f"SELECT {_COLUMNS}, 'admin' FROM project p WHERE p.deleted_at IS NULL ORDER BY p.id")
        return [FoundProject(*row) for row in rows]

    def owners(self) -> dict[int, str]:
        """The number and the id of every project there has been: whatever is owned is owned by one of these."""
        return dict(self._query("SELECT number, id FROM project ORDER BY number"))

    def get(self, actor: Actor, id: str) -> FoundProject | None:
        """A live project that the actor may see."""
        granted, param = _granted(actor)
        rows = self._query(
            f"SELECT {_COLUMNS}, g.role FROM {granted} g CROSS JOIN project p ON p.id = g.project_id"
            " WHERE g.project_id = ? AND p.deleted_at IS NULL",
            (param, id),
        )
        return FoundProject(*rows[0]) if rows else None

    def page(self, actor: Actor, team_id: str | None, after: Key | None, limit: int) -> list[FoundProject]:
        """Live projects that the actor may see, newest first."""
        granted, param = _granted(actor)
        rows = self._query(
            f"SELECT {_COLUMNS}, g.role FROM {granted} g CROSS JOIN project p ON p.id = g.project_id"
            " WHERE g.project_id < ? AND p.deleted_at IS NULL"
            " AND p.team_id = coalesce(?, p.team_id) ORDER BY g.project_id DESC LIMIT ?",
            (param, after[0] if after else "~", team_id, limit),
        )
        return [FoundProject(*row) for row in rows]

    def insert(self, row: FoundProject) -> None:
        """Store a new project."""
        self._change(
            "INSERT INTO project (id, team_id, name, description, privacy_mode, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.id, row.team_id, row.name, row.description, int(row.privacy_mode), row.created_at, row.updated_at),
        )

    def update(self, row: FoundProject) -> None:
        """Store what may change of a project."""
        self._change(
            "UPDATE project SET name = ?, description = ?, privacy_mode = ?, updated_at = ? WHERE id = ?",
            (row.name, row.description, int(row.privacy_mode), row.updated_at, row.id),
        )

    def delete(self, id: str, key_id: str, now: str) -> None:
        """Mark a project, and who did it."""
        self._change("UPDATE project SET deleted_at = ?, deleted_by = ? WHERE id = ?", (now, key_id, id))

    def is_deleted(self, id: str, key_id: str) -> bool:
        """Whether there was such a project and this key deleted it."""
        return bool(self._query("SELECT 1 FROM project WHERE id = ? AND deleted_by = ?", (id, key_id)))

    def any_team(self) -> str | None:
        """The id of the library's team, once it has one."""
        rows = self._query("SELECT id FROM team ORDER BY id LIMIT 1")
        return rows[0][0] if rows else None

    def insert_team(self, id: str, name: str, now: str) -> None:
        """Store the team."""
        self._change("INSERT INTO team (id, name, created_at, updated_at) VALUES (?, ?, ?, ?)", (id, name, now, now))

    def team_of(self, project_id: str) -> tuple[str, str, str, str] | None:
        """Id, name, created_at and updated_at of a project's team."""
        rows = self._query(
            "SELECT t.id, t.name, t.created_at, t.updated_at"
            " FROM project p JOIN team t ON t.id = p.team_id WHERE p.id = ?",
            (project_id,),
        )
        return (rows[0][0], rows[0][1], rows[0][2], rows[0][3]) if rows else None

    def count_team(self, actor: Actor, team_id: str) -> TeamCounts:
        """Live rows of live projects that the actor may see. Reads every collection's and model's key: no hot path."""
        granted, param = _granted(actor)
        return TeamCounts(*self._query(_COUNT_TEAM.format(granted=granted), (param, team_id))[0])


_OF_KEY = "(SELECT project_id, role FROM access_grant WHERE api_key_id = ?)"
_OF_TOKEN = f"(SELECT name AS project_id, value AS role FROM {PAIRS})"


def _granted(actor: Actor) -> tuple[str, str]:
    """The projects an actor may see, each with its role, as a subquery and its parameter."""
    return (_OF_KEY, actor.key_id) if actor.token is None else (_OF_TOKEN, pair_list(actor.token.grants))


_COUNT_TEAM = """
WITH live AS (
    SELECT p.id, p.number FROM {granted} g CROSS JOIN project p ON p.id = g.project_id
    WHERE p.team_id = ? AND p.deleted_at IS NULL
)
SELECT
    (SELECT count(*) FROM live),
    (SELECT count(*) FROM api_key WHERE project_id IN (SELECT id FROM live) AND revoked_at IS NULL),
    (SELECT count(*) FROM collection WHERE owner IN (SELECT number FROM live) AND deleted_at IS NULL),
    (SELECT count(*) FROM model WHERE owner IN (SELECT number FROM live) AND deleted_at IS NULL)
"""
