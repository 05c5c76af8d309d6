"""SQL of collections."""

from pinakes.collections import FoundCollection
from pinakes.page import Key
from pinakes.store.dialect import IDS, LOCKED, Driver, id_list

# The thumbnail is shown only while its asset is live, so it can never dangle, and is back when the asset is.
_COLUMNS = """
    c.number, c.id, c.name, c.asset_count, c.model_count,
    CASE WHEN c.thumbnail_asset_id IS NOT NULL THEN (
        SELECT a.id FROM asset a
        WHERE a.owner = c.owner AND a.id = c.thumbnail_asset_id AND a.deleted_at IS NULL
    ) END,
    c.created_at, c.updated_at
"""

FIND = (
    f"SELECT {_COLUMNS} FROM collection c WHERE c.owner = ? AND c.id = ? AND c.deleted_at IS NULL {LOCKED.format('c')}"
)

PAGE = f"""
SELECT {_COLUMNS} FROM collection c
WHERE c.owner = ? AND c.id < ? AND c.deleted_at IS NULL
ORDER BY c.id DESC LIMIT ?
"""

AFTER_ALL_IDS = "~"


class CollectionSql:
    """Statements on `collection`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def find(self, owner: int, id: str) -> FoundCollection | None:
        """A live collection."""
        rows = self._query(FIND, (owner, id))
        return FoundCollection(*rows[0]) if rows else None

    def find_many(self, owner: int, ids: list[str]) -> dict[str, int]:
        """Those of the ids that are live collections, with their numbers."""
        rows = self._query(
            f"SELECT id, number FROM collection WHERE owner = ? AND id IN {IDS} AND deleted_at IS NULL",
            (owner, id_list(ids)),
        )
        return dict(rows)

    def page(self, owner: int, after: Key | None, limit: int) -> list[FoundCollection]:
        """Live collections, newest first."""
        rows = self._query(PAGE, (owner, after[0] if after else AFTER_ALL_IDS, limit))
        return [FoundCollection(*row) for row in rows]

    def insert(self, owner: int, row: FoundCollection) -> None:
        """Store a new collection."""
        self._change(
            "INSERT INTO collection (owner, id, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            (owner, row.id, row.name, row.created_at, row.updated_at),
        )

    def update(self, owner: int, row: FoundCollection, is_cover_set: bool) -> None:
        """Store what may change. The thumbnail only with `is_cover_set`: `row` lacks one that is in the trash."""
        self._change(
            "UPDATE collection SET name = ?, asset_count = ?, model_count = ?, updated_at = ?,"
            " thumbnail_asset_id = CASE WHEN ? THEN ? ELSE thumbnail_asset_id END WHERE owner = ? AND id = ?",
            (
                row.name,
                row.asset_count,
                row.model_count,
                row.updated_at,
                is_cover_set,
                row.thumbnail_asset_id,
                owner,
                row.id,
            ),
        )

    def delete(self, owner: int, id: str, now: str) -> None:
        """Mark a collection; its memberships stay, hidden."""
        self._change(
            "UPDATE collection SET deleted_at = ?, updated_at = ? WHERE owner = ? AND id = ?",
            (now, now, owner, id),
        )

    def is_deleted(self, owner: int, id: str) -> bool:
        """Whether the collection is in the trash."""
        sql = "SELECT 1 FROM collection WHERE owner = ? AND id = ? AND deleted_at IS NOT NULL"
        return bool(self._query(sql, (owner, id)))
