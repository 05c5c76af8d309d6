"""SQL of uploads and their parts."""

import msgspec

from pinakes.store.dialect import IDS, LOCKED, Driver, Row, id_list, json_text
from pinakes.upload_types import AssetOptions, FoundUpload, StoredPart

_STORED = (
    "id, author_id, kind, source, status, file_name, content_type, file_size, parts_count, sha256, url, options,"
    " created_at, updated_at, entity_id, error_message"
)
_COLUMNS = ", ".join(f"x.{name.strip()}" for name in f"number, {_STORED}".split(","))

_decode_options = msgspec.json.Decoder(AssetOptions).decode


class UploadSql:
    """Statements on `upload` and `upload_part`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find(self, owner: int, id: str) -> FoundUpload | None:
        """An upload, whatever its status."""
        lock = LOCKED.format("x")
        rows = self._query(f"SELECT {_COLUMNS} FROM upload x WHERE x.owner = ? AND x.id = ? {lock}", (owner, id))
        return _row(rows[0]) if rows else None

    def owner_of(self, project_id: str) -> int | None:
        """The number of a live project, for whoever holds a link that names it."""
        rows = self._query("SELECT number FROM project WHERE id = ? AND deleted_at IS NULL", (project_id,))
        return int(rows[0][0]) if rows else None

    def insert(self, owner: int, row: FoundUpload) -> None:
        """Store a new upload."""
        values = msgspec.structs.astuple(msgspec.structs.replace(row, options=json_text(row.options)))
        self._change(f"INSERT INTO upload (owner, {_STORED}) VALUES ({', '.join('?' * 17)})", (owner, *values[1:]))

    def set_status(self, owner: int, row: FoundUpload) -> None:
        """Store what may change of an upload."""
        self._change(
            "UPDATE upload SET status = ?, file_name = ?, content_type = ?, file_size = ?, entity_id = ?,"
            " error_message = ?, updated_at = ? WHERE owner = ? AND id = ?",
            (
                *(row.status, row.file_name, row.content_type, row.file_size, row.entity_id, row.error_message),
                *(row.updated_at, owner, row.id),
            ),
        )

    def parts(self, owner: int, number: int) -> list[StoredPart]:
        """The parts that are there, in order."""
        sql = "SELECT number, size, sha256 FROM upload_part WHERE owner = ? AND upload = ? ORDER BY number"
        return [StoredPart(*row) for row in self._query(sql, (owner, number))]

    def part(self, owner: int, upload: int, number: int) -> StoredPart | None:
        """The part of a number, if it is there."""
        sql = "SELECT number, size, sha256 FROM upload_part WHERE owner = ? AND upload = ? AND number = ?"
        rows = self._query(sql, (owner, upload, number))
        return StoredPart(*rows[0]) if rows else None

    def total(self, owner: int, number: int) -> tuple[int, int]:
        """How many parts are there, and their bytes."""
        sql = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload_part WHERE owner = ? AND upload = ?"
        count, size = self._query(sql, (owner, number))[0]
        return count, size

    def set_part(self, owner: int, upload: FoundUpload, part: StoredPart, now: str) -> None:
        """Note a part that is there now, in place of an earlier one of its number."""
        self._change(
            "INSERT INTO upload_part (owner, upload, number, size, sha256) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (owner, upload, number) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256",
            (owner, upload.number, part.number, part.size, part.sha256),
        )
        self._change("UPDATE upload SET updated_at = ? WHERE owner = ? AND id = ?", (now, owner, upload.id))

    def forget_parts(self, owner: int, number: int) -> None:
        """Their bytes are somewhere else now, or of no use."""
        self._change("DELETE FROM upload_part WHERE owner = ? AND upload = ?", (owner, number))

    def pending(self, owner: int, ids: list[str]) -> set[str]:
        """Those of the ids that are uploads of a project which may need their parts yet."""
        sql = f"SELECT id FROM upload WHERE owner = ? AND id IN {IDS} AND status IN ('pending', 'validating')"
        return {row[0] for row in self._query(sql, (owner, id_list(ids)))}

    def abandon(self, reason: str, now: str) -> None:
        """End all uploads whose parts are not with the database any more."""
        ended = "status IN ('pending', 'validating') AND source = 'multipart'"
        self._change(f"DELETE FROM job WHERE kind = 'upload' AND subject IN (SELECT id FROM upload WHERE {ended})", ())
        self._change(
            f"UPDATE upload SET status = 'failed', error_message = ?, updated_at = ? WHERE {ended}", (reason, now)
        )
        self._change("DELETE FROM upload_part")

    def all_parts(self, owner: int) -> list[tuple[str, StoredPart]]:
        """Every part that a project waits for: its upload, and itself."""
        rows = self._query(
            "SELECT x.id, t.number, t.size, t.sha256 FROM upload_part t"
            " CROSS JOIN upload x ON x.owner = t.owner AND x.number = t.upload"
            " WHERE t.owner = ? AND x.status = 'pending' AND x.source = 'multipart'",
            (owner,),
        )
        return [(row[0], StoredPart(*row[1:])) for row in rows]

    def kept_parts(self) -> list[tuple[str, StoredPart]]:
        """Every part that is noted, with its upload, also while it is being joined to others."""
        rows = self._query(
            "SELECT x.id, t.number, t.size, t.sha256 FROM upload_part t"
            " JOIN upload x ON x.owner = t.owner AND x.number = t.upload WHERE x.source = 'multipart'"
        )
        return [(row[0], StoredPart(*row[1:])) for row in rows]

    def is_due(self, owner: int, cutoff: str) -> bool:
        """Whether there is something to purge."""
        return bool(self._query(f"SELECT 1 FROM upload x WHERE {_DUE} LIMIT 1", (owner, cutoff)))

    def purge(self, owner: int, cutoff: str, limit: int) -> list[str]:
        """Delete uploads that nothing has happened to since `cutoff`; their ids. Those with a job are left to it."""
        sql = f"SELECT x.number, x.id FROM upload x WHERE {_DUE} ORDER BY x.updated_at LIMIT ? {LOCKED.format('x')}"
        due = self._query(sql, (owner, cutoff, limit))
        for number, id in due:
            self.forget_parts(owner, number)
            self._change("DELETE FROM upload WHERE owner = ? AND id = ?", (owner, id))
        return [row[1] for row in due]


_DUE = "+x.owner = ? AND x.updated_at <= ? AND x.status <> 'validating'"  # SQLite's index is not by owner


def _row(row: Row) -> FoundUpload:
    return FoundUpload(*(*row[:12], _decode_options(row[12]), *row[13:]))
