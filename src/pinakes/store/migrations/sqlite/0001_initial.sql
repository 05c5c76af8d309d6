-- Every owned table starts its key with the owner, the number of a project, so that a project's rows lie together (and,
-- on a distributed engine, on one shard). Ids sort by creation, so the newest rows of a table share pages. Memberships,
-- taggings and examples hold numbers instead of ids: a sixth of the bytes, and about twice the speed of bulk changes
-- (docs/decisions/0003-numbers-inside.md). A number is never given twice, also when the last row was deleted for good, so
-- that a greater one means later. Times are ISO 8601 text.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE team (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE project (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    team_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT,
    privacy_mode INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    deleted_at   TEXT,
    deleted_by   TEXT
);

CREATE TABLE api_key (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    author_id   TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    revoked_at  TEXT
) WITHOUT ROWID;

CREATE INDEX api_key_of_project ON api_key (project_id, id);

-- All that authentication reads: a row for each project that a live key may see, `is_own` its own. Revoking a key and
-- deleting a project delete rows here.
CREATE TABLE access_grant (
    api_key_id  TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    owner       INTEGER NOT NULL,
    role        TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    is_own      INTEGER NOT NULL,
    PRIMARY KEY (api_key_id, project_id)
) WITHOUT ROWID;

CREATE INDEX access_grant_of_project ON access_grant (project_id, api_key_id);

CREATE TABLE collection (
    number             INTEGER PRIMARY KEY AUTOINCREMENT,
    owner              INTEGER NOT NULL,
    id                 TEXT NOT NULL,
    name               TEXT NOT NULL,
    asset_count        INTEGER NOT NULL DEFAULT 0,
    model_count        INTEGER NOT NULL DEFAULT 0,
    thumbnail_asset_id TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    deleted_at         TEXT
);

CREATE UNIQUE INDEX collection_key ON collection (owner, id);
CREATE INDEX collection_live ON collection (owner, id) WHERE deleted_at IS NULL;
CREATE INDEX collection_trash ON collection (owner, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX collection_thumbnail ON collection (owner, thumbnail_asset_id) WHERE thumbnail_asset_id IS NOT NULL;

CREATE TABLE asset (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    owner       INTEGER NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    kind        TEXT NOT NULL,
    type        TEXT NOT NULL,
    mime_type   TEXT NOT NULL,
    format      TEXT,
    sha256      TEXT NOT NULL,
    size        INTEGER NOT NULL,
    width       INTEGER,
    height      INTEGER,
    frames      INTEGER NOT NULL DEFAULT 1,
    is_hidden   INTEGER NOT NULL DEFAULT 0,
    privacy     TEXT NOT NULL DEFAULT 'private',
    author_id   TEXT NOT NULL,
    parent_id   TEXT,
    root_id     TEXT,
    model_id    TEXT,
    copied_at   TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    deleted_at  TEXT
);

CREATE UNIQUE INDEX asset_key ON asset (owner, id);
CREATE INDEX asset_created ON asset (owner, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX asset_updated ON asset (owner, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX asset_trash ON asset (owner, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX asset_parent ON asset (owner, parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX asset_root ON asset (owner, root_id, id) WHERE root_id IS NOT NULL;
CREATE INDEX asset_model ON asset (owner, model_id, id) WHERE model_id IS NOT NULL;

CREATE TABLE model (
    number             INTEGER PRIMARY KEY AUTOINCREMENT,
    owner              INTEGER NOT NULL,
    id                 TEXT NOT NULL,
    name               TEXT,
    type               TEXT NOT NULL,
    status             TEXT NOT NULL,
    short_description  TEXT,
    description        TEXT NOT NULL DEFAULT '',
    privacy            TEXT NOT NULL DEFAULT 'private',
    thumbnail_asset_id TEXT,
    parent_id          TEXT,
    author_id          TEXT NOT NULL,
    settings           TEXT NOT NULL DEFAULT '{}',
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    deleted_at         TEXT
);

CREATE UNIQUE INDEX model_key ON model (owner, id);
CREATE INDEX model_created ON model (owner, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX model_updated ON model (owner, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX model_trash ON model (owner, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX model_thumbnail ON model (owner, thumbnail_asset_id) WHERE thumbnail_asset_id IS NOT NULL;

CREATE TABLE model_example (
    owner    INTEGER NOT NULL,
    model    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    asset    INTEGER NOT NULL,
    PRIMARY KEY (owner, model, position)
) WITHOUT ROWID;

CREATE INDEX model_example_asset ON model_example (owner, asset);

-- Memberships. The key lists a collection's members newest first; the index lists a member's collections.
CREATE TABLE collection_asset (
    owner      INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    asset      INTEGER NOT NULL,
    PRIMARY KEY (owner, collection, asset)
) WITHOUT ROWID;

CREATE INDEX asset_collection ON collection_asset (owner, asset, collection);

CREATE TABLE collection_model (
    owner      INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    model      INTEGER NOT NULL,
    PRIMARY KEY (owner, collection, model)
) WITHOUT ROWID;

CREATE INDEX model_collection ON collection_model (owner, model, collection);

-- `item_count` counts live assets and models; it changes in the transaction that changes them. What nothing live has any
-- more is deleted, so that listing tags reads only what it shows.
CREATE TABLE tag (
    owner      INTEGER NOT NULL,
    name       TEXT NOT NULL,
    item_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;

CREATE TABLE asset_tag (
    owner INTEGER NOT NULL,
    asset INTEGER NOT NULL,
    name  TEXT NOT NULL,
    PRIMARY KEY (owner, asset, name)
) WITHOUT ROWID;

CREATE INDEX tag_asset ON asset_tag (owner, name, asset);

CREATE TABLE model_tag (
    owner INTEGER NOT NULL,
    model INTEGER NOT NULL,
    name  TEXT NOT NULL,
    PRIMARY KEY (owner, model, name)
) WITHOUT ROWID;

CREATE INDEX tag_model ON model_tag (owner, name, model);
