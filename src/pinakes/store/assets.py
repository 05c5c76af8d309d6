"""SQL of assets."""

from typing import Any

import msgspec

from pinakes.asset_types import NO_FACTS, Bytes, Facts, FoundAsset, Generation, Located
from pinakes.assets import AssetFilter
from pinakes.page import Key
from pinakes.store import fulltext, looks, pages
from pinakes.store.dialect import IDS, LOCKED, Driver, Row, id_list, json_text, sorted_names_of
from pinakes.store.ingredients import LINKS, links_of
from pinakes.store.members import collection_ids

_STORED = (
    "id, name, description, kind, type, sha256, size, mime_type, format, width, height, frames, is_hidden, privacy,"
    " author_id, parent_id, root_id, model_id, copied_at, created_at, updated_at, status, error_message,"
    " has_thumbnail, has_preview, facts, generation, look"
)

# Tags and the numbers of collections come with the row, so that a page is two statements whatever its size.
_COLUMNS = f"""
    x.number, {", ".join(f"x.{name.strip()}" for name in _STORED.split(","))}, x.deleted_at,
    (SELECT json_group_array(t.name) FROM asset_tag t WHERE t.owner = x.owner AND t.asset = x.number),
    (SELECT json_group_array(m.collection) FROM collection_asset m WHERE m.owner = x.owner AND m.asset = x.number),
    CASE WHEN x.generation IS NOT NULL THEN ({LINKS.format(owner="x.owner", asset="x.number")}) ELSE '[]' END
"""

_LOCKED = LOCKED.format("x")

_decode_facts = msgspec.json.Decoder(Facts).decode
_decode_generation = msgspec.json.Decoder(Generation).decode


