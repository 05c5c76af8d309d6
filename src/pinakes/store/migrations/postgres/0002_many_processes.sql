-- Several processes on one library.

-- What keys have spent of their rate, told by every process: `spent` as it was at `counted_ms`, milliseconds of the
-- database's own clock; it sinks by the rate each second. After a crash nobody has spent anything.
CREATE UNLOGGED TABLE rate_use (
    key_id     TEXT COLLATE "C" PRIMARY KEY,
    spent      DOUBLE PRECISION NOT NULL,
    counted_ms BIGINT NOT NULL
);

-- Processes that serve the library, and short hashes of those of their settings which should be the same everywhere.
CREATE TABLE process (
    id       TEXT COLLATE "C" PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL,
    settings TEXT COLLATE "C" NOT NULL,
    seen_at  TEXT COLLATE "C" NOT NULL
);
