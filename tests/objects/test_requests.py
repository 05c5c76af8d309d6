"""What each thing costs at the store: its requests are what is paid for, and each is a trip across the network."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import make_assets, make_png, new_actor, new_asset
from conftest import upload as upload_asset
from stores import S3

from pinakes import upkeep, uploads
from pinakes.access import Actor
from pinakes.blobs import blob_key
from pinakes.config import Config
from pinakes.library import Library, open_library
from pinakes.upload_types import NewUpload

sys.path.append(str(Path(__file__).parent))

from counting import Wire, wire_to

MIB = 1 << 20


class Counted(NamedTuple):
    library: Library
    actor: Actor
    wire: Wire


@pytest.fixture
def counted(s3: S3, tmp_path: Path) -> Iterator[Counted]:
    with wire_to(s3.endpoint) as wire:
        url = s3.url().replace(s3.endpoint, wire.endpoint)
        library = open_library(Config(data=str(tmp_path / "data"), blob_url=url))
        assert wire.taken() == "1 LIST"
        yield Counted(library, new_actor(library), wire)
        library.close()


def test_a_picture_in_one_call(counted: Counted) -> None:
    library, actor, wire = counted
    upload_asset(library, actor, new_asset(data=make_png(30, 30)))
    assert wire.taken() == "2 HEAD, 4 PUT"
    upload_asset(library, actor, new_asset(data=make_png(30, 30)))
    assert wire.taken() == "2 HEAD, 3 PUT"


def test_reading(counted: Counted) -> None:
    library, _, wire = counted
    data = os.urandom(20 * MIB)
    key = blob_key(library.blobs.put(data))
    assert wire.taken() == "1 BEGIN, 1 END, 1 HEAD, 3 PIECE"
    assert b"".join(library.blobs.stream(key, 0, len(data))) == data
    assert wire.taken() == "1 GET"
    assert b"".join(library.blobs.stream(key, 5, 10)) == data[5:10]
    assert wire.taken() == "1 GET"
    with library.blobs.local_file(key[-64:]) as path:
        assert path.stat().st_size == len(data)
    assert wire.taken() == "1 GET"
    library.blobs.ready()
    assert wire.taken() == "1 DELETE, 1 PUT"


@pytest.mark.parametrize(
    ("size", "count", "coming", "joining"),
    [
        (1000, 1, "1 PUT", "1 DELETE, 2 GET, 2 HEAD, 3 LIST, 1 PUT"),
        (20 * MIB, 2, "2 PUT", "1 BEGIN, 1 DELETE, 1 END, 5 GET, 2 HEAD, 3 LIST, 3 PIECE"),
    ],
)
def test_a_file_in_parts(counted: Counted, size: int, count: int, coming: str, joining: str) -> None:
    """A part is PUT, and read twice to be joined, once where all is small; the file is read once to be looked into."""
    library, actor, wire = counted
    new = NewUpload(kind="asset", file_name="a.bin", file_size=float(size), parts=float(count))
    row = uploads.create(library, actor, new)
    data = os.urandom(size)
    for number in range(count):
        piece = data[number * size // count : (number + 1) * size // count]
        writer = library.parts.begin(row.id, number + 1, len(piece))
        writer.write(piece)
        uploads.add_part(library, actor.project_id, row.id, writer.finish())
    assert wire.taken() == coming
    uploads.complete(library, actor, row.id)
    with library.store.write() as tx:
        job = tx.jobs.claim()
    assert job is not None
    uploads.settle(library, job)
    assert uploads.get(library, actor, row.id).status == "imported"
    assert wire.taken() == joining


def test_looking_after_a_library(counted: Counted) -> None:
    library, actor, wire = counted
    make_assets(library, actor, 3)
    wire.taken()
    assert upkeep.check(library, is_quick=True) == []
    assert wire.taken() == "5 LIST"
    assert upkeep.check(library) == []
    assert wire.taken() == "1 GET, 1 HEAD, 5 LIST"
    assert upkeep.sweep(library) == upkeep.SweepReport()
    assert wire.taken() == "2 LIST"
