"""SQL of models."""

from typing import Any

import msgspec

from pinakes.mlmodels import ModelFilter
from pinakes.model_hashes import ModelHashes
from pinakes.model_types import FoundModel, ModelFacts, ModelFile, ModelSettings
from pinakes.page import Key
from pinakes.store import fulltext, pages
from pinakes.store.dialect import IDS, LOCKED, NUMBERED_IDS, Driver, Row, id_list, json_text, names_of, sorted_names_of
from pinakes.store.members import collection_ids

_STORED = (
    "id, name, type, status, short_description, description, privacy, parent_id, author_id, settings,"
    " created_at, updated_at, sha256, size, file_name, format, hashes, facts"
)

_COLUMNS = f"""
    x.number, {", ".join(f"x.{name.strip()}" for name in _STORED.split(","))}, x.deleted_at,
    CASE WHEN x.thumbnail_asset_id IS NOT NULL THEN (
        SELECT a.id FROM asset a
        WHERE a.owner = x.owner AND a.id = x.thumbnail_asset_id AND a.deleted_at IS NULL
    ) END,
    (SELECT json_group_array(t.name) FROM model_tag t WHERE t.owner = x.owner AND t.model = x.number),
    (SELECT json_group_array(m.collection) FROM collection_model m WHERE m.owner = x.owner AND m.model = x.number),
    (SELECT json_group_array(e.id) FROM (
        SELECT a.id FROM model_example e
        JOIN asset a ON a.owner = e.owner AND a.number = e.asset AND a.deleted_at IS NULL
        WHERE e.owner = x.owner AND e.model = x.number ORDER BY e.position) e)
"""

_IN_COLLECTIONS = f"""x.number IN (
    SELECT m.model FROM collection c JOIN collection_model m ON m.owner = c.owner AND m.collection = c.number
    WHERE c.owner = ? AND c.id IN {IDS} AND m.owner = ?)"""

_decode_facts = msgspec.json.Decoder(ModelFacts).decode
_decode_hashes = msgspec.json.Decoder(ModelHashes).decode
_decode_settings = msgspec.json.Decoder(ModelSettings).decode


