"""A filter as SQL: the condition it puts on a row, and lists that hold every row it can let pass.

`x` is the row of the asset or model, `x.owner` is bound where `x` is. Conditions are true or false, never NULL.
"""

from typing import get_args

from pinakes.asset_types import Kind
from pinakes.filters import AllOf, AnyOf, Comparison, Filter, Not, Noun
from pinakes.store.dialect import IDS, NUMBERS, id_list
from pinakes.store.ingredients import SHOWN

Sql = tuple[str, tuple[str | int | float, ...]]

_COLUMNS = {
    "name": "name",
    "authorId": "author_id",
    "privacy": "privacy",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "kind": "kind",
    "type": "type",
    "status": "status",
    "mimeType": "mime_type",
    "parentId": "parent_id",
    "parentModelId": "parent_id",
    "width": "width",
    "height": "height",
    "size": "size",
}

# Fields of which a row has several values: the rows of a list, as `m`, that hold the values of `x`, and the value.
_LISTS: dict[str, tuple[str, str]] = {
    "tags": ("{noun}_tag m", "m.name"),
    "collectionIds": (
        "collection_{noun} m JOIN collection c ON c.owner = m.owner AND c.number = m.collection"
        " AND c.deleted_at IS NULL",
        "c.id",
    ),
    "modelId": (
        f"(SELECT u.owner, u.asset, k.id FROM asset_ingredient u JOIN model k ON k.owner = u.owner"
        f" AND k.number = u.model AND {SHOWN}) m",
        "m.id",
    ),
}

_INDEXES: dict[Noun, dict[str, str]] = {
    "asset": {name: f"asset_{name}" for name in ("kind", "name", "size", "width", "height")},
    "model": {},
}
TIMES = {"createdAt": "created", "updatedAt": "updated"}
MOST_LISTS = 16
"""Lists of one filter that are looked at."""


def index_of(noun: Noun, field: str) -> str | None:
    """The index that has a project's live rows in the order of a field."""
    return f"{noun}_{TIMES[field]}" if field in TIMES else _INDEXES[noun].get(field)


def column_of(field: str) -> str:
    """The column that holds a field."""
    return _COLUMNS[field]


def condition(noun: Noun, filter: Filter) -> Sql:
    """What a row has to be, to pass."""
    match filter:
        case Not(part):
            sql, params = condition(noun, part)
            return f"NOT {sql}", params
        case AllOf(parts):
            return _joined(" AND ", [condition(noun, part) for part in parts])
        case AnyOf(parts):
            return _joined(" OR ", [condition(noun, part) for part in parts])
    return _listed(noun, filter) if filter.field in _LISTS else _compared(f"x.{_COLUMNS[filter.field]}", filter)


def lists(noun: Noun, owner: int, filter: Filter) -> list[Sql]:
    """Statements that each list, as `number`, at least every row that passes. They read an index and nothing else."""
    match filter:
        case AllOf(parts):
            ranges = [part for part in parts if isinstance(part, Comparison) and _is_range(noun, part)]
            rest = [part for part in parts if part not in ranges]
            found = [_range(noun, owner, tests) for tests in _by_field(ranges)]
            return [*found, *(sql for part in rest for sql in lists(noun, owner, part))][:MOST_LISTS]
        case AnyOf(parts):
            each = [lists(noun, owner, part) for part in parts]
            return [_joined(" UNION ALL ", [some[0] for some in each], "{}")] if all(each) else []
        case Comparison(operator="exists") | Not():
            return []
    return _of_test(noun, owner, filter)


def _of_test(noun: Noun, owner: int, test: Comparison) -> list[Sql]:
    found: Sql
    match test.field:
        case "tags":
            found = (
                f"SELECT {noun} AS number FROM {noun}_tag WHERE owner = ? AND name IN {IDS}",
                (owner, _values(test)),
            )
        case "collectionIds":
            found = (
                f"SELECT m.{noun} AS number FROM collection c CROSS JOIN collection_{noun} m"
                " ON m.owner = c.owner AND m.collection = c.number"
                f" WHERE c.owner = ? AND c.id IN {IDS} AND c.deleted_at IS NULL",
                (owner, _values(test)),
            )
        case "modelId":
            found = (
                "SELECT m.asset AS number FROM model c CROSS JOIN asset_ingredient m"
                f" ON m.owner = c.owner AND m.model = c.number WHERE c.owner = ? AND c.id IN {IDS}",
                (owner, _values(test)),
            )
        case "type" if noun == "asset":
            found = (
                "SELECT number FROM asset INDEXED BY asset_kind WHERE owner = ? AND deleted_at IS NULL"
                f" AND kind IN {IDS} AND type IN {IDS}",
                (owner, id_list(get_args(Kind)), _values(test)),
            )
        case _:
            return [_range(noun, owner, [test])] if _is_range(noun, test) else []
    return [found]


def _range(noun: Noun, owner: int, tests: list[Comparison]) -> Sql:
    """A stretch of the index of the one field that the tests are about."""
    field = tests[0].field
    parts = [_plain(_COLUMNS[field], test) for test in tests]
    where = " AND ".join(["owner = ?", "deleted_at IS NULL", *(sql for sql, _ in parts)])
    sql = f"SELECT number FROM {noun} INDEXED BY {index_of(noun, field)} WHERE {where}"
    return sql, (owner, *(value for _, values in parts for value in values))


def _is_range(noun: Noun, test: Comparison) -> bool:
    return test.operator != "exists" and index_of(noun, test.field) is not None


def _by_field(tests: list[Comparison]) -> list[list[Comparison]]:
    return [[test for test in tests if test.field == field] for field in dict.fromkeys(test.field for test in tests)]


def _listed(noun: Noun, test: Comparison) -> Sql:
    table, value = _LISTS[test.field]
    found = f"SELECT 1 FROM {table.format(noun=noun)} WHERE m.owner = x.owner AND m.{noun} = x.number"
    if test.operator == "exists":
        return f"EXISTS ({found})", ()
    return f"EXISTS ({found} AND {value} IN {IDS})", (_values(test),)


def _compared(column: str, test: Comparison) -> Sql:
    sql, params = _plain(column, test)
    return (sql, params) if test.operator == "exists" else (f"coalesce({sql}, false)", params)


def _plain(column: str, test: Comparison) -> Sql:
    if test.operator == "exists":
        return f"{column} IS NOT NULL", ()
    values = tuple(_exact(value) for value in test.values)
    if test.operator == "in" and len(values) == 1:
        return f"{column} = ?", values
    if test.operator == "in":
        of = IDS if isinstance(values[0], str) else NUMBERS
        return f"{column} IN {of}", (id_list(value for value in values if not isinstance(value, float)),)
    return f"{column} {test.operator} ?", values


def _exact(value: str | float) -> str | int | float:
    """A whole number as the integer that it is, for columns hold integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _values(test: Comparison) -> str:
    return id_list(test.values)


def _joined(word: str, parts: list[Sql], form: str = "({})") -> Sql:
    return form.format(word.join(sql for sql, _ in parts)), tuple(value for _, values in parts for value in values)
