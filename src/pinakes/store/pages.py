"""The statement of a filtered page of assets or models."""

from pinakes.assets import AssetFilter
from pinakes.collections import MemberNoun
from pinakes.mlmodels import ModelFilter
from pinakes.page import Key
from pinakes.store.dialect import IDS, id_list

Condition = tuple[str, tuple[str, ...]]


def statement(
    noun: MemberNoun,
    columns: str,
    project_id: str,
    filter: AssetFilter | ModelFilter,
    cutoff: str,
    after: Key | None,
    conditions: list[Condition],
    members_of: str | None = None,
) -> tuple[str, tuple[str, ...]]:
    """SQL and parameters up to the limit, rows as `x`. `members_of` a collection walks the membership key by id."""
    column = "x.deleted_at" if filter.is_deleted else f"x.{filter.sort_by}"
    table, order = f"{noun} x", [column, "x.id"]
    wanted: list[Condition] = [("x.project_id = ?", (project_id,)), *conditions, *_common(filter, column)]
    wanted.append(("x.deleted_at > ?", (cutoff,)) if filter.is_deleted else ("x.deleted_at IS NULL", ()))
    for number, tag in enumerate(filter.tags):
        table = f"{noun}_tag t{number} CROSS JOIN {table}"
        same = f"t{number}.project_id = x.project_id AND t{number}.{noun}_id = x.id"
        wanted.append((f"{same} AND t{number}.project_id = ? AND t{number}.name = ?", (project_id, tag)))
    if members_of is not None:
        table = f"collection_{noun} m CROSS JOIN {table}"
        same = f"m.project_id = x.project_id AND m.{noun}_id = x.id"
        wanted.append((f"{same} AND m.project_id = ? AND m.collection_id = ?", (project_id, members_of)))
        order = [f"m.{noun}_id"] if filter.sort_by == "created_at" else order
    direction, sign = ("ASC", ">") if filter.is_ascending else ("DESC", "<")
    if after is not None:
        wanted.append((f"({', '.join(order)}) {sign} ({', '.join('?' * len(order))})", after[-len(order) :]))
    where = " AND ".join(condition for condition, _ in wanted)
    ordering = ", ".join(f"{name} {direction}" for name in order)
    sql = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {ordering} LIMIT ?"
    return sql, tuple(value for _, values in wanted for value in values)


def _common(filter: AssetFilter | ModelFilter, column: str) -> list[Condition]:
    found: list[Condition] = []
    if filter.types:
        found.append((f"x.type IN {IDS}", (id_list(filter.types),)))
    if filter.after is not None:
        found.append((f"{column} > ?", (filter.after,)))
    if filter.before is not None:
        found.append((f"{column} < ?", (filter.before,)))
    return found
