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

    def page(self, owner: int, project_id: str, after: Key | None, limit: int) -> list[Tag]:
        """Tags in use, by name."""
        rows = self._query(
            "SELECT name, item_count, ?, created_at, updated_at FROM tag"
            " WHERE owner = ? AND name > ? AND item_count > 0 ORDER BY name LIMIT ?",
            (project_id, owner, after[0] if after else "", limit),
        )
        return [Tag(*row) for row in rows]

    def of(self, owner: int, noun: MemberNoun, number: int) -> list[str]:
        """The tags of one thing."""
        sql = f"SELECT name FROM {noun}_tag WHERE owner = ? AND {noun} = ? ORDER BY name"
        return [row[0] for row in self._query(sql, (owner, number))]

    def add(self, owner: int, noun: MemberNoun, number: int, names: list[str], now: str) -> None:
        """Tag a live thing with names it lacks."""
        if not names:
            return
        self._change(
            f"INSERT INTO {noun}_tag (owner, {noun}, name) SELECT ?, ?, value FROM json_each(?)",
            (owner, number, id_list(names)),
        )
        self._change(
            "INSERT INTO tag (owner, name, item_count, created_at, updated_at)"
            " SELECT ?, value, 1, ?, ? FROM json_each(?) WHERE true"
            " ON CONFLICT (owner, name) DO UPDATE"
            " SET item_count = item_count + 1, updated_at = excluded.updated_at",
            (owner, now, now, id_list(names)),
        )

    def delete(self, owner: int, noun: MemberNoun, number: int, names: list[str], now: str) -> None:
        """Untag a live thing of names it has."""
        if not names:
            return
        self._change(
            f"DELETE FROM {noun}_tag WHERE owner = ? AND {noun} = ? AND name IN {IDS}",
            (owner, number, id_list(names)),
        )
        self._change(
            f"UPDATE tag SET item_count = item_count - 1, updated_at = ? WHERE owner = ? AND name IN {IDS}",
            (now, owner, id_list(names)),
        )

    def recount(self, owner: int, noun: MemberNoun, numbers: list[int], sign: int, now: str) -> None:
        """Count things in (`sign` 1) or out (-1) of every tag they have."""
        moved = id_list(numbers)
        self._change(
            f"""
            UPDATE tag SET updated_at = max(updated_at, ?), item_count = item_count + ? * (
                SELECT count(*) FROM {noun}_tag t
                WHERE t.owner = tag.owner AND t.name = tag.name AND t.{noun} IN {IDS}
            )
            WHERE owner = ? AND name IN (
                SELECT t.name FROM json_each(?) moved
                CROSS JOIN {noun}_tag t ON t.owner = ? AND t.{noun} = moved.value
            )
            """,
            (now, sign, moved, owner, moved, owner),
        )
