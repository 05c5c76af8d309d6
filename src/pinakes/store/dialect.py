"""What differs between engines, and nothing else: fragments of SQL, and how each engine spells them.

Statements elsewhere in `store` are written once, in the SQL that both engines share and the fragments below, spelled
as SQLite has them; `postgres_spelling` turns a statement into PostgreSQL's. Lists travel as one JSON parameter, because
every engine limits the number of parameters.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from pinakes.store.tables import Column

Row = tuple[Any, ...]

IDS = "(SELECT value FROM json_each(?) id)"
"""A list of texts as a subquery with the column `value`; its parameter is made by `id_list`."""

NUMBERS = "(SELECT value FROM json_each(?) number)"
"""The same of integers."""

NUMBERED_IDS = "(SELECT key, value FROM json_each(?) id)"
"""The same of texts with their positions from 0 on, as `key`."""

ROWS = "(SELECT value FROM json_each(?) item)"
"""The same of arrays: `value ->> 0` is the first text of one, and has to be cast to be a number."""

PAIRS = "(SELECT key AS name, value FROM json_each(?))"
"""Names with a text each as a subquery; its parameter is made by `pair_list`."""

NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
"""Milliseconds since the epoch by the clock of the database."""

LOCKED = "/* locked: {} */"
"""At the end of a statement: in a transaction that writes, nobody else changes the rows of this alias until it ends.

SQLite has one writer, and so no need for it.
"""

CLAIMED = "/* claimed */"
"""At the end of a statement: rows that another transaction is claiming are passed over."""

ANEW = "/* planned anew */"
"""At the end of a statement whose best plan depends on its values: one for any values would read far too much.

SQLite plans without values.
"""

OF_FEW = "/* of few */"
"""After a number to sort by: few rows are found, and shall not be met by walking through all in that order."""

_encode = msgspec.json.Encoder().encode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Driver(Protocol):
    """One connection inside a transaction."""

    spelling: "Spelling"
    keeps_nul: bool
    """Whether texts may hold U+0000."""

    def query(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of a statement."""
        ...

    def change(self, sql: str, params: tuple[Any, ...] = ()) -> int:
        """The number of rows that a statement inserted, updated or deleted."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Of a survey: everything read inside is of one moment."""
        ...

    def columns(self) -> list[Column]:
        """The columns of all tables that there are."""
        ...

    def selected(self, column: str, kind: str) -> str:
        """An expression for what SQLite would hold in a column."""
        ...

    def change_each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once with the parameters of each row."""
        ...

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Store new rows, many at once."""
        ...

    def last_number(self, table: str) -> int:
        """The greatest number that the engine has given, or knows of; 0 when there is none."""
        ...

    def set_last_number(self, table: str, number: int) -> None:
        """Let the engine give greater numbers from now on."""
        ...

    def settle(self) -> None:
        """Many rows have come: have the engine look at what there is now, if it plans by that."""
        ...

    def learn(self) -> list[str]:
        """Look at the tables that have grown much since the engine last did, if it plans by that; which these were."""
        ...

    def damage(self, is_quick: bool) -> list[str]:
        """What the engine itself finds wrong with what it keeps."""
        ...


class Spelling(NamedTuple):
    """How an engine keeps words and is asked for them. `terms` spells what is kept, from words with spaces between.

    `counted` takes a table, its owner, the condition `match` and the most to count; and at each mark what is asked for.
    """

    terms: Callable[[str], str]
    then: str
    phrase: str
    prefix: str
    both: str
    either: str
    without: str
    counted: str


def _with_positions(terms: str) -> str:
    return " ".join(f"{term}:{position}" for position, term in enumerate(terms.split(" "), 1))


_COUNTED = "(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {match} LIMIT {most}) few)"

FTS5 = Spelling(str, " ", '"{}"', '"{}" *', " AND ", " OR ", "({}) NOT ({})", _COUNTED)
"""Of SQLite."""