class AssetSql:
    """Statements on `asset`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def find(self, owner: int, id: str) -> FoundAsset | None:
        """A live asset."""
        sql = f"SELECT {_COLUMNS} FROM asset x WHERE x.owner = ? AND x.id = ? AND x.deleted_at IS NULL {_LOCKED}"
        return self._first(owner, sql, (owner, id))

    def locate(self, project_id: str, id: str) -> Located | None:
        """The bytes of a live asset in a live project."""
        rows = self._query(
            "SELECT sha256, size, mime_type, name FROM asset"
            " WHERE owner = (SELECT number FROM project WHERE id = ? AND deleted_at IS NULL)"
            " AND id = ? AND deleted_at IS NULL",
            (project_id, id),
        )
        return Located(*rows[0]) if rows else None

    def find_many(self, owner: int, ids: list[str]) -> list[FoundAsset]:
        """Live assets among the ids, in no order."""
        sql = f"SELECT {_COLUMNS} FROM asset x WHERE x.owner = ? AND x.id IN {IDS} AND x.deleted_at IS NULL"
        return self._all(owner, sql, (owner, id_list(ids)))

    def page(
        self, owner: int, filter: AssetFilter, collection: int | None, cutoff: str, after: Key | None, limit: int
    ) -> list[FoundAsset]:
        """Assets that pass the filter, in its order; of the trash only what was deleted after `cutoff`.

        `collection` is the number of the one that the filter names.
        """
        index = "asset_parent" if filter.parent_id else "asset_root" if filter.root_id else ""
        conditions = _conditions(filter)
        sql, params = pages.statement("asset", _COLUMNS, owner, filter, cutoff, after, conditions, collection, index)
        return self._all(owner, sql, (*params, limit))

    def insert(self, owner: int, row: FoundAsset) -> int:
        """Store a new asset; its number."""
        data = row.bytes
        rows = self._query(
            f"INSERT INTO asset (owner, {_STORED}) VALUES ({', '.join('?' * 29)}) RETURNING number",
            (
                owner,
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
                row.status,
                row.error_message,
                *_found(data),
            ),
        )
        number = int(rows[0][0])
        self._index(owner, number)
        return number

    def settle(self, owner: int, number: int, data: Bytes, now: str) -> None:
        """Store what looking into the bytes of a pending asset has found."""
        self._change(
            "UPDATE asset SET status = 'success', width = ?, height = ?, frames = ?, has_thumbnail = ?,"
            " has_preview = ?, facts = ?, generation = ?, look = ?, updated_at = ? WHERE owner = ? AND number = ?",
            (data.width, data.height, data.frames, *_found(data), now, owner, number),
        )
        self._index(owner, number)

    def fail(self, owner: int, number: int, message: str, now: str) -> None:
        """Store why nothing came of looking into the bytes of a pending asset."""
        self._change(
            "UPDATE asset SET status = 'error', error_message = ?, updated_at = ? WHERE owner = ? AND number = ?",
            (message, now, owner, number),
        )

    def find_pending(self, owner: int, id: str) -> FoundAsset | None:
        """An asset that waits to be looked into, in the trash or not."""
        sql = f"SELECT {_COLUMNS} FROM asset x WHERE x.owner = ? AND x.id = ? AND x.status = 'pending' {_LOCKED}"
        return self._first(owner, sql, (owner, id))

    def update(self, owner: int, row: FoundAsset) -> None:
        """Store what may change of an asset."""
        self._change(
            "UPDATE asset SET name = ?, description = ?, updated_at = ? WHERE owner = ? AND id = ?",
            (row.name, row.description, row.updated_at, owner, row.id),
        )
        fulltext.index(self._driver, "asset", owner, [row.number])

    def trash(self, owner: int, ids: list[str], now: str) -> list[int]:
        """Mark live assets among the ids; the numbers of those."""
        rows = self._query(
            f"UPDATE asset SET deleted_at = ?, updated_at = ? WHERE owner = ? AND id IN {IDS}"
            " AND deleted_at IS NULL RETURNING number",
            (now, now, owner, id_list(ids)),
        )
        numbers = [row[0] for row in rows]
        fulltext.forget(self._driver, "asset", owner, numbers)
        return numbers

    def untrash(self, owner: int, ids: list[str], now: str) -> list[int]:
        """Unmark assets; their numbers."""
        rows = self._query(
            f"UPDATE asset SET deleted_at = NULL, updated_at = ? WHERE owner = ? AND id IN {IDS} RETURNING number",
            (now, owner, id_list(ids)),
        )
        numbers = [row[0] for row in rows]
        fulltext.index(self._driver, "asset", owner, numbers)
        return numbers

    def deleted_at(self, owner: int, ids: list[str]) -> dict[str, str | None]:
        """Of those ids that are assets, live or not: when each was deleted."""
        sql = f"SELECT id, deleted_at FROM asset WHERE owner = ? AND id IN {IDS}"
        return {row[0]: row[1] for row in self._query(sql, (owner, id_list(ids)))}

    def _all(self, owner: int, sql: str, params: tuple[Any, ...]) -> list[FoundAsset]:
        rows = self._query(sql, params)
        return list(map(_row, rows, collection_ids(self._driver, owner, [row[31] for row in rows])))

    def _first(self, owner: int, sql: str, params: tuple[Any, ...]) -> FoundAsset | None:
        return next(iter(self._all(owner, sql, params)), None)

    def _index(self, owner: int, number: int) -> None:
        """Let a search find an asset whose bytes were looked into."""
        fulltext.index(self._driver, "asset", owner, [number])
        self._change(looks.INDEX, (looks.ALL_BANDS, owner, number))


def _row(row: Row, shelves: list[str]) -> FoundAsset:
    facts = _decode_facts(row[26]) if row[26] else NO_FACTS
    generation = _decode_generation(row[27]) if row[27] else None
    data = Bytes(
        sha256=row[6],
        size=row[7],
        kind=row[4],
        mime_type=row[8],
        format=row[9],
        width=row[10],
        height=row[11],
        frames=row[12],
        has_thumbnail=bool(row[24]),
        has_preview=bool(row[25]),
        facts=facts,
        generation=generation,
        look=row[28],
        is_probed=row[22] != "pending",
    )
    lists = (sorted_names_of(row[30]), shelves, links_of(row[32]))
    return FoundAsset(*(*row[:6], data, bool(row[13]), *row[14:24], row[29], *lists))


def _found(data: Bytes) -> tuple[str | int | None, ...]:
    """The last columns of `_STORED`."""
    facts = json_text(data.facts)
    return (
        data.has_thumbnail,
        data.has_preview,
        None if facts == "{}" else facts,
        None if data.generation is None else json_text(data.generation),
        data.look,
    )


def _conditions(filter: AssetFilter) -> list[pages.Condition]:
    columns = ("author_id", "parent_id", "root_id", "privacy")
    return [(f"x.{column} = ?", (value,)) for column in columns if (value := getattr(filter, column)) is not None]
