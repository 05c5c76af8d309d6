"""SQL of memberships: which assets, or which models, are in which collections. They hold numbers, not ids."""

import msgspec

from pinakes.collections import MemberNoun
from pinakes.store.dialect import IDS, NUMBERS, Driver, id_list, numbers_of

_NAMED = f"""
SELECT c.number, c.id FROM {NUMBERS} shelf
CROSS JOIN collection c ON c.owner = ? AND c.number = shelf.value AND c.deleted_at IS NULL
"""


def collection_ids(driver: Driver, owner: int, shelves: list[str]) -> list[list[str]]:
    """The ids of the live collections in each aggregate of collections' numbers, in order. One statement, or none.

    Members share collections, so that a page has few of them. Joined to each member, a collection would be looked up
    again and again, and PostgreSQL would read all of few collections for each member. Outside a transaction they are of
    a later moment than the numbers.
    """
    numbers = [numbers_of(shelf) for shelf in shelves]
    wanted = {number for shelf in numbers for number in shelf}
    if not wanted:
        return [[] for _ in shelves]
    ids: dict[int, str] = dict(driver.query(_NAMED, (id_list(sorted(wanted)), owner)))
    return [sorted(ids[number] for number in shelf if number in ids) for shelf in numbers]


class MemberState(msgspec.Struct, frozen=True):
    """An asset or model, and what the collection asked about has to do with it. `is_live`: not in the trash."""

    number: int
    is_live: bool
    is_in: bool
    is_cover: bool


class MemberSql:
    """Statements on `collection_asset` or `collection_model`."""

    def __init__(self, driver: Driver, noun: MemberNoun) -> None:
        self._query = driver.query
        self._change = driver.change
        table = f"collection_{noun}"
        self._states = f"""
            SELECT x.id, x.number, x.deleted_at IS NULL, m.{noun} IS NOT NULL,
                x.id IS NOT DISTINCT FROM (SELECT thumbnail_asset_id FROM collection WHERE owner = ? AND number = ?)
            FROM {IDS} wanted
            CROSS JOIN {noun} x ON x.owner = ? AND x.id = wanted.value
            LEFT JOIN {table} m ON m.owner = ? AND m.collection = ? AND m.{noun} = x.number
        """
        self._live = f"SELECT id FROM {noun} WHERE owner = ? AND id IN {IDS} AND deleted_at IS NULL"
        self._insert = f"INSERT INTO {table} (owner, collection, {noun}) SELECT ?, ?, value FROM {NUMBERS} member"
        self._delete = f"DELETE FROM {table} WHERE owner = ? AND collection = ? AND {noun} IN {NUMBERS}"
        self._recount = f"""
            UPDATE collection SET updated_at = max(updated_at, ?), {noun}_count = {noun}_count + ? * (
                SELECT count(*) FROM {table} m
                WHERE m.owner = collection.owner AND m.collection = collection.number AND m.{noun} IN {NUMBERS}
            )
            WHERE +owner = ? AND number IN (
                SELECT m.collection FROM {NUMBERS} moved
                CROSS JOIN {table} m ON m.owner = ? AND m.{noun} = moved.value
            )
        """  # the plus keeps SQLite from walking all of the owner's collections instead of the few numbers

    def states(self, owner: int, collection: int, ids: list[str]) -> dict[str, MemberState]:
        """Of each id that exists, in the trash or not. Other ids are left out."""
        rows = self._query(self._states, (owner, collection, id_list(ids), owner, owner, collection))
        return {row[0]: MemberState(*row[1:]) for row in rows}

    def live(self, owner: int, ids: list[str]) -> set[str]:
        """Those of the ids that exist and are not in the trash."""
        return {row[0] for row in self._query(self._live, (owner, id_list(ids)))}

    def insert(self, owner: int, collection: int, members: list[int]) -> None:
        """Make members of what is none yet. Sorted, because neighbours in the key share pages."""
        self._change(self._insert, (owner, collection, id_list(sorted(members))))

    def delete(self, owner: int, collection: int, members: list[int]) -> None:
        """End memberships."""
        self._change(self._delete, (owner, collection, id_list(members)))

    def recount(self, owner: int, members: list[int], sign: int, now: str) -> None:
        """Count members in (`sign` 1) or out (-1) of every collection they are in, deleted collections included."""
        moved = id_list(members)
        self._change(self._recount, (now, sign, moved, owner, moved, owner))
