"""Look-alikes: pictures whose looks, of 64 bits each, differ in few bits.

A look is kept by its four *bands* of 16 bits. Two looks that differ in at most 11 bits differ in at most 2 bits of some
band, so that whoever asks for the 137 values around each of the four bands of a look finds every such picture.
"""

from itertools import combinations

import msgspec

from pinakes.store.dialect import NUMBERS, Driver, id_list

MOST_DIFFERENT = 11
"""Bits of 64 in which the looks of look-alikes differ."""
MOST_ALIKE = 5_000
"""Look-alikes that are found of one picture."""

_MOST_ROWS = 50_000  # of pictures with a band nearly in common: many copies of one picture, or plain ones
_ALL_BITS = (1 << 64) - 1
_FLIPS = [0, *(1 << a for a in range(16)), *(1 << a | 1 << b for a, b in combinations(range(16), 2))]
_decode = msgspec.json.Decoder(list[int]).decode

BAND = "CAST(b.value * 65536 + ((x.look >> CAST(16 * b.value AS INTEGER)) & 65535) AS INTEGER)"
"""A band of `x`, an asset, of which `b` is a number from 0 to 3."""

ALL_BANDS = id_list(range(4))
BANDS = "(SELECT 0 AS value UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)"

INDEX = f"""
INSERT INTO asset_look (owner, band, asset, look)
SELECT x.owner, {BAND}, x.number, x.look
FROM asset x CROSS JOIN {NUMBERS} b WHERE x.owner = ? AND x.number = ? AND x.look IS NOT NULL
ON CONFLICT (owner, band, asset) DO UPDATE SET look = excluded.look
"""
"""Keeps the look of an asset by its bands; takes `ALL_BANDS`, owner and number.

A look never changes once there is one."""

FORGET = f"""
DELETE FROM asset_look WHERE (owner, band, asset) IN (
    SELECT x.owner, {BAND}, x.number
    FROM {NUMBERS} gone CROSS JOIN asset x ON x.number = gone.value CROSS JOIN {BANDS} b
    WHERE x.owner = ? AND x.look IS NOT NULL)
"""
"""Takes a list of numbers, and the owner."""


def alike(driver: Driver, owner: int, looks: list[int]) -> dict[int, int]:
    """Assets, trash included, that look like any of the looks: in how many bits they differ, by number, nearest first.

    One statement.
    """
    bands = [at << 16 | (look >> 16 * at & 65535) ^ flip for flip in _FLIPS for look in looks for at in range(4)]
    ((numbers, kept),) = driver.query(
        "SELECT json_group_array(asset), json_group_array(look)"
        f" FROM (SELECT l.asset, l.look FROM {NUMBERS} b"
        " CROSS JOIN asset_look l ON l.owner = ? AND l.band = b.value LIMIT ?) found",
        (id_list(bands), owner, _MOST_ROWS),
    )
    found = dict(zip(_decode(numbers), _decode(kept), strict=True))
    differing = {
        number: min(((look ^ wanted) & _ALL_BITS).bit_count() for wanted in looks) for number, look in found.items()
    }
    near = sorted((bits, -number) for number, bits in differing.items() if bits <= MOST_DIFFERENT)
    return {-number: bits for bits, number in near[:MOST_ALIKE]}
