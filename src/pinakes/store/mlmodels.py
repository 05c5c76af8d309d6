"""SQL of models."""

import msgspec

from pinakes.mlmodels import FoundModel, ModelFilter
from pinakes.model_types import ModelSettings
from pinakes.page import Key
from pinakes.store import pages
from pinakes.store.dialect import IDS, TRASH_INDEX, Driver, Row, id_list, names_of

_STORED = (
    "id, name, type, status, short_description, description, privacy, parent_id, author_id, settings,"
    " created_at, updated_at"
)

_COLUMNS = f"""
    {", ".join(f"x.{name.strip()}" for name in _STORED.split(","))}, x.deleted_at,
    CASE WHEN x.thumbnail_asset_id IS NOT NULL THEN (
        SELECT a.id FROM asset a
        WHERE a.project_id = x.project_id AND a.id = x.thumbnail_asset_id AND a.deleted_at IS NULL
    ) END,
    (SELECT json_group_array(t.name) FROM model_tag t WHERE t.project_id = x.project_id AND t.model_id = x.id),
    (SELECT json_group_array(m.collection_id) FROM collection_model m
     WHERE m.project_id = x.project_id AND m.model_id = x.id AND NOT EXISTS (
        SELECT 1 FROM collection c {TRASH_INDEX}
        WHERE c.project_id = m.project_id AND c.id = m.collection_id AND c.deleted_at IS NOT NULL)),
    (SELECT json_group_array(e.asset_id) FROM (
        SELECT e.asset_id FROM model_example e
        JOIN asset a ON a.project_id = e.project_id AND a.id = e.asset_id AND a.deleted_at IS NULL
        WHERE e.project_id = x.project_id AND e.model_id = x.id ORDER BY e.position) e)
"""

_encode = msgspec.json.Encoder().encode
_decode_settings = msgspec.json.Decoder(ModelSettings).decode


class ModelSql:
    """Statements on `model` and `model_example`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find(self, project_id: str, id: str) -> FoundModel | None:
        """A live model."""
        sql = f"SELECT {_COLUMNS} FROM model x WHERE x.project_id = ? AND x.id = ? AND x.deleted_at IS NULL"
        rows = self._query(sql, (project_id, id))
        return _row(rows[0]) if rows else None

    def find_many(self, project_id: str, ids: list[str]) -> list[FoundModel]:
        """Live models among the ids, in no order."""
        sql = f"SELECT {_COLUMNS} FROM model x WHERE x.project_id = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return [_row(row) for row in self._query(sql, (project_id, id_list(ids)))]

    def page(
        self, project_id: str, filter: ModelFilter, cutoff: str, after: Key | None, limit: int
    ) -> list[FoundModel]:
        """Models that pass the filter, in its order; of the trash only what was deleted after `cutoff`."""
        conditions: list[pages.Condition] = [("x.privacy = ?", (filter.privacy,))]
        if filter.status is not None:
            conditions.append(("x.status = ?", (filter.status,)))
        if filter.collection_ids:
            members = f"SELECT model_id FROM collection_model WHERE project_id = ? AND collection_id IN {IDS}"
            conditions.append((f"x.id IN ({members})", (project_id, id_list(filter.collection_ids))))
        sql, params = pages.statement("model", _COLUMNS, project_id, filter, cutoff, after, conditions)
        return [_row(row) for row in self._query(sql, (*params, limit))]

    def insert(self, project_id: str, row: FoundModel) -> None:
        """Store a new model."""
        self._change(
            f"INSERT INTO model (project_id, thumbnail_asset_id, {_STORED}) VALUES ({', '.join('?' * 14)})",
            (
                project_id,
                row.thumbnail_asset_id,
                row.id,
                row.name,
                row.type,
                row.status,
                row.short_description,
                row.description,
                row.privacy,
                row.parent_id,
                row.author_id,
                _encode(row.settings).decode(),
                row.created_at,
                row.updated_at,
            ),
        )

    def update(self, project_id: str, row: FoundModel, is_cover_set: bool) -> None:
        """Store what may change. The thumbnail only with `is_cover_set`: `row` lacks one that is in the trash."""
        self._change(
            "UPDATE model SET name = ?, type = ?, short_description = ?, description = ?, settings = ?, updated_at = ?,"
            " thumbnail_asset_id = CASE WHEN ? THEN ? ELSE thumbnail_asset_id END WHERE project_id = ? AND id = ?",
            (
                row.name,
                row.type,
                row.short_description,
                row.description,
                _encode(row.settings).decode(),
                row.updated_at,
                is_cover_set,
                row.thumbnail_asset_id,
                project_id,
                row.id,
            ),
        )

    def set_examples(self, project_id: str, id: str, asset_ids: list[str]) -> None:
        """Replace a model's examples."""
        self._change("DELETE FROM model_example WHERE project_id = ? AND model_id = ?", (project_id, id))
        self._change(
            "INSERT INTO model_example (project_id, model_id, position, asset_id)"
            " SELECT ?, ?, key, value FROM json_each(?)",
            (project_id, id, id_list(asset_ids)),
        )

    def trash(self, project_id: str, id: str, now: str) -> None:
        """Mark a model."""
        self._change(
            "UPDATE model SET deleted_at = ?, updated_at = ? WHERE project_id = ? AND id = ?",
            (now, now, project_id, id),
        )

    def untrash(self, project_id: str, id: str, now: str) -> None:
        """Unmark a model."""
        self._change(
            "UPDATE model SET deleted_at = NULL, updated_at = ? WHERE project_id = ? AND id = ?", (now, project_id, id)
        )

    def deleted_at(self, project_id: str, ids: list[str]) -> dict[str, str | None]:
        """Of those ids that are models, live or not: when each was deleted."""
        sql = f"SELECT id, deleted_at FROM model WHERE project_id = ? AND id IN {IDS}"
        return {row[0]: row[1] for row in self._query(sql, (project_id, id_list(ids)))}


def _row(row: Row) -> FoundModel:
    lists = (names_of(row[14]), names_of(row[15]), names_of(row[16]))
    return FoundModel(*(*row[:9], _decode_settings(row[9]), *row[10:14], *lists))
