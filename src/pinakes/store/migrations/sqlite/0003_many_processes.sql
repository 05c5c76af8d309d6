-- Several processes on one library.

-- What keys have spent of their rate, told by every process: `spent` as it was at `counted_ms`, milliseconds of the
-- database's own clock; it sinks by the rate each second.
CREATE TABLE rate_use (
    key_id     TEXT PRIMARY KEY,
    spent      REAL NOT NULL,
    counted_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Processes that serve the library, and short hashes of those of their settings which should be the same everywhere.
CREATE TABLE process (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    settings TEXT NOT NULL,
    seen_at  TEXT NOT NULL
) WITHOUT ROWID;