# An index of words gives all that have one, before the first can be counted. Where more than one in seven of the newest
# have it, as many as are counted are met sooner on the way from the newest on.
_COUNTED_FROM_NEWEST = _COUNTED.replace("LIMIT", "ORDER BY rowid DESC LIMIT")
_NEWEST = "(SELECT * FROM {table} WHERE owner = {owner:d} ORDER BY rowid DESC LIMIT 490) {table}"
_COUNTED_EITHER_WAY = (
    f"CASE WHEN (SELECT count(*) FROM {_NEWEST} WHERE {{match}}) > 70 THEN {_COUNTED_FROM_NEWEST} ELSE {_COUNTED} END"
)

TSVECTOR = Spelling(_with_positions, " <-> ", "({})", "({}:*)", " & ", " | ", "({}) & !({})", _COUNTED_EITHER_WAY)
"""Of PostgreSQL."""


def matching(table: str, owner: int) -> str:
    """The condition that a row of a full-text table has the words asked for; its parameter is spelled as `Spelling`."""
    return f"{table} MATCH ? /* of {owner:d} */"


def put_terms(table: str, owner: int) -> str:
    """Keeps terms, or replaces those that are kept; its parameter is a list of numbers with their terms."""
    found = f"SELECT value ->> 0, value ->> 1 FROM {ROWS} new"
    return f"INSERT OR REPLACE INTO {table} (rowid, terms) /* of {owner:d} */ {found}"


def forget_terms(table: str, owner: int) -> str:
    """Keeps terms no more; its parameter is a list of numbers."""
    return f"DELETE FROM {table} WHERE /* of {owner:d} */ rowid IN {NUMBERS}"


def json_text(value: Any) -> str:
    """JSON for a parameter or a column. Without U+0000, which not every engine can take out of JSON again."""
    return without_nul(_encode(value).decode())


def without_nul(text: str) -> str:
    """JSON without U+0000."""
    return _NUL.sub(r"\1", text) if "\\u0000" in text else text


def id_list(ids: Any) -> str:
    """The parameter for `IDS`, `NUMBERS` and `ROWS`. An id with U+0000 in it is none, and stays none."""
    text = _encode(list(ids)).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def pair_list(pairs: dict[str, str]) -> str:
    """The parameter for `PAIRS`."""
    return json_text(pairs)


def names_of(aggregate: str) -> list[str]:
    """What an aggregate of names (`json_group_array`) holds."""
    return _decode_names(aggregate) if aggregate != "[]" else []


def numbers_of(aggregate: str) -> list[int]:
    """What an aggregate of numbers (`json_group_array`) holds."""
    return _decode_numbers(aggregate) if aggregate != "[]" else []


def sorted_names_of(aggregate: str) -> list[str]:
    """The same in the order of the names: engines aggregate in whatever order they find."""
    return sorted(_decode_names(aggregate)) if aggregate != "[]" else []


class Spelled(NamedTuple):
    """A statement of ours as PostgreSQL has it. `lists` are the parameters that it takes as arrays, not as JSON."""

    text: str
    lists: tuple[int, ...]
    is_planned_anew: bool
    is_change: bool


