-- Every kind of media, uploads in parts, models from files, how assets were made, search and downloads.

-- `facts` and `generation` are JSON, NULL when there is nothing to say. `look` is a perceptual hash of 64 bits.
ALTER TABLE asset ADD COLUMN status TEXT NOT NULL DEFAULT 'success';
ALTER TABLE asset ADD COLUMN error_message TEXT;
ALTER TABLE asset ADD COLUMN has_thumbnail INTEGER NOT NULL DEFAULT 0;
ALTER TABLE asset ADD COLUMN has_preview INTEGER NOT NULL DEFAULT 0;
ALTER TABLE asset ADD COLUMN facts TEXT;
ALTER TABLE asset ADD COLUMN generation TEXT;
ALTER TABLE asset ADD COLUMN look INTEGER;

UPDATE asset SET has_thumbnail = 1 WHERE width IS NOT NULL;

-- The file of a model, when it has one; `facts` is what its header says, `hashes` what it is known by, both as JSON.
ALTER TABLE model ADD COLUMN sha256 TEXT;
ALTER TABLE model ADD COLUMN size INTEGER;
ALTER TABLE model ADD COLUMN file_name TEXT;
ALTER TABLE model ADD COLUMN format TEXT;
ALTER TABLE model ADD COLUMN facts TEXT;
ALTER TABLE model ADD COLUMN hashes TEXT;

-- Background work. A row is claimed by moving `due_at` into the future, so that a job whose worker was killed becomes due
-- again; `attempts` tells claims apart. The row goes in the transaction that stores what came of it.
CREATE TABLE job (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    owner    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at   TEXT NOT NULL
);

-- Fetching waits for other servers, and others do not wait for it.
CREATE INDEX job_due ON job (due_at, number) WHERE kind <> 'fetch';
CREATE INDEX fetch_due ON job (due_at, number) WHERE kind = 'fetch';
CREATE INDEX job_subject ON job (owner, subject);

CREATE TABLE upload (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    owner         INTEGER NOT NULL,
    id            TEXT NOT NULL,
    author_id     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    source        TEXT NOT NULL,
    status        TEXT NOT NULL,
    file_name     TEXT NOT NULL,
    content_type  TEXT,
    file_size     INTEGER,
    parts_count   INTEGER,
    sha256        TEXT,
    url           TEXT,
    options       TEXT NOT NULL DEFAULT '{}',
    entity_id     TEXT,
    error_message TEXT,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
);

CREATE UNIQUE INDEX upload_key ON upload (owner, id);
CREATE INDEX upload_age ON upload (updated_at, number);

-- Parts that are stored. `sha256` is of the part.
CREATE TABLE upload_part (
    owner  INTEGER NOT NULL,
    upload INTEGER NOT NULL,
    number INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (owner, upload, number)
) WITHOUT ROWID;

-- Archives that were asked for: `spec` says what is in one, which is put together while it is sent.
CREATE TABLE download (
    owner      INTEGER NOT NULL,
    id         TEXT NOT NULL,
    spec       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (owner, id)
);

CREATE INDEX download_age ON download (created_at);

-- Which models an asset was made with. What its file says (`asset_use`) and what models are known by (`model_alias`) meet
-- in keys, of ids, hashes and names; whoever comes later finds the other, and the pair is noted in `asset_ingredient`,
-- which follows from the other two. `position` is the ingredient's in the file, -1 for what was said with the upload.
-- `sure` is 2 for ids and hashes, 1 for names, 0 for names that give way to a hash (docs/decisions/0014-linking-models.md).
CREATE TABLE asset_use (
    owner    INTEGER NOT NULL,
    asset    INTEGER NOT NULL,
    key      TEXT NOT NULL,
    role     TEXT NOT NULL,
    weight   REAL,
    position INTEGER NOT NULL DEFAULT 0,
    sure     INTEGER NOT NULL DEFAULT 2,
    PRIMARY KEY (owner, asset, key)
) WITHOUT ROWID;

CREATE INDEX use_asset ON asset_use (owner, key, asset);

CREATE TABLE model_alias (
    owner INTEGER NOT NULL,
    model INTEGER NOT NULL,
    key   TEXT NOT NULL,
    PRIMARY KEY (owner, model, key)
) WITHOUT ROWID;

CREATE INDEX alias_model ON model_alias (owner, key, model);

CREATE TABLE asset_ingredient (
    owner    INTEGER NOT NULL,
    model    INTEGER NOT NULL,
    asset    INTEGER NOT NULL,
    role     TEXT NOT NULL,
    weight   REAL,
    position INTEGER NOT NULL DEFAULT 0,
    sure     INTEGER NOT NULL DEFAULT 2,
    PRIMARY KEY (owner, model, asset)
) WITHOUT ROWID;

-- Covering, for without statistics the engine would rather read all links of the owner.
CREATE INDEX model_of_asset ON asset_ingredient (owner, asset, position, sure, model, role, weight);

INSERT INTO asset_use (owner, asset, key, role, position)
SELECT owner, number, 'id:' || model_id, 'said', -1 FROM asset WHERE model_id IS NOT NULL;

INSERT INTO model_alias (owner, model, key)
SELECT owner, number, 'id:' || id FROM model
UNION
SELECT m.owner, m.number, k.value || stem(m.name) FROM model m, json_each('["name:","fileless:"]') k
WHERE stem(m.name) <> '';

INSERT INTO asset_ingredient (owner, model, asset, role, position)
SELECT u.owner, a.model, u.asset, u.role, u.position
FROM asset_use u JOIN model_alias a ON a.owner = u.owner AND a.key = u.key;

DROP INDEX asset_model;

-- What a search sorts and filters by. A walk stops when a page is full. With `deleted_at`, which is NULL in all of them,
-- SQLite counts what passes without looking at rows.
CREATE INDEX asset_kind ON asset (owner, kind, type, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX asset_name ON asset (owner, name, number, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX asset_size ON asset (owner, size, number, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX asset_width ON asset (owner, width, number, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX asset_height ON asset (owner, height, number, deleted_at) WHERE deleted_at IS NULL;

-- Look-alikes: 4 rows for each picture, a band being 16 bits of its look and which of the four they are. Looks that
-- differ in few bits have a band in common, or nearly.
CREATE TABLE asset_look (
    owner INTEGER NOT NULL,
    band  INTEGER NOT NULL,
    asset INTEGER NOT NULL,
    look  INTEGER NOT NULL,
    PRIMARY KEY (owner, band, asset)
) WITHOUT ROWID;

-- Full text by number. The texts are in their tables and not kept twice; store/fulltext.py says what the terms are. The
-- lists of prefixes are for the first two and three letters after owner and place.
CREATE VIRTUAL TABLE asset_text USING fts5 (terms, content='', contentless_delete=1, prefix='8 9', tokenize=ascii);
CREATE VIRTUAL TABLE model_text USING fts5 (terms, content='', contentless_delete=1, prefix='8 9', tokenize=ascii);

INSERT INTO asset_text (rowid, terms)
SELECT number, terms(owner, json_array(
    json_array(name),
    json((SELECT json_group_array(t.name) FROM asset_tag t WHERE t.owner = a.owner AND t.asset = a.number)),
    json_array(), json_array(description)))
FROM asset a;

INSERT INTO model_text (rowid, terms)
SELECT number, terms(owner, json_array(
    json_array(name),
    json((SELECT json_group_array(t.name) FROM model_tag t WHERE t.owner = m.owner AND t.model = m.number)),
    json_array(), json_array(short_description, description)))
FROM model m;
