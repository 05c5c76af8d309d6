"""SQL of API keys and of what they may see."""

import msgspec

from pinakes.access import ApiKey
from pinakes.store.dialect import IDS, Driver, Row, id_list


class FoundKey(msgspec.Struct, frozen=True):
    """A live key, and its role in the project asked for (None: it may not see that project)."""

    secret_hash: bytes
    project_id: str
    role: str | None
    owner: int | None


class AccessSql:
    """Statements on `api_key` and `access_grant`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find_key(self, key_id: str, project_id: str | None) -> FoundKey | None:
        """A key by id, unless it is revoked or its own project is deleted. One statement."""
        rows = self._query(_FIND_KEY, (project_id, project_id, key_id))
        return FoundKey(*rows[0]) if rows else None

    def insert_key(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key and admit it to its own project."""
        self._change(
            "INSERT INTO api_key (id, project_id, name, role, secret_hash, author_id, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (key.id, key.owner_id, key.name, key.role, secret_hash, key.author_id, key.created_at, key.updated_at),
        )
        self.grant(key.id, key.owner_id, key.role)

    def grant(self, key_id: str, project_id: str, role: str) -> None:
        """Admit a key to a project."""
        self._change(
            "INSERT INTO access_grant (api_key_id, project_id, role) VALUES (?, ?, ?)", (key_id, project_id, role)
        )

    def revoke_key(self, project_id: str, key_id: str, now: str) -> int:
        """1 when there was such a live key."""
        return self._change(
            "UPDATE api_key SET revoked_at = ?, updated_at = ? WHERE id = ? AND project_id = ? AND revoked_at IS NULL",
            (now, now, key_id, project_id),
        )

    def keys_of(self, project_ids: list[str]) -> list[ApiKey]:
        """Live keys of projects, oldest first."""
        rows = self._query(_KEYS, (id_list(project_ids),))
        return [_key(row) for row in rows]


def _key(row: Row) -> ApiKey:
    id, created_at, name, role, updated_at, author_id, project_id = row
    return ApiKey(id, id, "active", created_at, name, role, "project", updated_at, author_id, project_id)


_FIND_KEY = """
SELECT k.secret_hash, coalesce(?, k.project_id), g.role, p.number
FROM api_key k
JOIN project own ON own.id = k.project_id AND own.deleted_at IS NULL
LEFT JOIN access_grant g ON g.api_key_id = k.id AND g.project_id = coalesce(?, k.project_id)
LEFT JOIN project p ON p.id = g.project_id AND p.deleted_at IS NULL
WHERE k.id = ? AND k.revoked_at IS NULL
"""

_KEYS = f"""
SELECT id, created_at, name, role, updated_at, author_id, project_id
FROM api_key
WHERE project_id IN {IDS} AND revoked_at IS NULL
ORDER BY id
"""
