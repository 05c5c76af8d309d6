"""A store that is away: an error that says so, for as long as it is, and nothing else is held up by it."""

import base64
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import make_assets, make_png, new_actor
from stores import KEY, S3

from pinakes.blob_urls import open_blobs
from pinakes.blobs import CHUNK, Blobs, blob_key
from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import open_library

sys.path.append(str(Path(__file__).parents[1] / "resilience"))

from servers import Server, make_place, ok, serving

PATIENCE_S = 40
NEW = {"name": "a.png", "image": base64.b64encode(make_png(9, 9)).decode()}


def unavailable(call: Any) -> str:
    with pytest.raises(PinakesError) as caught:
        call()
    assert caught.value.code == "UNAVAILABLE"
    assert KEY.secret not in caught.value.message
    return caught.value.message


def test_whatever_is_asked_says_that_it_is_away_and_then_not(own_s3: S3) -> None:
    blobs = open_blobs(own_s3.url())
    sha256 = blobs.put(b"bytes")
    own_s3.stop()
    begun = time.monotonic()
    for call in (
        lambda: blobs.put(b"other bytes"),
        lambda: blobs.read(blob_key(sha256)),
        lambda: blobs.info(sha256),
        lambda: blobs.stream(blob_key(sha256), 0, 5),
        lambda: list(blobs.all()),
        lambda: blobs.delete(sha256),
        lambda: blobs.local_file(sha256).__enter__(),
        blobs.ready,
    ):
        assert unavailable(call) == "The blob store does not answer: it cannot be reached, or is too slow."
    assert time.monotonic() - begun < PATIENCE_S
    own_s3.start()
    assert blobs.read(blob_key(sha256)) == b"bytes"
    blobs.ready()


@pytest.fixture
def away(own_s3: S3, tmp_path: Path) -> Iterator[tuple[S3, Server, dict[str, Any]]]:
    """A server with an asset, whose store is stopped."""
    place = make_place(tmp_path)
    with serving(place, blob_url=own_s3.url(), access_log="false") as server, server.client() as client:
        asset = ok(client.post("/assets", json=NEW))["asset"]
        own_s3.stop()
        yield own_s3, server, asset


