"""SQL of tags, and of which assets and models have them."""

from pinakes.collections import MemberNoun
from pinakes.page import Key
from pinakes.store.dialect import IDS, Driver, id_list
from pinakes.tags import Tag


class TagSql:
    """Statements on `tag`, `asset_tag` and `model_tag`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def page(self, project_id: str, after: Key | None, limit: int) -> list[Tag]:
        """Tags in use, by name."""
        rows = self._query(
            "SELECT name, item_count, project_id, created_at, updated_at FROM tag"
            " WHERE project_id = ? AND name > ? AND item_count > 0 ORDER BY name LIMIT ?",
            (project_id, after[0] if after else "", limit),
        )
        return [Tag(*row) for row in rows]

    def of(self, project_id: str, noun: MemberNoun, id: str) -> list[str]:
        """The tags of one thing."""
        sql = f"SELECT name FROM {noun}_tag WHERE project_id = ? AND {noun}_id = ? ORDER BY name"
        return [row[0] for row in self._query(sql, (project_id, id))]

    def add(self, project_id: str, noun: MemberNoun, id: str, names: list[str], now: str) -> None:
        """Tag a live thing with names it lacks."""
        if not names:
            return
        self._change(
            f"INSERT INTO {noun}_tag (project_id, {noun}_id, name) SELECT ?, ?, value FROM json_each(?)",
            (project_id, id, id_list(names)),
        )
        self._change(
            "INSERT INTO tag (project_id, name, item_count, created_at, updated_at)"
            " SELECT ?, value, 1, ?, ? FROM json_each(?) WHERE true"
            " ON CONFLICT (project_id, name) DO UPDATE"
            " SET item_count = item_count + 1, updated_at = excluded.updated_at",
            (project_id, now, now, id_list(names)),
        )

    def delete(self, project_id: str, noun: MemberNoun, id: str, names: list[str], now: str) -> None:
        """Untag a live thing of names it has."""
        if not names:
            return
        self._change(
            f"DELETE FROM {noun}_tag WHERE project_id = ? AND {noun}_id = ? AND name IN {IDS}",
            (project_id, id, id_list(names)),
        )
        self._change(
            f"UPDATE tag SET item_count = item_count - 1, updated_at = ? WHERE project_id = ? AND name IN {IDS}",
            (now, project_id, id_list(names)),
        )

    def recount(self, project_id: str, noun: MemberNoun, ids: list[str], sign: int, now: str) -> None:
        """Count things in (`sign` 1) or out (-1) of every tag they have."""
        moved = id_list(ids)
        self._change(
            f"""
            UPDATE tag SET updated_at = max(updated_at, ?), item_count = item_count + ? * (
                SELECT count(*) FROM {noun}_tag t
                WHERE t.project_id = tag.project_id AND t.name = tag.name AND t.{noun}_id IN {IDS}
            )
            WHERE project_id = ? AND name IN (
                SELECT t.name FROM json_each(?) moved
                CROSS JOIN {noun}_tag t ON t.project_id = ? AND t.{noun}_id = moved.value
            )
            """,
            (now, sign, moved, project_id, moved, project_id),
        )
