"""What tests of upkeep stand on: a shelf with two assets and a model, files that look old, and a later day."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DAY_MS, make_png
from databases import run_sql

from pinakes import assets, collections, ids, mlmodels, upkeep
from pinakes.access import Actor
from pinakes.asset_types import THUMBNAIL_SIZES, Bytes
from pinakes.assets import NewAsset
from pinakes.blobs import blob_key
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.tags import TagChange
from pinakes.upkeep import check


def store(library: Library, grey: int = 1) -> Bytes:
    """A picture with its thumbnails, whose files need not be pictures here."""
    data = make_png(grey=grey)
    sha256 = library.blobs.put(data)
    for size in THUMBNAIL_SIZES:
        library.blobs.put_pictures(sha256, {size: b"webp"}, None)
    return Bytes(sha256, len(data), "image", "image/png", "png", 2, 2, 1, has_thumbnail=True)


class Shelf:
    """A collection with two assets and a model, all tagged; the first asset is cover and example."""

    def __init__(self, library: Library, admin: Actor) -> None:
        self.library, self.admin = library, admin
        self.id = collections.create(library, admin, NewCollection("Shelf")).id
        self.bytes = [store(library, grey) for grey in (1, 2)]
        self.assets = [
            assets.create(library, admin, NewAsset("a.png", "", collection_ids=[self.id]), stored).id
            for stored in self.bytes
        ]
        self.model = mlmodels.create(library, admin, NewModel(collection_ids=[self.id])).id
        for asset in self.assets:
            assets.update_tags(library, admin, asset, TagChange(add=["red", "blue"]))
        mlmodels.update_tags(library, admin, self.model, TagChange(add=["red"]))
        mlmodels.update_examples(library, admin, self.model, [self.assets[0]])
        mlmodels.update(library, admin, self.model, ModelPatch(thumbnail=self.assets[0]))
        collections.update(library, admin, self.id, CollectionPatch(thumbnail=self.assets[0]))

    def blob(self, n: int = 0) -> Path:
        return self.folder / blob_key(self.bytes[n].sha256)

    @property
    def folder(self) -> Path:
        return Path(self.library.config.data, "blobs")

    def sql(self, *statements: str) -> None:
        run_sql(self.library.config, *statements)


def codes(library: Library, *, is_quick: bool = False) -> list[str]:
    return [finding.code for finding in check(library, is_quick=is_quick)]


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


@pytest.fixture
def shelf(library: Library, admin: Actor) -> Shelf:
    return Shelf(library, admin)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock to so many days from now; files keep the time of the machine."""
    real = ids.now_ms

    def move(days: float) -> None:
        monkeypatch.setattr(ids, "now_ms", lambda: real() + int(days * DAY_MS))

    return move


@pytest.fixture
def orphans(library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The hashes of two old orphans, which a sweep looks at one after the other."""
    monkeypatch.setattr(upkeep, "_BLOBS_A_LOOK", 1)
    hashes = {library.blobs.put(data) for data in (b"one", b"two")}
    for sha256 in hashes:
        age(shelf.folder / blob_key(sha256), 2)
    return hashes


def left(library: Library, orphans: set[str]) -> set[str]:
    return {sha256 for sha256 in orphans if library.blobs.info(sha256)}
