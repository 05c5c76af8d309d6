"""The statement of a filtered page of assets or models."""

from pinakes.assets import AssetFilter
from pinakes.collections import MemberNoun
from pinakes.mlmodels import ModelFilter
from pinakes.page import Key
from pinakes.store.dialect import ANEW, IDS, id_list
from pinakes.store.ingredients import SHOWN

Condition = tuple[str, tuple[str | int, ...]]


def statement(
    noun: MemberNoun,
    columns: str,
    owner: int,
    filter: AssetFilter | ModelFilter,
    cutoff: str,
    after: Key | None,
    conditions: list[Condition],
    members_of: int | None = None,
    index: str = "",
) -> tuple[str, tuple[str | int, ...]]:
    """SQL and parameters up to the limit, rows as `x`. `members_of` a collection walks the membership key by number.

    So does a filter for assets made with a model, with the links of that model. `index` leads to the few rows that pass
    the conditions, where SQLite would rather walk all in the order of the page.
    """
    column = "x.deleted_at" if filter.is_deleted else f"x.{filter.sort_by}"
    table, order = f"{noun} x", [column, "x.id"]
    wanted: list[Condition] = [("x.owner = ?", (owner,)), *conditions, *_common(filter)]
    wanted.append(("x.deleted_at > ?", (cutoff,)) if filter.is_deleted else ("x.deleted_at IS NULL", ()))
    for number, tag in enumerate(filter.tags):
        table = f"{noun}_tag t{number} CROSS JOIN {table}"
        same = f"t{number}.owner = x.owner AND t{number}.{noun} = x.number"
        wanted.append((f"{same} AND t{number}.owner = ? AND t{number}.name = ?", (owner, tag)))
    if members_of is not None:
        table = f"collection_{noun} m CROSS JOIN {table}"
        same = f"m.owner = x.owner AND m.{noun} = x.number"
        wanted.append((f"{same} AND m.owner = ? AND m.collection = ?", (owner, members_of)))
        order = [f"m.{noun}"] if column == "x.created_at" else order
        if isinstance(filter, AssetFilter) and filter.model_id is not None:
            condition, values = _made_with(owner, filter.model_id)
            wanted.append((f"EXISTS (SELECT 1 FROM model k CROSS JOIN asset_ingredient u WHERE {condition})", values))
    elif isinstance(filter, AssetFilter) and filter.model_id is not None:
        table = f"model k CROSS JOIN asset_ingredient u CROSS JOIN {table}"
        wanted.append(_made_with(owner, filter.model_id))
        order = ["u.asset"] if column == "x.created_at" else order
    direction, sign = ("ASC", ">") if filter.is_ascending else ("DESC", "<")
    if after is not None:
        wanted.append((f"({', '.join(order)}) {sign} ({', '.join('?' * len(order))})", after))
    where = " AND ".join(condition for condition, _ in wanted)
    ordering = ", ".join(f"{name} {direction}" for name in order)
    if index and table == f"{noun} x":
        table += f" INDEXED BY {index}"
    is_plain = table == f"{noun} x" and not (conditions or filter.types or filter.after or filter.before)
    sql = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {ordering} LIMIT ? {'' if is_plain else ANEW}"
    return sql, tuple(value for _, values in wanted for value in values)


def _made_with(owner: int, model_id: str) -> Condition:
    """Ties a row to the model `k` of that id by a link `u` that is seen."""
    same = "u.owner = ? AND u.model = k.number AND u.asset = x.number"
    return f"k.owner = ? AND k.id = ? AND {same} AND {SHOWN}", (owner, model_id, owner)


def _common(filter: AssetFilter | ModelFilter) -> list[Condition]:
    found: list[Condition] = []
    if filter.types:
        found.append((f"x.type IN {IDS}", (id_list(filter.types),)))
    if filter.after is not None:
        found.append((f"x.{filter.sort_by} > ?", (filter.after,)))
    if filter.before is not None:
        found.append((f"x.{filter.sort_by} < ?", (filter.before,)))
    return found
