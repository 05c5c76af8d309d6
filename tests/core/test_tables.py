"""What copies of a library hold is read off the database, and is the same on both engines."""

from contextlib import closing
from pathlib import Path

import pytest
from conftest import ENGINES, new_database

from pinakes.config import Config
from pinakes.library import open_store
from pinakes.store.tables import DERIVED, OF_THE_PLACE, Table

COPIED = {
    *("access_grant", "api_key", "asset", "asset_ingredient", "asset_tag", "asset_use", "collection"),
    *("collection_asset", "collection_model", "download", "job", "model", "model_alias", "model_example"),
    *("model_tag", "project", "setting", "tag", "team", "upload", "upload_part"),
}


def tables(engine: str, request: pytest.FixtureRequest, folder: Path) -> tuple[list[Table], set[str]]:
    """The tables to copy, and all there are."""
    with new_database(engine, request) as url:
        config = Config(data=str(folder / engine), database_url=url)
        with closing(open_store(config, create=True)) as store, store.read() as tx:
            return tx.rows.tables(), {column.table for column in tx.rows.columns()}


def test_both_engines_have_the_same_tables_with_the_same_columns(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = [tables(engine, request, tmp_path) for engine in ENGINES]
    ours, theirs = ([table._replace(kinds=()) for table in copied] for copied, _ in found)
    assert ours == theirs
    assert {table.name for table in ours} == COPIED, "a new table: is it copied, derived, or of the place?"
    for _, everything in found:
        assert everything - COPIED <= DERIVED | OF_THE_PLACE
