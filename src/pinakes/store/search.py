"""SQL of search. How a search is walked depends on what it asks for; what it finds, and in which order, does not.

* Look-alikes without `sort`: all that look alike, nearest first.
* A query without `sort`: the full-text index, newest first, once for each place that words can stand in.
* Else, when the query or a part of the filter leaves few rows: all of these, sorted.
* Else the index of the first field to sort by, until the page is full.
"""

from typing import Any, NamedTuple

from pinakes.filters import Noun
from pinakes.search import Found, Wanted
from pinakes.store import filters, fulltext, looks
from pinakes.store.dialect import ANEW, NUMBERS, OF_FEW, ROWS, Driver, Row, Spelling, id_list, matching
from pinakes.store.filters import Sql
from pinakes.words import Query

FEW = 2_000
"""Candidates that are looked at one by one."""
MANY = 20_000
"""Candidates that the words of a query are looked for among: to look at each row with the words takes longer."""
MOST_COUNTED = 10_000
"""Rows that are counted when nothing is asked of them but words."""

_SAMPLE = 1_000
_NEWEST = (("createdAt", True),)
_NULLABLE: dict[Noun, tuple[str, ...]] = {"asset": ("height", "width"), "model": ("name",)}


class SearchSql:
    """Statements on `asset_text`, `model_text` and `asset_look`, and what they are joined with."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def _query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        """A word that is in every prompt wants another plan than one that is in none."""
        return self._driver.query(f"{sql} {ANEW}", params)

    def find(self, noun: Noun, owner: int, wanted: Wanted) -> Found:
        """A page of what is wanted in one project, the trash left out. At most 7 statements, whatever is found."""
        plan = self._plan(noun, owner, wanted)
        if plan.is_ranked:
            page = _best(self._driver.spelling, plan, wanted)
        elif plan.near is not None and not wanted.sort:
            page = _nearest(plan, plan.near)
        else:
            page = _sorted(plan, wanted.sort or _NEWEST)
        rows = self._query(f"{page[0]} LIMIT ? OFFSET ?", (*page[1], wanted.limit + 1, wanted.offset))
        total = wanted.offset + len(rows)
        if len(rows) > wanted.limit or (wanted.offset and not rows):
            counted = self._count(plan)
            total = max(counted, total) if rows else min(counted, total)
        shown: list[Row] = rows[: wanted.limit]
        return Found([row[0] for row in shown], [row[1] for row in shown], total)

    def _plan(self, noun: Noun, owner: int, wanted: Wanted) -> "_Plan":
        near = self._alike(noun, owner, wanted.like) if wanted.like else None
        match = _match(self._driver.spelling, noun, owner, wanted.query)
        is_ranked = match is not None and near is None and not wanted.sort
        lists = [] if wanted.filter is None else filters.lists(noun, owner, wanted.filter)
        alike = None if near is None else (f"SELECT value AS number FROM {NUMBERS} near", (id_list(near),))
        needed = [list for list in (match, alike) if list is not None]
        most = MANY if is_ranked else FEW
        counts = [_counted(list, most) for list in [*needed, *lists]]
        if match is not None:
            counts[0] = _counted_words(self._driver.spelling, noun, owner, match, most)
        least, count = self._least([*needed, *lists], counts, most)
        where = self._conditions(noun, owner, wanted)
        return _Plan(noun, owner, where, match, near, alike, least, count, is_ranked)

    def _conditions(self, noun: Noun, owner: int, wanted: Wanted) -> list[Sql]:
        """All but being in a list."""
        spelling = self._driver.spelling
        found: list[Sql] = [("x.owner = ? AND x.deleted_at IS NULL", (owner,))]
        if wanted.filter is not None:
            found.append(filters.condition(noun, wanted.filter))
        if wanted.is_public:
            found.append(("x.privacy = 'public'", ()))
        if wanted.unlike:
            numbers = id_list(self._alike(noun, owner, wanted.unlike))
            found.append((f"x.number NOT IN {NUMBERS}", (numbers,)))
        if wanted.query.unwanted and not wanted.query.wanted:
            found.append(
                (f"x.number NOT IN ({_matched(noun, owner)})", (fulltext.unwanted(spelling, owner, wanted.query),))
            )
        return found

    def _alike(self, noun: Noun, owner: int, wanted: tuple[int, ...]) -> dict[int, int]:
        """What looks like any of the looks: the bits that differ, by number. A model looks like what it shows."""
        near = looks.alike(self._driver, owner, list(wanted))
        if noun == "asset":
            return near
        return {row[0]: row[1] for row in self._query(_MODELS_OF, (id_list(near.items()), owner, owner, owner))}

    def _least(self, lists: list[Sql], counts: list[Sql], most: int) -> tuple[Sql | None, int]:
        """The list with the fewest rows, and how many; none when all have more than `most`."""
        if not lists:
            return None, most + 1
        values = tuple(value for _, values in counts for value in values)
        (row,) = self._query(f"SELECT {', '.join(sql for sql, _ in counts)}", values)
        count, at = min((count, at) for at, count in enumerate(row))
        return (lists[at] if count <= most else None), count

    def _count(self, plan: "_Plan") -> int:
        """How many pass. When there are many candidates, as many as the newest of them let expect."""
        noun, few = plan.noun, plan.few
        if plan.is_all_words:
            if plan.least is not None:
                return plan.rows
            most = _SAMPLE if plan.is_ranked else MOST_COUNTED  # of more than `MANY` no count would be exact
            return self._estimate(plan, f"SELECT number, 1 AS passes FROM ({_newest(plan)}) s", most)
        passing, params = _all(plan.everything)
        if few is None:
            passing, params = _all(plan.where)
            sample = f"({_newest(plan)}) s CROSS JOIN {noun} x ON x.number = s.number WHERE +x.owner = {plan.owner:d}"
            sample = f"SELECT s.number, CASE WHEN {passing} THEN 1 ELSE 0 END AS passes FROM {sample}"
            return self._estimate(plan, sample, _SAMPLE, params)
        sql = f"SELECT count(*) FROM {_OF_LIST.format(list=few[0], noun=noun)} WHERE {passing}"
        return int(self._query(sql, (*few[1], *params))[0][0])

    def _estimate(self, plan: "_Plan", sample: str, most: int, params: tuple[str | int | float, ...] = ()) -> int:
        """How many pass if the older are like the newest, as far as their numbers go; exact when these are all."""
        ends = ", ".join(f"({_CREATED.format(noun=plan.noun, direction=way)} LIMIT 1)" for way in ("ASC", "DESC"))
        of = plan.match[1] if plan.match else (plan.owner,)
        ((seen, passed, last, first, end),) = self._query(
            f"SELECT count(*), coalesce(sum(passes), 0), min(number), {ends} FROM ({sample}) sample",
            (plan.owner, plan.owner, *params, *of, most),
        )
        return int(passed) if seen < most else int(passed * (end - first + 1) / max(1, end - last + 1))


class _Plan(NamedTuple):
    """A search on its way. Every hit is in `match`, in `alike`, and in `least`, the shortest list, which has `rows`."""

    noun: Noun
    owner: int
    where: list[Sql]
    match: Sql | None
    near: dict[int, int] | None
    alike: Sql | None
    least: Sql | None
    rows: int
    is_ranked: bool

    @property
    def few(self) -> Sql | None:
        return self.least if self.rows <= FEW else None

    @property
    def everything(self) -> list[Sql]:
        """All conditions on a row out of `few`, or on any row when that is None."""
        alike = [] if self.alike is None or self.alike is self.few else [_within(self.alike)]
        return [*self.where, *alike, *([] if self.match is self.few else _worded(self.match, self.few))]

    @property
    def is_all_words(self) -> bool:
        """Whether hits need words and nothing else."""
        return self.match is not None and self.near is None and len(self.where) == 1


_CREATED = (
    "SELECT number FROM {noun} INDEXED BY {noun}_created WHERE owner = ? AND deleted_at IS NULL"
    " ORDER BY created_at {direction}, id {direction}"
)
_OF_LIST = "(SELECT DISTINCT number FROM ({list}) list) s CROSS JOIN {noun} x ON x.number = s.number"

# Takes pairs of an asset's number and its bits, and the owner thrice.
_MODELS_OF = f"""
WITH near AS MATERIALIZED (
    SELECT a.number, a.id, CAST(n.value ->> 1 AS INTEGER) AS bits
    FROM {ROWS} n CROSS JOIN asset a ON a.number = CAST(n.value ->> 0 AS BIGINT)
    WHERE a.owner = ? AND a.deleted_at IS NULL
)
SELECT number, min(bits) FROM (
    SELECT e.model AS number, n.bits FROM near n CROSS JOIN model_example e ON e.owner = ? AND e.asset = n.number
    UNION ALL
    SELECT m.number, n.bits FROM near n CROSS JOIN model m ON m.owner = ? AND m.thumbnail_asset_id = n.id
) shown GROUP BY number
"""


def _newest(plan: _Plan) -> str:
    """What a sample is taken of; takes the words or the owner, and how many."""
    created = _CREATED.format(noun=plan.noun, direction="DESC")
    few = OF_FEW if plan.least is plan.match else ""
    return f"{plan.match[0]} ORDER BY rowid{few} DESC LIMIT ?" if plan.match else f"{created} LIMIT ?"


def _matched(noun: Noun, owner: int) -> str:
    """The list of what has the words that are its parameter."""
    table = f"{noun}_text"
    return f"SELECT rowid AS number FROM {table} WHERE {matching(table, owner)}"


def _match(spelling: Spelling, noun: Noun, owner: int, query: Query) -> Sql | None:
    """The list of what has the words."""
    return (_matched(noun, owner), (fulltext.anywhere(spelling, owner, query),)) if query.wanted else None


def _counted(list: Sql, most: int) -> Sql:
    """How many are in a list, or that they are more than `most`."""
    return f"(SELECT count(*) FROM ({list[0]} LIMIT {most + 1}) few)", list[1]


def _counted_words(spelling: Spelling, noun: Noun, owner: int, match: Sql, most: int) -> Sql:
    """The same of the list of what has words."""
    table = f"{noun}_text"
    sql = spelling.counted.format(table=table, owner=owner, match=matching(table, owner), most=most + 1)
    return sql, match[1] * sql.count("?")


def _within(list: Sql, number: str = "x.number") -> Sql:
    """Being in a list, which is read once."""
    return f"+{number} IN (SELECT number FROM ({list[0]}) list)", list[1]


def _worded(match: Sql | None, among: Sql | None) -> list[Sql]:
    """That a row has the words, if there are any; of rows in a list, reading no further than that goes."""
    if match is None:
        return []
    if among is None:
        return [_within(match)]
    (sql, values), (list, of) = match, among
    ends = f"rowid BETWEEN (SELECT min(number) FROM ({list}) list) AND (SELECT max(number) FROM ({list}) list)"
    return [_within((f"{sql} AND {ends} AND +rowid IN ({list})", (*values, *of, *of, *of)))]


def _all(conditions: list[Sql]) -> Sql:
    return " AND ".join(sql for sql, _ in conditions), tuple(value for _, values in conditions for value in values)


def _nearest(plan: _Plan, near: dict[int, int]) -> Sql:
    passing, params = _all([*plan.where, *_worded(plan.match, plan.alike)])
    return (
        "SELECT x.id, s.bits FROM (SELECT CAST(value ->> 0 AS BIGINT) AS number, CAST(value ->> 1 AS INTEGER) AS bits"
        f" FROM {ROWS} near) s"
        f" CROSS JOIN {plan.noun} x ON x.number = s.number WHERE {passing} ORDER BY s.bits, x.number DESC",
        (id_list(near.items()), *params),
    )


def _best(spelling: Spelling, plan: _Plan, wanted: Wanted) -> Sql:
    """The parts of `fulltext.ranked` one after the other: SQLite begins with one when those before are at their end."""
    table = f"{plan.noun}_text"
    among = [] if plan.least is None or plan.least is plan.match else [_within(plan.least, f"{table}.rowid")]
    passing, params = _all([*among, *plan.where])
    parts = fulltext.ranked(spelling, plan.owner, wanted.query)
    few = OF_FEW if plan.least is not None else ""
    sql = " UNION ALL ".join(
        f"SELECT * FROM (SELECT x.id, {place} FROM {table} CROSS JOIN {plan.noun} x ON x.number = {table}.rowid"
        f" WHERE {matching(table, plan.owner)} AND {passing} ORDER BY {table}.rowid{few} DESC LIMIT ?) part{place}"
        for place in range(len(parts))
    )
    most = wanted.offset + wanted.limit + 1
    return sql, tuple(value for part in parts for value in (part, *params, most))


def _sorted(plan: _Plan, sort: tuple[tuple[str, bool], ...]) -> Sql:
    """Equals stand in the order of their making, in the direction of the first field."""
    passing, params = _all(plan.everything)
    first, is_descending = sort[0]
    columns = [*((filters.column_of(field), descends) for field, descends in sort)]
    columns.append(("id" if first in filters.TIMES else "number", is_descending))
    order = ", ".join(f"x.{column} {_direction(plan.noun, column, descends)}" for column, descends in columns)
    if plan.few is None:
        index = filters.index_of(plan.noun, first) or f"{plan.noun}_created"
        return f"SELECT x.id, 0 FROM {plan.noun} x INDEXED BY {index} WHERE {passing} ORDER BY {order}", params
    table = _OF_LIST.format(list=plan.few[0], noun=plan.noun)
    return f"SELECT x.id, 0 FROM {table} WHERE {passing} ORDER BY {order}", (*plan.few[1], *params)


def _direction(noun: Noun, column: str, descends: bool) -> str:
    """What is unknown comes first, as in the indexes; where nothing is, saying so would keep PostgreSQL from them."""
    direction, unknown = ("DESC", " NULLS LAST") if descends else ("ASC", " NULLS FIRST")
    return direction + (unknown if column in _NULLABLE[noun] else "")
