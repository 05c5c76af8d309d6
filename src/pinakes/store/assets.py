"""SQL of assets."""

from pinakes.assets import AssetFilter, Bytes, FoundAsset
from pinakes.page import Key
from pinakes.store import pages
from pinakes.store.dialect import IDS, TRASH_INDEX, Driver, Row, id_list, names_of

_STORED = (
    "id, name, description, kind, type, sha256, size, mime_type, format, width, height, frames, is_hidden, privacy,"
    " author_id, parent_id, root_id, model_id, copied_at, created_at, updated_at"
)

# Tags and collections come with the row, so that a page is one statement whatever its size.
_COLUMNS = f"""
    {", ".join(f"x.{name.strip()}" for name in _STORED.split(","))}, x.deleted_at,
    (SELECT json_group_array(t.name) FROM asset_tag t WHERE t.project_id = x.project_id AND t.asset_id = x.id),
    (SELECT json_group_array(m.collection_id) FROM collection_asset m
     WHERE m.project_id = x.project_id AND m.asset_id = x.id AND NOT EXISTS (
        SELECT 1 FROM collection c {TRASH_INDEX}
        WHERE c.project_id = m.project_id AND c.id = m.collection_id AND c.deleted_at IS NOT NULL))
"""


class AssetSql:
    """Statements on `asset`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find(self, project_id: str, id: str) -> FoundAsset | None:
        """A live asset."""
        sql = f"SELECT {_COLUMNS} FROM asset x WHERE x.project_id = ? AND x.id = ? AND x.deleted_at IS NULL"
        rows = self._query(sql, (project_id, id))
        return _row(rows[0]) if rows else None

    def find_many(self, project_id: str, ids: list[str]) -> list[FoundAsset]:
        """Live assets among the ids, in no order."""
        sql = f"SELECT {_COLUMNS} FROM asset x WHERE x.project_id = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return [_row(row) for row in self._query(sql, (project_id, id_list(ids)))]

    def page(
        self, project_id: str, filter: AssetFilter, cutoff: str, after: Key | None, limit: int
    ) -> list[FoundAsset]:
        """Assets that pass the filter, in its order; of the trash only what was deleted after `cutoff`."""
        sql, params = pages.statement(
            "asset", _COLUMNS, project_id, filter, cutoff, after, _conditions(filter), filter.collection_id
        )
        return [_row(row) for row in self._query(sql, (*params, limit))]

    def insert(self, project_id: str, row: FoundAsset) -> None:
        """Store a new asset."""
        data = row.bytes
        self._change(
            f"INSERT INTO asset (project_id, {_STORED}) VALUES ({', '.join('?' * 22)})",
            (
                project_id,
                row.id,
                row.name,
                row.description,
                row.kind,
                row.type,
                data.sha256,
                data.size,
                data.mime_type,
                data.format,
                data.width,
                data.height,
                data.frames,
                row.is_hidden,
                row.privacy,
                row.author_id,
                row.parent_id,
                row.root_id,
                row.model_id,
                row.copied_at,
                row.created_at,
                row.updated_at,
            ),
        )

    def update(self, project_id: str, row: FoundAsset) -> None:
        """Store what may change of an asset."""
        self._change(
            "UPDATE asset SET name = ?, description = ?, updated_at = ? WHERE project_id = ? AND id = ?",
            (row.name, row.description, row.updated_at, project_id, row.id),
        )

    def trash(self, project_id: str, ids: list[str], now: str) -> list[str]:
        """Mark live assets among the ids; which those were."""
        rows = self._query(
            f"UPDATE asset SET deleted_at = ?, updated_at = ? WHERE project_id = ? AND id IN {IDS}"
            " AND deleted_at IS NULL RETURNING id",
            (now, now, project_id, id_list(ids)),
        )
        return [row[0] for row in rows]

    def untrash(self, project_id: str, ids: list[str], now: str) -> None:
        """Unmark assets."""
        self._change(
            f"UPDATE asset SET deleted_at = NULL, updated_at = ? WHERE project_id = ? AND id IN {IDS}",
            (now, project_id, id_list(ids)),
        )

    def deleted_at(self, project_id: str, ids: list[str]) -> dict[str, str | None]:
        """Of those ids that are assets, live or not: when each was deleted."""
        sql = f"SELECT id, deleted_at FROM asset WHERE project_id = ? AND id IN {IDS}"
        return {row[0]: row[1] for row in self._query(sql, (project_id, id_list(ids)))}


def _row(row: Row) -> FoundAsset:
    data = Bytes(row[5], row[6], row[3], row[7], row[8], row[9], row[10], row[11])
    lists = (names_of(row[22]), names_of(row[23]))
    return FoundAsset(*(*row[:5], data, bool(row[12]), *row[13:22], *lists))


def _conditions(filter: AssetFilter) -> list[pages.Condition]:
    columns = ("author_id", "model_id", "parent_id", "root_id", "privacy")
    return [(f"x.{column} = ?", (value,)) for column in columns if (value := getattr(filter, column)) is not None]
