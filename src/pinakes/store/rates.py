"""SQL of what keys have spent of their rate: a bucket for each key, which leaks as time passes.

Times are of the clock of the database, the only one that all processes share.
"""

from collections.abc import Mapping

from pinakes.store.dialect import NOW_MS, PAIRS, Driver, pair_list


class RateSql:
    """Statements on `rate_use`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def exchange(self, per_second: int, used: Mapping[str, int]) -> dict[str, float]:
        """Add to what keys have spent, of which `per_second` has come back each second; what it is now."""
        rows = self._query(_EXCHANGE, (pair_list({key: str(count) for key, count in used.items()}), per_second))
        return {key_id: float(spent) for key_id, spent in rows}

    def forget(self, age_ms: int) -> int:
        """How many keys were forgotten that used nothing for that long."""
        return self._change(f"DELETE FROM rate_use WHERE counted_ms < {NOW_MS} - ?", (age_ms,))


# In the order of keys, so that two processes with the same keys wait for each other in turn.
_EXCHANGE = f"""
INSERT INTO rate_use (key_id, spent, counted_ms)
SELECT name, CAST(value AS DOUBLE PRECISION), {NOW_MS} FROM {PAIRS} u WHERE true ORDER BY name
ON CONFLICT (key_id) DO UPDATE SET
    spent = max(0, rate_use.spent - max(0, excluded.counted_ms - rate_use.counted_ms) * ? / 1000.0) + excluded.spent,
    counted_ms = excluded.counted_ms
RETURNING key_id, spent
"""
