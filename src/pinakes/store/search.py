"""SQL of search. How a search is walked depends on what it asks for; what it finds, and in which order, does not.

* Look-alikes without `sort`: all that look alike, nearest first.
* A query without `sort`: the full-text index, newest first, once for each place that words can stand in.
* Else, when the query or a part of the filter leaves few rows: all of these, sorted.
* Else the index of the first field to sort by, until the page is full.
"""

from pinakes.filters import Noun
from pinakes.search import Found, Wanted
from pinakes.store import filters, fulltext, looks
from pinakes.store.dialect import Driver, Row, id_list
from pinakes.store.filters import Sql
from pinakes.words import Query

FEW = 5_000
"""Candidates that are all looked at. Of more, the total is an estimate."""
_SAMPLE = 1_000
_NEWEST = (("createdAt", True),)


class SearchSql:
    """Statements on `asset_text`, `model_text` and `asset_look`, and what they are joined with."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._query = driver.query
        self._change = driver.change

    def find(self, noun: Noun, owner: int, wanted: Wanted) -> Found:
        """A page of what is wanted in one project, the trash left out. At most 7 statements, whatever is found."""
        near = self._alike(noun, owner, wanted.like) if wanted.like else None
        match = _match(noun, owner, wanted.query)
        where = self._conditions(noun, owner, wanted)
        needed = [list for list in (match, _numbers(near)) if list is not None]
        few = self._fewest([*needed, *(filters.lists(noun, owner, wanted.filter) if wanted.filter else [])])
        everything = [*where, *(_within(list) for list in needed if list is not few)]
        if near is not None and not wanted.sort:
            page = _nearest(noun, near, [*where, *([] if match is None else [_within(match)])])
        elif match is not None and not wanted.sort:
            page = _best(noun, owner, wanted, [*where, *([] if few is None or few is match else [_within(few)])])
        else:
            page = _sorted(noun, wanted.sort or _NEWEST, everything, few)
        rows = self._query(f"{page[0]} LIMIT ? OFFSET ?", (*page[1], wanted.limit + 1, wanted.offset))
        total = wanted.offset + len(rows)
        if len(rows) > wanted.limit or (wanted.offset and not rows):
            counted = self._tally(noun, everything, few) if few else self._estimate(noun, owner, where, match)
            total = max(counted, total) if rows else min(counted, total)
        shown: list[Row] = rows[: wanted.limit]
        return Found([row[0] for row in shown], [row[1] for row in shown], total)

    def _conditions(self, noun: Noun, owner: int, wanted: Wanted) -> list[Sql]:
        """All but that words are to be found."""
        found: list[Sql] = [("x.owner = ? AND x.deleted_at IS NULL", (owner,))]
        if wanted.filter is not None:
            found.append(filters.condition(noun, wanted.filter))
        if wanted.is_public:
            found.append(("x.privacy = 'public'", ()))
        if wanted.unlike:
            numbers = id_list(self._alike(noun, owner, wanted.unlike))
            found.append(("x.number NOT IN (SELECT value FROM json_each(?))", (numbers,)))
        if wanted.query.unwanted and not wanted.query.wanted:
            found.append((f"x.number NOT IN ({_MATCH.format(noun=noun)})", (fulltext.unwanted(owner, wanted.query),)))
        return found

    def _alike(self, noun: Noun, owner: int, wanted: tuple[int, ...]) -> dict[int, int]:
        """What looks like any of the looks: the bits that differ, by number. A model looks like what it shows."""
        near = looks.alike(self._driver, owner, list(wanted))
        if noun == "asset":
            return near
        return {row[0]: row[1] for row in self._query(_MODELS_OF, (id_list(near.items()), owner, owner, owner))}

    def _fewest(self, lists: list[Sql]) -> Sql | None:
        """The list with the fewest rows, if these are few."""
        if not lists:
            return None
        counts = ", ".join(f"(SELECT count(*) FROM ({sql} LIMIT {FEW + 1}))" for sql, _ in lists)
        (row,) = self._query(f"SELECT {counts}", tuple(value for _, values in lists for value in values))
        count, at = min((count, at) for at, count in enumerate(row))
        return lists[at] if count <= FEW else None

    def _tally(self, noun: Noun, where: list[Sql], few: Sql) -> int:
        """How many of few candidates pass."""
        passing, params = _all(where)
        sql = f"SELECT count(*) FROM {_OF_LIST.format(list=few[0], noun=noun)} WHERE {passing}"
        return int(self._query(sql, (*few[1], *params))[0][0])

    def _estimate(self, noun: Noun, owner: int, where: list[Sql], match: Sql | None) -> int:
        """How many pass, if older candidates are like the newest, as far as their numbers go."""
        passing, params = _all(where)
        newest = _NEWEST_OF.format(noun=noun, direction="DESC")
        sample, of = match or (newest, (owner,))
        order = "" if match is None else "ORDER BY number DESC"
        ((seen, passed, last, first, end),) = self._query(
            "SELECT count(*), sum(passes), min(number),"
            f" ({_NEWEST_OF.format(noun=noun, direction='ASC')} LIMIT 1), ({newest} LIMIT 1)"
            f" FROM (SELECT s.number, {passing} AS passes FROM ({sample} {order} LIMIT {_SAMPLE}) s"
            f" CROSS JOIN {noun} x ON x.number = s.number)",
            (owner, owner, *params, *of),
        )
        return int(passed) if seen < _SAMPLE else int(passed * (end - first + 1) / max(1, end - last + 1))


_MATCH = "SELECT rowid AS number FROM {noun}_text WHERE {noun}_text MATCH ?"
_NEWEST_OF = (
    "SELECT number FROM {noun} INDEXED BY {noun}_created WHERE owner = ? AND deleted_at IS NULL"
    " ORDER BY created_at {direction}, id {direction}"
)
_OF_LIST = "(SELECT DISTINCT number FROM ({list})) s CROSS JOIN {noun} x ON x.number = s.number"

# Takes pairs of an asset's number and its bits, and the owner thrice.
_MODELS_OF = """
WITH near AS MATERIALIZED (
    SELECT a.number, a.id, n.value ->> 1 AS bits FROM json_each(?) n CROSS JOIN asset a ON a.number = n.value ->> 0
    WHERE a.owner = ? AND a.deleted_at IS NULL
)
SELECT number, min(bits) FROM (
    SELECT e.model AS number, n.bits FROM near n CROSS JOIN model_example e ON e.owner = ? AND e.asset = n.number
    UNION ALL
    SELECT m.number, n.bits FROM near n CROSS JOIN model m ON m.owner = ? AND m.thumbnail_asset_id = n.id
) GROUP BY number
"""


def _match(noun: Noun, owner: int, query: Query) -> Sql | None:
    """The list of what has the words."""
    return (_MATCH.format(noun=noun), (fulltext.anywhere(owner, query),)) if query.wanted else None


def _numbers(near: dict[int, int] | None) -> Sql | None:
    return None if near is None else ("SELECT value AS number FROM json_each(?)", (id_list(near),))


def _within(list: Sql) -> Sql:
    """Being in a list, which is read once: asking the full-text index about one row after the other is slow."""
    return f"+x.number IN (SELECT number FROM ({list[0]}))", list[1]


def _all(conditions: list[Sql]) -> Sql:
    return " AND ".join(sql for sql, _ in conditions), tuple(value for _, values in conditions for value in values)


def _nearest(noun: Noun, near: dict[int, int], where: list[Sql]) -> Sql:
    passing, params = _all(where)
    return (
        "SELECT x.id, s.bits FROM (SELECT value ->> 0 AS number, value ->> 1 AS bits FROM json_each(?)) s"
        f" CROSS JOIN {noun} x ON x.number = s.number WHERE {passing} ORDER BY s.bits, x.number DESC",
        (id_list(near.items()), *params),
    )


def _best(noun: Noun, owner: int, wanted: Wanted, where: list[Sql]) -> Sql:
    """The parts of `fulltext.ranked` one after the other: SQLite begins with one when those before are at their end."""
    passing, params = _all(where)
    parts = fulltext.ranked(owner, wanted.query)
    sql = " UNION ALL ".join(
        f"SELECT * FROM (SELECT x.id, {place} FROM {noun}_text CROSS JOIN {noun} x ON x.number = {noun}_text.rowid"
        f" WHERE {noun}_text MATCH ? AND {passing} ORDER BY {noun}_text.rowid DESC LIMIT ?)"
        for place in range(len(parts))
    )
    most = wanted.offset + wanted.limit + 1
    return sql, tuple(value for part in parts for value in (part, *params, most))


def _sorted(noun: Noun, sort: tuple[tuple[str, bool], ...], where: list[Sql], few: Sql | None) -> Sql:
    """Equals stand in the order of their making, in the direction of the first field."""
    passing, params = _all(where)
    columns = [(f"x.{filters.column_of(field)}", is_descending) for field, is_descending in sort]
    first, is_descending = sort[0]
    columns.append(("x.id" if first in filters.TIMES else "x.number", is_descending))
    order = ", ".join(f"{column} {'DESC' if descends else 'ASC'}" for column, descends in columns)
    index = filters.index_of(noun, first) or f"{noun}_created"
    table = f"{noun} x INDEXED BY {index}" if few is None else _OF_LIST.format(list=few[0], noun=noun)
    return f"SELECT x.id, 0 FROM {table} WHERE {passing} ORDER BY {order}", (*(few[1] if few else ()), *params)
