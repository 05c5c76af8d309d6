"""SQL that keeps a library sound: settings, comparing what is derived with what it derives from, sweeping."""

from pinakes.store.dialect import Driver


class UpkeepSql:
    """Statements over all projects."""

    def __init__(self, driver: Driver) -> None:
        self._query = driver.query
        self._change = driver.change

    def setting(self, name: str, default: str) -> str:
        """A setting of the library itself, stored with its default when it is new."""
        self._change("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, default))
        return str(self._query("SELECT value FROM setting WHERE name = ?", (name,))[0][0])

    def ready(self) -> None:
        """Ask the engine for a sign of life."""
        self._query("SELECT value FROM setting LIMIT 1")
