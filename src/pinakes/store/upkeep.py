"""SQL that keeps a library sound: settings, comparing what is derived with what it derives from, sweeping.

Members, tags, examples and links of a row are its *dependents*: they go with it when its days in the trash are over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import apsw
import msgspec

from pinakes.store import looks
from pinakes.store.contradictions import CONTRADICTIONS
from pinakes.store.dialect import IDS, Driver, Row, id_list

TrashNoun = Literal["asset", "collection", "model"]

# For each noun: the tables whose rows depend on it, and their keys.
_DEPENDENTS: dict[TrashNoun, tuple[tuple[str, str], ...]] = {
    "asset": (
        ("collection_asset", "owner, collection, asset"),
        ("asset_tag", "owner, asset, name"),
        ("asset_use", "owner, asset, key"),
        ("asset_ingredient", "owner, model, asset"),
        ("model_example", "owner, model, position"),
    ),
    "collection": (
        ("collection_asset", "owner, collection, asset"),
        ("collection_model", "owner, collection, model"),
    ),
    "model": (
        ("collection_model", "owner, collection, model"),
        ("model_tag", "owner, model, name"),
        ("model_alias", "owner, model, key"),
        ("asset_ingredient", "owner, model, asset"),
        ("model_example", "owner, model, position"),
    ),
}


class Reference(msgspec.Struct, frozen=True):
    """Bytes that assets and models refer to: the sizes they state (the same, if all is well), and whether any asset
    has thumbnails, or a preview, of them.
    """

    sha256: str
    least_size: int
    most_size: int
    has_thumbnail: int
    has_preview: int


class Use(msgspec.Struct, frozen=True):
    """Who refers to bytes: the oldest such asset or model, and how many there are."""

    project_id: str
    asset_id: str
    count: int


class Newest(msgspec.Struct, frozen=True):
    """The numbers of the asset and of the model that were stored last."""

    asset: int
    model: int


class Purge(msgspec.Struct, frozen=True):
    """`found` rows were due; `deleted` is 0 as long as some of their dependents are left for the next transaction."""

    found: int
    deleted: int


class UpkeepSql:
    """Statements over all projects."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def setting(self, name: str, default: str) -> str:
        """A setting of the library itself, stored with its default when it is new."""
        self._change("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, default))
        return str(self._query("SELECT value FROM setting WHERE name = ?", (name,))[0][0])

    def find_setting(self, name: str) -> str:
        """A setting of the library itself; empty when there is none."""
        rows = self._query("SELECT value FROM setting WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def set_setting(self, name: str, value: str) -> None:
        """Change a setting of the library itself, or make it."""
        self._change(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def ready(self) -> None:
        """Ask the engine for a sign of life."""
        self._query("SELECT value FROM setting LIMIT 1")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """For `Store.survey`, which is in no transaction: everything read inside is of one moment."""
        self._query("BEGIN")
        yield
        self._query("COMMIT")  # not after an error: the survey ends with its connection

    def damage(self, is_quick: bool) -> list[str]:
        """What the engine itself finds wrong with its file; `is_quick` leaves out comparing indexes with tables."""
        try:
            rows = self._query("PRAGMA quick_check" if is_quick else "PRAGMA integrity_check")
        except (apsw.CorruptError, apsw.NotADBError) as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def contradictions(self) -> list[Row]:
        """Where rows contradict each other: code, project id, subject, message."""
        return [row for statement in CONTRADICTIONS for row in self._query(statement)]

    def gather(self) -> int:
        """For `Store.survey`: note in a temporary table which bytes are referred to, trash included; how many."""
        self._change(
            "CREATE TEMP TABLE reference (sha256 TEXT PRIMARY KEY, least INTEGER, most INTEGER,"
            " has_thumbnail INTEGER, has_preview INTEGER) WITHOUT ROWID"
        )
        return self._change(
            "INSERT INTO reference SELECT sha256, min(size), max(size), max(has_thumbnail), max(has_preview) FROM ("
            " SELECT sha256, size, has_thumbnail, has_preview FROM asset"
            " UNION ALL SELECT sha256, size, 0, 0 FROM model WHERE sha256 IS NOT NULL"
            ") GROUP BY sha256 ORDER BY sha256"
        )

    def references(self, after: str, limit: int) -> list[Reference]:
        """What `gather` noted, in order of hash."""
        rows = self._query("SELECT * FROM reference WHERE sha256 > ? ORDER BY sha256 LIMIT ?", (after, limit))
        return [Reference(*row) for row in rows]

    def unreferenced(self, hashes: list[str]) -> list[str]:
        """Those of the hashes that `gather` did not note."""
        rows = self._query(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT sha256 FROM reference)", (id_list(hashes),)
        )
        return [row[0] for row in rows]

    def users(self, hashes: list[str]) -> dict[str, Use]:
        """Who refers to bytes now. Reads every row, because nothing else needs an index on the hash: ask rarely."""
        rows = self._query(_USERS, (id_list(hashes), id_list(hashes))) if hashes else []
        return {row[0]: Use(*row[1:]) for row in rows}

    def newest(self) -> Newest:
        """What was stored last."""
        sql = "SELECT coalesce((SELECT max(number) FROM asset), 0), coalesce((SELECT max(number) FROM model), 0)"
        return Newest(*self._query(sql)[0])

    def referenced_since(self, newest: Newest, hashes: list[str]) -> set[str]:
        """Those of the hashes that assets and models stored after `newest` refer to."""
        sql = (
            f"SELECT sha256 FROM asset WHERE number > ? AND sha256 IN {IDS}"
            f" UNION SELECT sha256 FROM model WHERE number > ? AND sha256 IN {IDS}"
        )
        wanted = id_list(hashes)
        return {row[0] for row in self._query(sql, (newest.asset, wanted, newest.model, wanted))}

    def owners_of_expired(self, noun: TrashNoun, cutoff: str) -> list[int]:
        """Whose trash holds something that was deleted at or before `cutoff`."""
        rows = self._query(f"SELECT DISTINCT owner FROM {noun} WHERE deleted_at <= ?", (cutoff,))
        return [row[0] for row in rows]

    def purge(self, noun: TrashNoun, owner: int, cutoff: str, rows: int, dependents: int) -> Purge:
        """Delete for good up to `rows` rows of one owner's trash, and before them up to `dependents` of each table.

        Counts stay right at every step: what is in the trash was counted out when it came there, and a deleted
        collection's own counts shrink with its members.
        """
        sql = f"SELECT number, id FROM {noun} WHERE owner = ? AND deleted_at <= ? ORDER BY deleted_at LIMIT ?"
        due = self._query(sql, (owner, cutoff, rows))
        if not due:
            return Purge(0, 0)
        numbers = [row[0] for row in due]
        cleared = [self._clear(noun, table, key, owner, numbers, dependents) for table, key in _DEPENDENTS[noun]]
        if noun == "asset":
            cleared += [self._unset_cover(holder, owner, [row[1] for row in due], dependents) for holder in _HOLDERS]
        if max(cleared) == dependents:
            return Purge(len(due), 0)
        if noun == "asset":
            self._change(looks.FORGET, (id_list(numbers), owner))
        sql = f"DELETE FROM {noun} WHERE +owner = ? AND number IN {IDS}"
        return Purge(len(due), self._change(sql, (owner, id_list(numbers))))

    def _clear(self, noun: TrashNoun, table: str, key: str, owner: int, numbers: list[int], limit: int) -> int:
        returned = table.replace("_", ", ") if noun == "collection" else "1, 1"
        gone = self._query(
            f"DELETE FROM {table} WHERE ({key}) IN"
            f" (SELECT {key} FROM {table} WHERE owner = ? AND {noun} IN {IDS} LIMIT ?) RETURNING {returned}",
            (owner, id_list(numbers), limit),
        )
        if noun == "collection" and gone:
            member = table.removeprefix("collection_")
            self._change(_UNCOUNT.format(noun=member), (id_list(gone),))
        return len(gone)

    def _unset_cover(self, holder: str, owner: int, asset_ids: list[str], limit: int) -> int:
        return self._change(
            f"UPDATE {holder} SET thumbnail_asset_id = NULL WHERE number IN"
            f" (SELECT number FROM {holder} WHERE owner = ? AND thumbnail_asset_id IN {IDS} LIMIT ?)",
            (owner, id_list(asset_ids), limit),
        )


_HOLDERS = ("collection", "model")

_USERS = f"""
SELECT u.sha256, coalesce(p.id, ''), min(u.id), count(*)
FROM (
    SELECT sha256, owner, id FROM asset WHERE sha256 IN {IDS}
    UNION ALL SELECT sha256, owner, id FROM model WHERE sha256 IN {IDS}
) u LEFT JOIN project p ON p.number = u.owner
GROUP BY u.sha256
"""

# Takes pairs of a collection and a member that has left it.
_UNCOUNT = """
UPDATE collection SET {noun}_count = {noun}_count - gone.live
FROM (
    SELECT json_extract(pair.value, '$[0]') AS number, count(*) AS live
    FROM json_each(?) pair JOIN {noun} x ON x.number = json_extract(pair.value, '$[1]') AND x.deleted_at IS NULL
    GROUP BY 1
) gone
WHERE collection.number = gone.number
"""
