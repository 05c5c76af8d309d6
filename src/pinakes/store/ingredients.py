"""SQL of how assets and models meet: in keys that both have (`pinakes.ingredients` says which, and why)."""

import msgspec

from pinakes.asset_types import Link
from pinakes.ingredients import Use
from pinakes.store.dialect import IDS, ROWS, Driver, id_list, json_text

SLICE = 2_000
"""Assets for each key of a model, and links that it had, which one transaction looks at."""

LINKS = """
    SELECT json_group_array(json_array(
        k.id, k.number, u.role, u.weight, u.position, u.sure, CASE WHEN k.deleted_at IS NULL THEN 1 ELSE 0 END))
    FROM asset_ingredient u JOIN model k ON k.owner = u.owner AND k.number = u.model
    WHERE u.owner = {owner} AND u.asset = {asset}
"""
"""The links of an asset, as `links_of` takes them."""

SHOWN = """(k.deleted_at IS NULL OR u.role = 'said') AND (u.sure = 2 OR NOT EXISTS (
    SELECT 1 FROM asset_ingredient surer
    WHERE surer.owner = u.owner AND surer.asset = u.asset AND surer.position = u.position AND surer.sure > u.sure))"""
"""Whether a link `u` to a model `k` is seen: not one to a model in the trash, nor by a name where a hash fits."""

_LINK = """
INSERT INTO asset_ingredient (owner, model, asset, role, weight, position, sure)
SELECT owner, model, asset, role, weight, position, sure FROM (
    SELECT u.owner, a.model, u.asset, u.role, u.weight, u.position, u.sure,
        row_number() OVER (PARTITION BY a.model, u.asset ORDER BY u.sure DESC, u.position) AS place {meeting}
) met WHERE place = 1
ON CONFLICT (owner, model, asset) DO UPDATE
SET role = excluded.role, weight = excluded.weight, position = excluded.position, sure = excluded.sure
WHERE (excluded.sure, -excluded.position) > (asset_ingredient.sure, -asset_ingredient.position)
"""

_LINK_ASSET = _LINK.format(
    meeting="""
    FROM asset_use u CROSS JOIN model_alias a ON a.owner = u.owner AND a.key = u.key
    WHERE u.owner = ? AND u.asset = ?"""
)
_LINK_MODEL = _LINK.format(
    meeting="""
    FROM model_alias a CROSS JOIN asset_use u INDEXED BY use_asset
        ON u.owner = a.owner AND u.key = a.key AND u.asset >= ? AND u.asset < ?
    WHERE a.owner = ? AND a.model = ?"""
)

# The lowest asset such that no key, and not the links there are, have more than a slice from there on.
_SLICE_START = """
SELECT max(start) FROM (
    SELECT (SELECT u.asset FROM asset_use u WHERE u.owner = a.owner AND u.key = a.key AND u.asset < ?
            ORDER BY u.asset DESC LIMIT 1 OFFSET ?) AS start
    FROM model_alias a WHERE a.owner = ? AND a.model = ?
    UNION ALL
    SELECT (SELECT i.asset FROM asset_ingredient i WHERE i.owner = ? AND i.model = ? AND i.asset < ?
            ORDER BY i.asset DESC LIMIT 1 OFFSET ?)
) starts
"""
_BEYOND = (1 << 63) - 1

_decode_links = msgspec.json.Decoder(list[Link], strict=False).decode


def links_of(aggregate: str) -> list[Link]:
    """What `LINKS` has found."""
    return _decode_links(aggregate) if aggregate != "[]" else []


class IngredientSql:
    """Statements on `asset_use`, `model_alias` and `asset_ingredient`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def of_asset(self, owner: int, number: int) -> list[Link]:
        """The models that an asset is linked to."""
        return links_of(self._query(LINKS.format(owner="?", asset="?"), (owner, number))[0][0])

    def link_asset(self, owner: int, number: int, uses: list[Use]) -> None:
        """Add keys to those that an asset was made with, and link it to the models that have them."""
        self._change(
            "INSERT INTO asset_use (owner, asset, key, role, weight, position, sure)"
            " SELECT ?, ?, value ->> 0, value ->> 1, CAST(value ->> 2 AS DOUBLE PRECISION),"
            f" CAST(value ->> 3 AS INTEGER), CAST(value ->> 4 AS INTEGER) FROM {ROWS} used WHERE true"
            " ON CONFLICT (owner, asset, key) DO NOTHING",
            (owner, number, json_text(uses)),
        )
        self._change(_LINK_ASSET, (owner, number))

    def set_aliases(self, owner: int, number: int, keys: list[str]) -> None:
        """Replace what a model is known by."""
        self._change("DELETE FROM model_alias WHERE owner = ? AND model = ?", (owner, number))
        self._change(
            f"INSERT INTO model_alias (owner, model, key) SELECT ?, ?, value FROM {IDS} alias",
            (owner, number, id_list(keys)),
        )

    def link_model(self, owner: int, number: int, before: int | None = None) -> int | None:
        """Link a model to the assets that have its keys, and to no others: a slice of them, newest first.

        The number of the oldest asset that was looked at, to go on before it; None when there are none before.
        """
        end = _BEYOND if before is None else before
        sought = (end, SLICE - 1, owner, number, owner, number, end, SLICE - 1)
        start: int | None = self._query(_SLICE_START, sought)[0][0]
        self._change(
            "DELETE FROM asset_ingredient WHERE owner = ? AND model = ? AND asset >= ? AND asset < ?",
            (owner, number, start or 0, end),
        )
        self._change(_LINK_MODEL, (start or 0, end, owner, number))
        return start

    def number_of(self, owner: int, id: str) -> int | None:
        """A model's number, in the trash or not."""
        rows = self._query("SELECT number FROM model WHERE owner = ? AND id = ?", (owner, id))
        return int(rows[0][0]) if rows else None