# Lists are arrays there, of which the planner knows the length and an index can be asked for all at once.
_TEXTS, _INTEGERS = "?::text[]", "?::bigint[]"
_POSTGRES = {
    f" NOT IN {IDS}": f" <> ALL ({_TEXTS})",
    f" NOT IN {NUMBERS}": f" <> ALL ({_INTEGERS})",
    f" IN {IDS}": f" = ANY ({_TEXTS})",
    f" IN {NUMBERS}": f" = ANY ({_INTEGERS})",
    IDS: f"(SELECT value FROM unnest({_TEXTS}) value)",
    NUMBERS: f"(SELECT value FROM unnest({_INTEGERS}) value)",
    NUMBERED_IDS: f"(SELECT key - 1 AS key, value FROM unnest({_TEXTS}) WITH ORDINALITY AS item(value, key))",
    ROWS: "(SELECT value FROM jsonb_array_elements(?::jsonb) value)",
    PAIRS: "(SELECT key AS name, value FROM jsonb_each_text(?::jsonb))",
    NOW_MS: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    CLAIMED: "FOR UPDATE SKIP LOCKED",
    OF_FEW: " + 0",
    "json_array(": "json_build_array(",
    "WITHOUT ROWID": "",
}
_POSTGRES_FORMS = (
    # A key begins with the owner there, and an index finds the greatest number of one owner at a time.
    (
        re.compile(r"\(SELECT max\(number\) FROM (\w+)\)"),
        r"(SELECT max((SELECT max(x.number) FROM \1 x WHERE x.owner = p.number)) FROM project p)",
    ),
    (re.compile(r"\bINDEXED BY \w+"), ""),  # hints; the planner has statistics instead
    (re.compile(r"\bCROSS JOIN (\w+ \w+\s+ON\b)"), r"JOIN \1"),  # which to SQLite is one that it may not turn around
    (re.compile(r"(?<=[\s(])\+(?=[a-z])"), ""),  # a plus that keeps SQLite from an index
    (re.compile(r"\bmax\((\w+(?:\.\w+)?), "), r"greatest(\1, "),
    (
        re.compile(
            r"INSERT OR REPLACE INTO (\w+) \(rowid, terms\) /\* of (\d+) \*/ SELECT value ->> 0, value ->> 1 (.*)"
        ),
        r"INSERT INTO \1 (owner, rowid, terms) SELECT \2, (value ->> 0)::bigint, (value ->> 1)::tsvector \3"
        " ON CONFLICT (owner, rowid) DO UPDATE SET terms = excluded.terms",
    ),
    (re.compile(r"WHERE /\* of (\d+) \*/"), r"WHERE owner = \1 AND"),
    (
        re.compile(
            r"x\.number NOT IN \(SELECT rowid AS number FROM (\w+_text) WHERE \w+_text MATCH \? /\* of (\d+) \*/\)"
        ),
        r"NOT EXISTS (SELECT 1 FROM \1 t WHERE t.owner = \2 AND t.rowid = x.number AND t.terms @@ ?::tsquery)",
    ),
    (re.compile(r"\b(\w+_text) MATCH \? /\* of (\d+) \*/"), r"\1.owner = \2 AND \1.terms @@ ?::tsquery"),
    (re.compile(r"\b(\w+_text)_docsize d WHERE d\.id = "), r"\1 d WHERE d.owner = x.owner AND d.rowid = "),
    (re.compile(r"\b(\w+_text)_docsize\b"), r"\1"),
)
_LOCK = re.compile(r"/\* locked: (\w+) \*/")


@lru_cache(maxsize=4096)
def postgres_spelling(sql: str, is_write: bool) -> Spelled:
    """A statement as PostgreSQL has it, with `%s` for parameters. Reads take no locks."""
    is_planned_anew = ANEW in sql
    for fragment, spelled in _POSTGRES.items():
        sql = sql.replace(fragment, spelled)
    for form, spelled in _POSTGRES_FORMS:
        sql = form.sub(spelled, sql)
    sql = _LOCK.sub(r"FOR NO KEY UPDATE OF \1" if is_write else "", sql)
    parts = sql.split("?")
    lists = tuple(at for at, part in enumerate(parts[1:]) if part.startswith(("::text[]", "::bigint[]")))
    text = _aggregated(sql).replace("%", "%%").replace("?", "%s")
    return Spelled(text, lists, is_planned_anew, not text.lstrip().startswith("SELECT"))


def array(list: str) -> str:
    """What `id_list` has made, as PostgreSQL writes arrays."""
    if "\\" not in list:
        return f"{{{list[1:-1]}}}"
    return "{" + ",".join(_quoted(text) for text in _decode_names(list)) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _aggregated(sql: str) -> str:
    """`json_group_array(…)` with whatever is in its parentheses; of no rows it is an empty list, not NULL."""
    name = "json_group_array("
    start = sql.find(name)
    if start < 0:
        return sql
    at, depth = start + len(name), 1
    while depth:
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        at += 1
    inner = sql[start + len(name) : at - 1]
    return f"{sql[:start]}coalesce(json_agg({inner})::text, '[]'){_aggregated(sql[at:])}"
