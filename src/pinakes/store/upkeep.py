"""SQL that keeps a library sound: settings, comparing what is derived with what it derives from, sweeping.

Members, tags, examples and links of a row are its *dependents*: they go with it when its days in the trash are over.
"""

from contextlib import AbstractContextManager
from typing import Literal

import msgspec

from pinakes.store import closing, looks
from pinakes.store.closing import Closed
from pinakes.store.contradictions import CONTRADICTIONS
from pinakes.store.dialect import IDS, NUMBERS, ROWS, Driver, Row, id_list

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
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def learn(self) -> list[str]:
        """Have the engine look at tables that have grown much; which these were. Outside of a transaction."""
        return self._driver.learn()

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

    def take_turn(self, name: str, now: str, until: str) -> bool:
        """Whether a turn was due, which it is not again before `until`."""
        self.setting(name, "")
        sql = "UPDATE setting SET value = ? WHERE name = ? AND value <= ?"
        return self._change(sql, (until, name, now)) > 0

    def move_turn(self, name: str, held_until: str, until: str) -> bool:
        """Have a turn that was taken end at another time. False when another has taken it."""
        sql = "UPDATE setting SET value = ? WHERE name = ? AND value = ?"
        return self._change(sql, (until, name, held_until)) > 0

    def ready(self) -> None:
        """Ask the engine for a sign of life. UNAVAILABLE where the library takes no changes."""
        for row in self._query(closing.QUERY):
            raise closing.refusal(row[0])

    def closed(self) -> Closed | None:
        """The mark of a place that takes no changes."""
        value = self.find_setting(closing.CLOSED)
        return closing.read(value) if value else None

    def close(self, mark: Closed) -> None:
        """Take no changes here from now on, but those of `Store.fill`."""
        self.set_setting(closing.CLOSED, closing.text(mark))

    def reopen(self) -> None:
        """Take changes again."""
        self._change("DELETE FROM setting WHERE name = ?", (closing.CLOSED,))

    def snapshot(self) -> AbstractContextManager[None]:
        """For `Store.survey`: everything read inside is of one moment."""
        return self._driver.snapshot()

    def damage(self, is_quick: bool) -> list[str]:
        """What the engine itself finds wrong with its file; `is_quick` leaves out comparing indexes with tables."""
        return self._driver.damage(is_quick)

    def contradictions(self) -> list[Row]:
        """Where rows contradict each other: code, project id, subject, message."""
        return [row for statement in CONTRADICTIONS for row in self._query(statement)]

    def gather(self) -> int:
        """For `Store.survey`: note in a temporary table which bytes are referred to, trash included; how many."""
        self._change(
            "CREATE TEMP TABLE reference (sha256 TEXT PRIMARY KEY, least BIGINT, most BIGINT,"
            " has_thumbnail INTEGER, has_preview INTEGER) WITHOUT ROWID"
        )
        return self._change(
            "INSERT INTO reference SELECT sha256, min(size), max(size), max(has_thumbnail), max(has_preview) FROM ("
            " SELECT sha256, size, CASE WHEN has_thumbnail THEN 1 ELSE 0 END AS has_thumbnail,"
            " CASE WHEN has_preview THEN 1 ELSE 0 END AS has_preview FROM asset"
            " UNION ALL SELECT sha256, size, 0, 0 FROM model WHERE sha256 IS NOT NULL"
            ") used GROUP BY sha256 ORDER BY sha256"
        )

    def references(self, after: str, limit: int) -> list[Reference]:
        """What `gather` noted, in order of hash."""
        rows = self._query("SELECT * FROM reference WHERE sha256 > ? ORDER BY sha256 LIMIT ?", (after, limit))
        return [Reference(*row) for row in rows]

    def referenced_bytes(self) -> int:
        """How many bytes `gather` noted."""
        return int(self._query("SELECT CAST(coalesce(sum(most), 0) AS BIGINT) FROM reference")[0][0])

    def unreferenced(self, hashes: list[str]) -> list[str]:
        """Those of the hashes that `gather` did not note."""
        rows = self._query(
            f"SELECT value FROM {IDS} seen WHERE NOT EXISTS (SELECT 1 FROM reference r WHERE r.sha256 = value)",
            (id_list(hashes),),
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
        sql = " UNION ".join(
            f"SELECT x.sha256 FROM project p CROSS JOIN {noun} x ON +x.owner = p.number AND x.number > ?"
            f" WHERE x.sha256 IN {IDS}"
            for noun in ("asset", "model")
        )  # by the project, with which the key begins; the plus keeps SQLite, whose key it is not, from that
        wanted = id_list(hashes)
        return {row[0] for row in self._query(sql, (newest.asset, wanted, newest.model, wanted))}

    def is_due(self, noun: TrashNoun, owner: int, cutoff: str) -> bool:
        """Whether a project's trash holds something that was deleted at or before `cutoff`."""
        return bool(self._query(f"SELECT 1 FROM {noun} WHERE owner = ? AND deleted_at <= ? LIMIT 1", (owner, cutoff)))

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
        sql = f"DELETE FROM {noun} WHERE +owner = ? AND number IN {NUMBERS}"
        return Purge(len(due), self._change(sql, (owner, id_list(numbers))))

    def _clear(self, noun: TrashNoun, table: str, key: str, owner: int, numbers: list[int], limit: int) -> int:
        returned = table.replace("_", ", ") if noun == "collection" else "1, 1"
        gone = self._query(
            f"DELETE FROM {table} WHERE owner = ? AND ({key}) IN"
            f" (SELECT {key} FROM {table} WHERE owner = ? AND {noun} IN {NUMBERS} LIMIT ?) RETURNING {returned}",
            (owner, owner, id_list(numbers), limit),
        )
        if noun == "collection" and gone:
            member = table.removeprefix("collection_")
            self._change(_UNCOUNT.format(noun=member), (id_list(gone), owner, owner))
        return len(gone)

    def _unset_cover(self, holder: str, owner: int, asset_ids: list[str], limit: int) -> int:
        return self._change(
            f"UPDATE {holder} SET thumbnail_asset_id = NULL WHERE +owner = ? AND number IN"
            f" (SELECT number FROM {holder} WHERE owner = ? AND thumbnail_asset_id IN {IDS} LIMIT ?)",
            (owner, owner, id_list(asset_ids), limit),
        )


_HOLDERS = ("collection", "model")

_USERS = f"""
SELECT u.sha256, coalesce(p.id, ''), u.id, u.count
FROM (
    SELECT sha256, owner, id, count(*) OVER (PARTITION BY sha256) AS count,
        row_number() OVER (PARTITION BY sha256 ORDER BY id) AS place
    FROM (
        SELECT sha256, owner, id FROM asset WHERE sha256 IN {IDS}
        UNION ALL SELECT sha256, owner, id FROM model WHERE sha256 IN {IDS}
    ) of_all
) u LEFT JOIN project p ON p.number = u.owner
WHERE u.place = 1
"""

# Takes pairs of a collection and a member that has left it.
_UNCOUNT = f"""
UPDATE collection SET {{noun}}_count = {{noun}}_count - gone.live
FROM (
    SELECT CAST(pair.value ->> 0 AS BIGINT) AS number, count(*) AS live
    FROM {ROWS} pair CROSS JOIN {{noun}} x
    ON x.owner = ? AND x.number = CAST(pair.value ->> 1 AS BIGINT) AND x.deleted_at IS NULL
    GROUP BY 1
) gone
WHERE +collection.owner = ? AND collection.number = gone.number
"""
