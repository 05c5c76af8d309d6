"""SQL of the processes that serve the library."""

import msgspec

from pinakes.processes import Process
from pinakes.store.dialect import Driver

_settings = msgspec.json.Decoder(dict[str, str]).decode


class ProcessSql:
    """Statements on `process`."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def note(self, process: Process, now: str) -> None:
        """Store a process, or that it is still there."""
        self._change(
            "INSERT INTO process (id, name, settings, seen_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
            (process.id, process.name, msgspec.json.encode(process.settings).decode(), now),
        )

    def seen_since(self, time: str) -> list[Process]:
        """Those that noted themselves then or later."""
        rows = self._query("SELECT id, name, settings FROM process WHERE seen_at >= ? ORDER BY id", (time,))
        return [Process(id, name, _settings(settings)) for id, name, settings in rows]

    def delete(self, id: str) -> None:
        """Forget one."""
        self._change("DELETE FROM process WHERE id = ?", (id,))

    def forget(self, time: str) -> None:
        """Forget those that have noted themselves last before then: they were killed."""
        self._change("DELETE FROM process WHERE seen_at < ?", (time,))
