"""SQL of API keys and of what they may see."""

import msgspec

from pinakes.access import ApiKey
from pinakes.store.dialect import IDS, Driver, Row, id_list


class Grant(msgspec.Struct, frozen=True):
    """What a live key may do in a project, whose number is `owner`."""

    secret_hash: bytes
    project_id: str
    owner: int
    role: str


class AccessSql:
    """Statements on `api_key` and `access_grant`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change
        self._admitted: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """A transaction begins: whoever was admitted in an earlier one is to be looked for anew."""
        self._admitted.clear()

    def is_admitted(self, key_id: str, project_id: str) -> bool:
        """Whether a live key has a grant in a project. One statement in a transaction, however many verbs it is of."""
        who = (key_id, project_id)
        if who not in self._admitted and self.find_grant(key_id, project_id) is not None:
            self._admitted.add(who)
        return who in self._admitted

    def find_grant(self, key_id: str, project_id: str | None) -> Grant | None:
        """A live key's grant in a project, or in its own."""
        if project_id is None:
            rows = self._query(_GRANT + "is_own", (key_id,))
        else:
            rows = self._query(_GRANT + "project_id = ?", (key_id, project_id))
        return Grant(*rows[0]) if rows else None

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
            "INSERT INTO access_grant (api_key_id, project_id, owner, role, secret_hash, is_own)"
            " SELECT k.id, p.id, p.number, ?, k.secret_hash, k.project_id = p.id"
            " FROM api_key k JOIN project p ON p.id = ?"
            " WHERE k.id = ? AND k.revoked_at IS NULL AND p.deleted_at IS NULL",
            (role, project_id, key_id),
        )

    def revoke_key(self, project_id: str, key_id: str, now: str) -> bool:
        """Whether there was such a live key."""
        self._admitted.clear()
        found = self._change(
            "UPDATE api_key SET revoked_at = ?, updated_at = ? WHERE id = ? AND project_id = ? AND revoked_at IS NULL",
            (now, now, key_id, project_id),
        )
        if found:
            self._change("DELETE FROM access_grant WHERE api_key_id = ?", (key_id,))
        return bool(found)

    def is_revoked(self, project_id: str, key_id: str) -> bool:
        """Whether there was such a key."""
        sql = "SELECT 1 FROM api_key WHERE id = ? AND project_id = ? AND revoked_at IS NOT NULL"
        return bool(self._query(sql, (key_id, project_id)))

    def end_project(self, project_id: str) -> None:
        """End every grant in a project, and all of the keys that belong to it."""
        self._admitted.clear()
        self._change(
            "DELETE FROM access_grant WHERE project_id = ?"
            " OR api_key_id IN (SELECT id FROM api_key WHERE project_id = ?)",
            (project_id, project_id),
        )

    def keys_of(self, project_ids: list[str]) -> list[ApiKey]:
        """Live keys of projects, oldest first."""
        rows = self._query(_KEYS, (id_list(project_ids),))
        return [_key(row) for row in rows]


def _key(row: Row) -> ApiKey:
    id, created_at, name, role, updated_at, author_id, project_id = row
    return ApiKey(id, id, "active", created_at, name, role, "project", updated_at, author_id, project_id)


_GRANT = "SELECT secret_hash, project_id, owner, role FROM access_grant WHERE api_key_id = ? AND "

_KEYS = f"""
SELECT id, created_at, name, role, updated_at, author_id, project_id
FROM api_key
WHERE project_id IN {IDS} AND revoked_at IS NULL
ORDER BY id
"""
