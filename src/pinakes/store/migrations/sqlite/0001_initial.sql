-- Every owned table starts its key with the project, so that a project's rows lie together (and, on a distributed
-- engine, on one shard). Ids sort by creation, so the newest rows of a table share pages. Times are ISO 8601 text.

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
    id           TEXT PRIMARY KEY,
    team_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT,
    privacy_mode INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    deleted_at   TEXT
) WITHOUT ROWID;

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

-- Which projects a key may see, its own included, and as what.
CREATE TABLE access_grant (
    api_key_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    role       TEXT NOT NULL,
    PRIMARY KEY (api_key_id, project_id)
) WITHOUT ROWID;

CREATE INDEX access_grant_of_project ON access_grant (project_id, api_key_id);

CREATE TABLE collection (
    project_id         TEXT NOT NULL,
    id                 TEXT NOT NULL,
    name               TEXT NOT NULL,
    asset_count        INTEGER NOT NULL DEFAULT 0,
    model_count        INTEGER NOT NULL DEFAULT 0,
    thumbnail_asset_id TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    deleted_at         TEXT,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- Small: lets an asset's `collectionIds` leave out deleted collections without reading the others.
CREATE INDEX collection_trash ON collection (project_id, id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX collection_thumbnail ON collection (project_id, thumbnail_asset_id) WHERE thumbnail_asset_id IS NOT NULL;

-- Rows are wide, so this is a rowid table with a narrow key: checking that 49 ids exist reads the key alone.
CREATE TABLE asset (
    project_id  TEXT NOT NULL,
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

CREATE UNIQUE INDEX asset_key ON asset (project_id, id);
CREATE INDEX asset_created ON asset (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX asset_updated ON asset (project_id, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX asset_trash ON asset (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX asset_parent ON asset (project_id, parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX asset_root ON asset (project_id, root_id, id) WHERE root_id IS NOT NULL;
CREATE INDEX asset_model ON asset (project_id, model_id, id) WHERE model_id IS NOT NULL;

CREATE TABLE model (
    project_id         TEXT NOT NULL,
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

CREATE UNIQUE INDEX model_key ON model (project_id, id);
CREATE INDEX model_created ON model (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX model_updated ON model (project_id, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX model_trash ON model (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX model_thumbnail ON model (project_id, thumbnail_asset_id) WHERE thumbnail_asset_id IS NOT NULL;

CREATE TABLE model_example (
    project_id TEXT NOT NULL,
    model_id   TEXT NOT NULL,
    position   INTEGER NOT NULL,
    asset_id   TEXT NOT NULL,
    PRIMARY KEY (project_id, model_id, position)
) WITHOUT ROWID;

CREATE INDEX model_example_asset ON model_example (project_id, asset_id);

-- Memberships. The key lists a collection's members newest first; the index lists a member's collections.
CREATE TABLE collection_asset (
    project_id    TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    asset_id      TEXT NOT NULL,
    PRIMARY KEY (project_id, collection_id, asset_id)
) WITHOUT ROWID;

CREATE INDEX asset_collection ON collection_asset (project_id, asset_id, collection_id);

CREATE TABLE collection_model (
    project_id    TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    model_id      TEXT NOT NULL,
    PRIMARY KEY (project_id, collection_id, model_id)
) WITHOUT ROWID;

CREATE INDEX model_collection ON collection_model (project_id, model_id, collection_id);

-- `item_count` counts live assets and models; it changes in the transaction that changes them.
CREATE TABLE tag (
    project_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    item_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (project_id, name)
) WITHOUT ROWID;

CREATE TABLE asset_tag (
    project_id TEXT NOT NULL,
    asset_id   TEXT NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (project_id, asset_id, name)
) WITHOUT ROWID;

CREATE INDEX tag_asset ON asset_tag (project_id, name, asset_id);

CREATE TABLE model_tag (
    project_id TEXT NOT NULL,
    model_id   TEXT NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (project_id, model_id, name)
) WITHOUT ROWID;

CREATE INDEX tag_model ON model_tag (project_id, name, model_id);
