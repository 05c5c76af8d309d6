"""A library of the first schema, upgraded: everything is still there, and is found by what came since."""

from importlib import resources
from pathlib import Path

import apsw
from conftest import make_png

from pinakes import access, assets, mlmodels, search, upkeep
from pinakes.asset_types import THUMBNAIL_SIZES
from pinakes.assets import AssetFilter
from pinakes.blob_urls import open_blobs
from pinakes.blobs import blob_key
from pinakes.config import Config
from pinakes.library import open_library, upgrade
from pinakes.search import Search

SECRET = "a secret of long ago"

ROWS = """
INSERT INTO team VALUES ('team_1', 'A team', :at, :at);
INSERT INTO project (number, id, team_id, name, created_at, updated_at)
VALUES (1, 'proj_1', 'team_1', 'A project', :at, :at);
INSERT INTO api_key VALUES ('key_1', 'proj_1', 'A key', 'admin', :hash, 'key_1', :at, :at, NULL);
INSERT INTO access_grant VALUES ('key_1', 'proj_1', 1, 'admin', :hash, 1);
INSERT INTO model (number, owner, id, name, type, status, author_id, created_at, updated_at)
VALUES (1, 1, 'flux.1-dev', 'Flux Dev', 'flux.1', 'trained', 'key_1', :at, :at);
INSERT INTO asset (number, owner, id, name, kind, type, mime_type, format, sha256, size, width, height, author_id,
    model_id, created_at, updated_at)
VALUES (1, 1, 'asset_1', 'Mossy stone', 'image', 'uploaded', 'image/png', 'png', :sha256, :size, 2, 2, 'key_1',
    'flux.1-dev', :at, :at);
INSERT INTO asset (number, owner, id, name, kind, type, mime_type, sha256, size, author_id, created_at, updated_at)
VALUES (2, 1, 'asset_2', 'notes.txt', 'text', 'uploaded-text', 'text/plain', :sha256, :size, 'key_1', :at, :at);
INSERT INTO asset_tag VALUES (1, 1, 'forest');
INSERT INTO tag VALUES (1, 'forest', 1, :at, :at);
"""


def first_library(config: Config) -> None:
    """What the first version would have left."""
    data = make_png()
    blobs = open_blobs(config.blobs_url)
    sha256 = blobs.put(data)
    for size in THUMBNAIL_SIZES:
        blobs.put_pictures(sha256, {size: b"webp"}, None)
    assert blobs.size(blob_key(sha256)) == len(data)
    schema = resources.files("pinakes.store") / "migrations" / "sqlite" / "0001_initial.sql"
    connection = apsw.Connection(str(config.database_path))
    connection.execute(schema.read_text())
    connection.pragma("user_version", 1)
    facts = {"at": "2026-01-31T11:19:41.579Z", "hash": access.hash_secret(SECRET), "sha256": sha256, "size": len(data)}
    connection.execute(ROWS, facts)
    connection.close()


def test_an_upgraded_library_is_whole(tmp_path: Path) -> None:
    config = Config(data=str(tmp_path))
    first_library(config)
    assert upgrade(config)[0] == "0002_every_kind.sql"
    library = open_library(config, create=False)
    try:
        actor = access.authenticate(library, "key_1", access.hash_secret(SECRET), None)
        asset = assets.get(library, actor, "asset_1")
        assert (asset.status, asset.metadata.model_id, bool(asset.thumbnail)) == ("success", "flux.1-dev", True)
        assert not assets.get(library, actor, "asset_2").thumbnail
        made_with = assets.get_page(library, actor, AssetFilter(model_id="flux.1-dev")).items
        assert [found.id for found in made_with] == ["asset_1"]
        assert mlmodels.get(library, actor, "flux.1-dev").name == "Flux Dev"
        for query in ("mossy", "forest"):
            assert [hit.id for hit in search.find_assets(library, actor, Search(query=query), {}).items] == ["asset_1"]
        assert [hit.id for hit in search.find_models(library, actor, Search(query="flux"), {}).items] == ["flux.1-dev"]
        assert upkeep.check(library) == []
    finally:
        library.close()
