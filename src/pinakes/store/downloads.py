"""SQL of downloads: the archives and model files that were asked for, and the bytes that are sent."""

import msgspec

from pinakes.download_types import Described, Stored, Wanted
from pinakes.store.dialect import IDS, Driver, id_list, json_text
from pinakes.store.ingredients import SHOWN

_STORED = "x.id, x.name, x.sha256, x.size, x.mime_type, x.format, x.created_at"
_DESCRIBED = f"""
    {_STORED}, coalesce(x.description, ''), coalesce(x.generation ->> 'seed', ''),
    coalesce(x.generation ->> 'prompt', ''), coalesce(x.generation ->> 'generator', '')
"""
_MODEL_FILE = "x.id, coalesce(x.file_name, x.name, x.id), x.sha256, x.size, ?, x.format, x.created_at"
_OF_PROJECT = "x.owner = (SELECT number FROM project WHERE id = ? AND deleted_at IS NULL)"
_MADE_WITH = f"""
SELECT x.id FROM (
    SELECT DISTINCT u.owner, u.asset AS number FROM model k CROSS JOIN asset_ingredient u
    ON u.owner = k.owner AND u.model = k.number
    WHERE k.owner = ? AND k.id IN {IDS} AND {SHOWN}
) made JOIN asset x ON x.owner = made.owner AND x.number = made.number AND x.deleted_at IS NULL
WHERE x.owner = ?
ORDER BY x.id LIMIT ?
"""
_FILE_TYPE = "application/octet-stream"

_decode: msgspec.json.Decoder[Wanted] = msgspec.json.Decoder(Wanted)


class DownloadSql:
    """Statements on `download`, and on what is downloaded."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def insert(self, owner: int, id: str, wanted: Wanted, now: str) -> None:
        """Keep what was asked for."""
        self._change(
            "INSERT INTO download (owner, id, spec, created_at) VALUES (?, ?, ?, ?)",
            (owner, id, json_text(wanted), now),
        )

    def find(self, owner: int, id: str) -> Wanted | None:
        """What was asked for under an id."""
        rows = self._query("SELECT spec FROM download WHERE owner = ? AND id = ?", (owner, id))
        return _decode.decode(rows[0][0]) if rows else None

    def locate(self, project_id: str, id: str) -> tuple[int, Wanted] | None:
        """What was asked for in a live project, and the owner's number."""
        rows = self._query(
            f"SELECT x.owner, x.spec FROM download x WHERE {_OF_PROJECT} AND x.id = ?",
            (project_id, id),
        )
        return (rows[0][0], _decode.decode(rows[0][1])) if rows else None

    def asset(self, project_id: str, id: str) -> Stored | None:
        """The bytes of a live asset in a live project."""
        rows = self._query(
            f"SELECT {_STORED} FROM asset x WHERE {_OF_PROJECT} AND x.id = ? AND x.deleted_at IS NULL",
            (project_id, id),
        )
        return Stored(*rows[0]) if rows else None

    def assets(self, owner: int, ids: list[str]) -> dict[str, Stored]:
        """The bytes of live assets among the ids."""
        sql = f"SELECT {_STORED} FROM asset x WHERE x.owner = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return {row[0]: Stored(*row) for row in self._query(sql, (owner, id_list(ids)))}

    def described(self, owner: int, ids: list[str]) -> dict[str, Described]:
        """Live assets among the ids, with what files can be named after."""
        sql = f"SELECT {_DESCRIBED} FROM asset x WHERE x.owner = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return {row[0]: Described(*row) for row in self._query(sql, (owner, id_list(ids)))}

    def made_with(self, owner: int, model_ids: list[str], limit: int) -> list[str]:
        """The ids of live assets that any of these models was used for, oldest first."""
        rows = self._query(_MADE_WITH, (owner, id_list(model_ids), owner, limit))
        return [row[0] for row in rows]

    def model_file(self, project_id: str, id: str) -> Stored | None:
        """The file of a live model in a live project, if it has one."""
        rows = self._query(
            f"SELECT {_MODEL_FILE} FROM model x"
            f" WHERE {_OF_PROJECT} AND x.id = ? AND x.deleted_at IS NULL AND x.sha256 IS NOT NULL",
            (_FILE_TYPE, project_id, id),
        )
        return Stored(*rows[0]) if rows else None

    def is_due(self, owner: int, cutoff: str) -> bool:
        """Whether there is something to forget."""
        return bool(self._query(f"SELECT 1 FROM download WHERE {_DUE} LIMIT 1", (owner, cutoff)))

    def expire(self, owner: int, cutoff: str, limit: int) -> int:
        """Forget up to `limit` downloads of a project that were asked for at or before `cutoff`; how many."""
        return self._change(
            "DELETE FROM download WHERE owner = ? AND id IN"
            f" (SELECT id FROM download WHERE {_DUE} ORDER BY created_at LIMIT ?)",
            (owner, owner, cutoff, limit),
        )


_DUE = "+owner = ? AND created_at <= ?"  # SQLite's index is not by owner
