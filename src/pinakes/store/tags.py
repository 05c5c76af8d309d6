"""SQL of tags, and of which assets and models have them."""

from pinakes.collections import MemberNoun
from pinakes.page import Key
from pinakes.store import fulltext
from pinakes.store.dialect import IDS, NUMBERS, Driver, id_list
from pinakes.tags import Tag


class TagSql:
    """Statements on `tag`, `asset_tag` and `model_tag`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def page(self, owner: int, project_id: str, after: Key | None, limit: int) -> list[Tag]:
        """Tags in use, by name."""
        rows = self._query(
            "SELECT name, item_count, ?, created_at, updated_at FROM tag"
            " WHERE owner = ? AND name > ? ORDER BY name LIMIT ?",
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
            f"INSERT INTO {noun}_tag (owner, {noun}, name) SELECT ?, ?, value FROM {IDS} added",
            (owner, number, id_list(names)),
        )
        added = f"SELECT value AS name, 1 AS count FROM {IDS} added"
        self._change(_COUNT_IN.format(names=added), (owner, now, now, id_list(names)))
        fulltext.index(self._driver, noun, owner, [number])

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
        self._change(
            f"DELETE FROM tag WHERE owner = ? AND item_count = 0 AND name IN {IDS}",
            (owner, id_list(names)),
        )
        fulltext.index(self._driver, noun, owner, [number])

    def recount(self, owner: int, noun: MemberNoun, numbers: list[int], sign: int, now: str) -> None:
        """Count things in (`sign` 1) or out (-1) of every tag they have."""
        count = self._count_in if sign > 0 else self._count_out
        count(owner, noun, numbers, now)

    def _count_in(self, owner: int, noun: MemberNoun, numbers: list[int], now: str) -> None:
        names = _COUNTED_TAGS_OF.format(noun=noun)
        self._change(_COUNT_IN.format(names=names), (owner, now, now, id_list(numbers), owner))

    def _count_out(self, owner: int, noun: MemberNoun, numbers: list[int], now: str) -> None:
        gone, names = id_list(numbers), _TAGS_OF.format(noun=noun)
        self._change(
            f"""
            UPDATE tag SET updated_at = max(updated_at, ?), item_count = item_count - (
                SELECT count(*) FROM {noun}_tag t
                WHERE t.owner = tag.owner AND t.name = tag.name AND t.{noun} IN {NUMBERS}
            )
            WHERE owner = ? AND name IN ({names})
            """,
            (now, gone, owner, gone, owner),
        )
        self._change(f"DELETE FROM tag WHERE owner = ? AND item_count = 0 AND name IN ({names})", (owner, gone, owner))


# A tag exists as long as something live has it.
_COUNT_IN = """
INSERT INTO tag (owner, name, item_count, created_at, updated_at)
SELECT ?, x.name, x.count, ?, ? FROM ({names}) x WHERE true
ON CONFLICT (owner, name) DO UPDATE
SET item_count = tag.item_count + excluded.item_count, updated_at = max(tag.updated_at, excluded.updated_at)
"""

_TAGS_OF = f"""
SELECT t.name FROM {NUMBERS} moved CROSS JOIN {{noun}}_tag t ON t.owner = ? AND t.{{noun}} = moved.value
"""

_COUNTED_TAGS_OF = f"""
SELECT t.name, count(*) AS count FROM {NUMBERS} moved
CROSS JOIN {{noun}}_tag t ON t.owner = ? AND t.{{noun}} = moved.value GROUP BY t.name
"""