class ModelSql:
    """Statements on `model` and `model_example`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def find(self, owner: int, id: str) -> FoundModel | None:
        """A live model."""
        lock = LOCKED.format("x")
        sql = f"SELECT {_COLUMNS} FROM model x WHERE x.owner = ? AND x.id = ? AND x.deleted_at IS NULL {lock}"
        return next(iter(self._all(owner, sql, (owner, id))), None)

    def find_many(self, owner: int, ids: list[str]) -> list[FoundModel]:
        """Live models among the ids, in no order."""
        sql = f"SELECT {_COLUMNS} FROM model x WHERE x.owner = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return self._all(owner, sql, (owner, id_list(ids)))

    def page(self, owner: int, filter: ModelFilter, cutoff: str, after: Key | None, limit: int) -> list[FoundModel]:
        """Models that pass the filter, in its order; of the trash only what was deleted after `cutoff`."""
        conditions: list[pages.Condition] = [("x.privacy = ?", (filter.privacy,))]
        if filter.status is not None:
            conditions.append(("x.status = ?", (filter.status,)))
        if filter.collection_ids:
            conditions.append((_IN_COLLECTIONS, (owner, id_list(filter.collection_ids), owner)))
        sql, params = pages.statement("model", _COLUMNS, owner, filter, cutoff, after, conditions)
        return self._all(owner, sql, (*params, limit))

    def _all(self, owner: int, sql: str, params: tuple[Any, ...]) -> list[FoundModel]:
        rows = self._query(sql, params)
        return list(map(_row, rows, collection_ids(self._driver, owner, [row[22] for row in rows])))

    def insert(self, owner: int, row: FoundModel) -> int:
        """Store a new model; its number."""
        rows = self._query(
            f"INSERT INTO model (owner, thumbnail_asset_id, {_STORED}) VALUES ({', '.join('?' * 20)}) RETURNING number",
            (
                owner,
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
                json_text(row.settings),
                row.created_at,
                row.updated_at,
                *_file_of(row),
            ),
        )
        number = int(rows[0][0])
        fulltext.index(self._driver, "model", owner, [number])
        return number

    def update(self, owner: int, row: FoundModel, is_cover_set: bool) -> None:
        """Store what may change. The thumbnail only with `is_cover_set`: `row` lacks one that is in the trash."""
        self._change(
            "UPDATE model SET name = ?, type = ?, short_description = ?, description = ?, settings = ?, updated_at = ?,"
            " thumbnail_asset_id = CASE WHEN ? THEN ? ELSE thumbnail_asset_id END WHERE owner = ? AND id = ?",
            (
                row.name,
                row.type,
                row.short_description,
                row.description,
                json_text(row.settings),
                row.updated_at,
                is_cover_set,
                row.thumbnail_asset_id,
                owner,
                row.id,
            ),
        )
        fulltext.index(self._driver, "model", owner, [row.number])

    def set_examples(self, owner: int, number: int, asset_ids: list[str]) -> None:
        """Replace a model's examples by live assets."""
        self._change("DELETE FROM model_example WHERE owner = ? AND model = ?", (owner, number))
        self._change(
            "INSERT INTO model_example (owner, model, position, asset)"
            f" SELECT ?, ?, wanted.key, a.number FROM {NUMBERED_IDS} wanted"
            " CROSS JOIN asset a ON a.owner = ? AND a.id = wanted.value",
            (owner, number, id_list(asset_ids), owner),
        )

    def trash(self, owner: int, id: str, now: str) -> None:
        """Mark a model."""
        rows = self._query(
            "UPDATE model SET deleted_at = ?, updated_at = ? WHERE owner = ? AND id = ? RETURNING number",
            (now, now, owner, id),
        )
        fulltext.forget(self._driver, "model", owner, [row[0] for row in rows])

    def untrash(self, owner: int, id: str, now: str) -> None:
        """Unmark a model."""
        rows = self._query(
            "UPDATE model SET deleted_at = NULL, updated_at = ? WHERE owner = ? AND id = ? RETURNING number",
            (now, owner, id),
        )
        fulltext.index(self._driver, "model", owner, [row[0] for row in rows])

    def deleted_at(self, owner: int, ids: list[str]) -> dict[str, str | None]:
        """Of those ids that are models, live or not: when each was deleted."""
        sql = f"SELECT id, deleted_at FROM model WHERE owner = ? AND id IN {IDS}"
        return {row[0]: row[1] for row in self._query(sql, (owner, id_list(ids)))}


def _row(row: Row, shelves: list[str]) -> FoundModel:
    lists = (sorted_names_of(row[21]), shelves, names_of(row[23]))
    facts = _decode_facts(row[18]) if row[18] else None
    return FoundModel(*(*row[:10], _decode_settings(row[10]), *row[11:13], *row[19:21], *lists, _file(row), facts))


def _file(row: Row) -> ModelFile | None:
    sha256, size, name, format, hashes = row[13:18]
    if sha256 is None:
        return None
    known = _decode_hashes(hashes) if hashes else ModelHashes(sha256, auto_v2=sha256[:10])
    return ModelFile(**msgspec.structs.asdict(known), file_name=name or "", size=size, format=format or "")


def _file_of(row: FoundModel) -> tuple[str | int | None, ...]:
    """The last columns of `_STORED`."""
    facts = None if row.facts is None else json_text(row.facts)
    if row.file is None:
        return (None, None, None, None, None, facts)
    hashes = msgspec.convert(row.file, ModelHashes, from_attributes=True)
    return (row.file.sha256, row.file.size, row.file.file_name, row.file.format, json_text(hashes), facts)