def test_a_server_answers_503_and_heals_by_itself(away: tuple[S3, Server, dict[str, Any]]) -> None:
    s3, server, asset = away
    new = {"name": "b.png", "image": base64.b64encode(make_png(8, 9)).decode()}
    with server.client() as client:
        for answer in (client.post("/assets", json=new), client.get(asset["url"]), client.get(f"{server.url}/readyz")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["reason"].startswith("The blob store does not answer: ")
        assert client.get(f"{server.url}/healthz").status_code == 200
        assert ok(client.get("/assets"))["assets"][0]["id"] == asset["id"]
        assert ok(client.post("/collections", json={"name": "Rows need no store"}))
        s3.start()
        assert client.get(asset["url"]).content == make_png(9, 9)
        assert ok(client.post("/assets", json=new))
        assert client.get(f"{server.url}/readyz").status_code == 200
    log = server.place.log.read_text()
    assert "unavailable" in log
    assert KEY.secret not in log
    assert "Traceback" not in log


def test_a_server_starts_while_its_store_is_away(own_s3: S3, tmp_path: Path) -> None:
    url = own_s3.url()
    own_s3.stop()
    with serving(make_place(tmp_path), blob_url=url, access_log="false") as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        own_s3.start()
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_store_that_stalls_holds_up_nobody_else(own_s3: S3, tmp_path: Path) -> None:
    """It takes connections and does not answer: forty requests wait for it, and all others do not notice."""
    with serving(make_place(tmp_path), blob_url=own_s3.url(), access_log="false") as server, server.client() as client:
        asset = ok(client.post("/assets", json=NEW))["asset"]
        own_s3.stall()
        threads = [threading.Thread(target=_get, args=(asset["url"],), daemon=True) for _ in range(40)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        slowest = 0.0
        for number in range(20):
            begun = time.monotonic()
            ok(client.post("/collections", json={"name": f"Collection {number}"}))
            ok(client.get("/assets"))
            ok(client.post("/assets/get-bulk", json={"assetIds": [asset["id"]]}))
            assert client.get(f"{server.url}/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        own_s3.go_on()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert slowest < 10  # and not the minute for which a store is waited for
        assert client.get(asset["url"]).content == make_png(9, 9)


def _get(url: str) -> None:
    assert httpx.get(url, timeout=PATIENCE_S).status_code == 200


def test_reading_goes_on_where_a_connection_broke(own_s3: S3) -> None:
    blobs = open_blobs(own_s3.url())
    data = os.urandom(64 << 20)
    chunks = blobs.stream(blob_key(blobs.put(data)), 10, len(data))
    got = [next(chunks)]
    own_s3.stop()
    own_s3.start()
    got.extend(chunks)
    assert b"".join(got) == data[10:]


def test_reading_ends_when_it_stays_away(own_s3: S3) -> None:
    blobs = open_blobs(own_s3.url())
    data = os.urandom(64 << 20)
    chunks = blobs.stream(blob_key(blobs.put(data)), 0, len(data))
    next(chunks)
    own_s3.stop()
    assert "does not answer" in unavailable(lambda: list(chunks))


@pytest.fixture
def blobs(s3: S3) -> Blobs:
    return open_blobs(s3.url())


def test_a_file_larger_than_memory_should_hold(blobs: Blobs) -> None:
    """200 MB through a copy for decoders and a stream, in a process whose memory is looked at."""
    size = 200 << 20
    blobs.write_stream(blob_key("0" * 64), (bytes(CHUNK) for _ in range(size // CHUNK)), size)
    before = _peak_kb()
    with blobs.local_file("0" * 64) as path:
        assert path.stat().st_size == size
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()
    assert sum(map(len, blobs.stream(blob_key("0" * 64), 0, size))) == size
    assert _peak_kb() - before < 50_000


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def test_only_what_is_needed_is_copied(blobs: Blobs) -> None:
    size = 64 << 20
    key = blob_key(sha256 := hashlib.sha256(b"any").hexdigest())
    blobs.write_stream(key, (b"x" * CHUNK for _ in range(size // CHUNK)), size)
    heads: list[bytes] = []

    def needed(head: bytes) -> int:
        heads.append(head)
        return 1 << 20

    with blobs.local_file(sha256, needed) as path:
        found = path.stat()
        assert found.st_size == size
        assert found.st_blocks * 512 < 2 << 20
        with path.open("rb") as file:
            assert file.read(1 << 20) == b"x" * (1 << 20)
    assert [head[:4] for head in heads] == [b"xxxx"]


def test_a_full_folder_for_temporary_files_says_so(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = blobs.put(b"bytes to copy")
    real = shutil.disk_usage

    def full(free: int, total: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=free, total=total))

    full(5, 1 << 40)
    message = unavailable(lambda: blobs.local_file(sha256).__enter__())
    assert message == (
        "A file of 13 bytes waits for room: the folder for temporary files of the server "
        f"({tempfile.gettempdir()}) has 5 left."
    )
    full(5, 10)
    with pytest.raises(PinakesError, match=r"^file: it has 13 bytes, and the folder for temporary files") as caught:
        blobs.local_file(sha256).__enter__()
    assert caught.value.code == "BAD_REQUEST"


def test_two_libraries_in_one_bucket_do_not_meet(s3: S3, tmp_path: Path) -> None:
    configs = [Config(data=str(tmp_path / name), blob_url=s3.url()) for name in ("a", "b")]
    with closing(open_library(configs[0])) as first, closing(open_library(configs[1])) as second:
        make_assets(first, new_actor(first), 1)
        assert list(second.blobs.all()) == []
        make_assets(second, new_actor(second), 1)
        (sha256,) = (info.sha256 for info in first.blobs.all())
        second.blobs.delete(sha256)
        assert first.blobs.info(sha256) is not None
