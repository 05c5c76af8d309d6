"""SQL of memberships: which assets, or which models, are in which collections."""

from typing import Literal

from pinakes.store.dialect import IDS, Driver, id_list


class MemberSql:
    """Statements on `collection_asset` or `collection_model`."""

    def __init__(self, driver: Driver, noun: Literal["asset", "model"]) -> None:
        self._query = driver.query
        self._change = driver.change
        table, member = f"collection_{noun}", f"{noun}_id"
        self._states = f"""
            SELECT wanted.value, m.{member} IS NOT NULL
            FROM json_each(?) wanted
            CROSS JOIN {noun} x ON x.project_id = ? AND x.id = wanted.value AND x.deleted_at IS NULL
            LEFT JOIN {table} m ON m.project_id = ? AND m.collection_id = ? AND m.{member} = wanted.value
        """
        self._live = f"SELECT id FROM {noun} WHERE project_id = ? AND id IN {IDS} AND deleted_at IS NULL"
        self._insert = f"INSERT INTO {table} (project_id, collection_id, {member}) SELECT ?, ?, value FROM json_each(?)"
        self._delete = f"DELETE FROM {table} WHERE project_id = ? AND collection_id = ? AND {member} IN {IDS}"
        self._recount = f"""
            UPDATE collection SET updated_at = max(updated_at, ?), {noun}_count = {noun}_count + ? * (
                SELECT count(*) FROM {table} m
                WHERE m.project_id = collection.project_id AND m.collection_id = collection.id AND m.{member} IN {IDS}
            )
            WHERE project_id = ? AND id IN (
                SELECT m.collection_id FROM json_each(?) moved
                CROSS JOIN {table} m ON m.project_id = ? AND m.{member} = moved.value
            )
        """

    def states(self, project_id: str, collection_id: str, ids: list[str]) -> dict[str, bool]:
        """Of the ids that are live: whether each is in the collection. An id that is not live is left out."""
        wanted = id_list(ids)
        return {
            id: bool(is_member)
            for id, is_member in self._query(self._states, (wanted, project_id, project_id, collection_id))
        }

    def live(self, project_id: str, ids: list[str]) -> set[str]:
        """Those of the ids that exist and are not in the trash."""
        return {row[0] for row in self._query(self._live, (project_id, id_list(ids)))}

    def insert(self, project_id: str, collection_id: str, ids: list[str]) -> None:
        """Make members of ids that are none yet. Sorted, because neighbours in the key share pages."""
        self._change(self._insert, (project_id, collection_id, id_list(sorted(ids))))

    def delete(self, project_id: str, collection_id: str, ids: list[str]) -> None:
        """End memberships."""
        self._change(self._delete, (project_id, collection_id, id_list(ids)))

    def recount(self, project_id: str, ids: list[str], sign: int, now: str) -> None:
        """Count members in (`sign` 1) or out (-1) of every collection they are in, deleted collections included."""
        moved = id_list(ids)
        self._change(self._recount, (now, sign, moved, project_id, moved, project_id))
