"""What tests of backup and restore stand on: a backup of three pictures, and a place to restore it to."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import make_png, new_database

from pinakes import assets
from pinakes.access import Actor
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes
from pinakes.assets import AssetFilter, NewAsset
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.transfer.backup import backup


def upload(library: Library, admin: Actor, grey: int, collection_ids: list[str] | None = None) -> Bytes:
    """An asset with thumbnails, whose files need not be pictures here."""
    data = make_png(grey=grey)
    sha256 = library.blobs.put(data)
    for size in THUMBNAIL_SIZES:
        library.blobs.put_pictures(sha256, {size: b"webp %d" % size}, None)
    stored = Bytes(sha256, len(data), "image", "image/png", "png", 2, 2, 1, has_thumbnail=True)
    assets.create(library, admin, NewAsset("a.png", "", collection_ids=collection_ids or []), stored)
    return stored


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PinakesError) as caught:
        call()
    assert caught.value.code == "BAD_REQUEST", caught.value
    return caught.value.message


@pytest.fixture
def target(config: Config, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """Of the same engine as what is backed up."""
    with new_database("postgres" if config.is_postgres else "sqlite", request) as url:
        yield Config(data=str(tmp_path / "restored"), database_url=url)


@pytest.fixture
def file(library: Library, admin: Actor, tmp_path: Path) -> Path:
    """A backup of three pictures, one of them in the trash."""
    for grey in range(3):
        upload(library, admin, grey)
    first = assets.get_page(library, admin, AssetFilter()).items[0]
    assets.delete(library, admin, [first.id])
    return Path(backup(library, tmp_path / "backup.tar").file)


def members(file: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(file) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
