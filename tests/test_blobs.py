"""Bytes by sha256: stored once, durable, never outside their folder."""

import hashlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from stores import S3

from pinakes import ids
from pinakes.blob_urls import open_blobs
from pinakes.blobs import CHUNK, REFRESH_AFTER_MS, Blobs, blob_key, thumbnail_key
from pinakes.errors import PinakesError

DATA = b"a small picture"
SHA256 = hashlib.sha256(DATA).hexdigest()
ABSENT = "0" * 64


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "blobs" in metafunc.fixturenames:
        given = ["given"] if metafunc.config.getoption("--blob-url") else []
        metafunc.parametrize("blobs", ["file", "memory", "s3", *given], indirect=True)


@pytest.fixture
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """On each kind of store, and on one that `--blob-url` names."""
    if request.param == "s3":
        server: S3 = request.getfixturevalue("s3")
        return open_blobs(server.url())
    if request.param == "given":
        given = urlsplit(request.config.getoption("--blob-url"))
        return open_blobs(given._replace(path=f"{given.path}/{secrets.token_hex(8)}").geturl())
    return open_blobs("memory://" if request.param == "memory" else f"file://{tmp_path}/a%20folder/blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def local(folder: Path) -> Blobs:
    return open_blobs(f"file://{folder}")


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(PinakesError) as caught:
        call()
    return caught.value.code


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_put_and_read(blobs: Blobs) -> None:
    assert blobs.put(DATA) == SHA256
    assert blobs.put(DATA) == SHA256
    key = blob_key(SHA256)
    assert key == f"blobs/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"
    assert (blobs.read(key), blobs.size(key), blobs.verify(SHA256)) == (DATA, len(DATA), True)
    (info,) = blobs.all()
    assert (info.sha256, info.size) == (SHA256, len(DATA))
    assert abs(info.modified_at_ms - ids.now_ms()) < 60_000


def test_no_bytes_are_bytes_too(blobs: Blobs) -> None:
    key = blob_key(blobs.put(b""))
    assert (blobs.read(key), blobs.size(key), list(blobs.stream(key, 0, 10))) == (b"", 0, [])


def test_missing(blobs: Blobs) -> None:
    key = blob_key(ABSENT)
    assert blobs.size(key) is None
    assert code_of(lambda: blobs.read(key)) == "NOT_FOUND"
    assert code_of(lambda: blobs.stream(key, 0, 1)) == "NOT_FOUND"
    assert code_of(lambda: blobs.verify(ABSENT)) == "NOT_FOUND"
    blobs.delete(ABSENT)
    assert list(blobs.all()) == []


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, CHUNK), (CHUNK - 1, CHUNK + 1), (5, 5), (9, 3), (3 * CHUNK, 9**12), (9**9, 9**12)]
)
def test_stream_of_a_range(blobs: Blobs, start: int, end: int) -> None:
    data = os.urandom(3 * CHUNK + 17)
    key = blob_key(blobs.put(data))
    chunks = list(blobs.stream(key, start, end))
    assert b"".join(chunks) == data[start:end]
    assert all(len(chunk) <= CHUNK for chunk in chunks)


def test_delete_takes_the_thumbnails_too(blobs: Blobs) -> None:
    other = blobs.put(b"other")
    for sha256 in (blobs.put(DATA), other):
        for size in (256, 512):
            blobs.put_pictures(sha256, {size: b"webp%d" % size}, None)
    assert blobs.read(thumbnail_key(SHA256, 256)) == b"webp256"
    blobs.delete(SHA256)
    assert [blobs.size(key) for key in (blob_key(SHA256), thumbnail_key(SHA256, 256), thumbnail_key(SHA256, 512))] == [
        None,
        None,
        None,
    ]
    assert [info.sha256 for info in blobs.all()] == [other]
    assert blobs.read(thumbnail_key(other, 512)) == b"webp512"


def test_all_lists_more_than_one_page(blobs: Blobs) -> None:
    put = {blobs.put(b"%d" % number) for number in range(1200)}
    assert {info.sha256 for info in blobs.all()} == put


def test_verify_finds_changed_bytes(blobs: Blobs) -> None:
    blobs.write(blob_key(SHA256), b"other bytes")
    assert blobs.verify(SHA256) is False


@pytest.mark.parametrize(
    "sha256",
    [
        "",
        "ab",
        "../" * 20 + "etc/passwd",
        "A" * 64,
        "a" * 65,
        "a" * 63 + "\n",
        "a" * 64 + "\n",
        "/" * 64,
        "\uff41" * 64,
    ],
)
def test_hostile_sha256(blobs: Blobs, sha256: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blob_key(sha256),
        lambda: thumbnail_key(sha256, 256),
        lambda: blobs.put_pictures(sha256, {256: b""}, None),
        lambda: blobs.delete(sha256),
        lambda: blobs.verify(sha256),
    ]
    assert [code_of(call) for call in calls] == ["BAD_REQUEST"] * 5


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        f"blobs/../../{SHA256}",
        f"blobs/xx/yy/{SHA256}",
        f"{blob_key(SHA256)}\n",
        f"{blob_key(SHA256)}-256.webp",
        thumbnail_key(SHA256, 256).removesuffix("-256.webp"),
        thumbnail_key(SHA256, 256) + "/..",
    ],
)
def test_hostile_keys(blobs: Blobs, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blobs.size(key),
        lambda: blobs.read(key),
        lambda: blobs.stream(key, 0, 1),
        lambda: blobs.write(key, b""),
    ]
    assert [code_of(call) for call in calls] == ["BAD_REQUEST"] * 4


def test_the_same_bytes_from_many_threads(blobs: Blobs) -> None:
    datas = [b"%d" % (number % 7) * 100_000 for number in range(70)]
    with ThreadPoolExecutor(16) as pool:
        sha256s = list(pool.map(blobs.put, datas))
    assert sha256s == [hashlib.sha256(data).hexdigest() for data in datas]
    assert sorted(info.sha256 for info in blobs.all()) == sorted(set(sha256s))
    assert all(blobs.verify(sha256) for sha256 in set(sha256s))


def test_a_young_blob_is_kept_and_an_old_one_written_anew(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs.put(DATA)
    key, changed = blob_key(SHA256), DATA[::-1]
    blobs.write(key, changed)  # same length, so that only writing anew brings the right bytes back
    now = ids.now_ms()
    monkeypatch.setattr(ids, "now_ms", lambda: now + REFRESH_AFTER_MS - 60_000)
    blobs.put(DATA)
    assert blobs.read(key) == changed
    monkeypatch.setattr(ids, "now_ms", lambda: now + REFRESH_AFTER_MS + 60_000)
    blobs.put(DATA)
    assert blobs.read(key) == DATA


def test_writing_anew_refreshes_the_time(local: Blobs, folder: Path) -> None:
    path = folder / blob_key(local.put(DATA))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert [info.modified_at_ms for info in local.all()] == [1_600_000_000_000]
    local.put(DATA)
    assert path.stat().st_mtime > 1_700_000_000


@pytest.mark.parametrize("length", [0, 1, len(DATA) - 1])
def test_a_file_cut_short_is_written_anew(local: Blobs, folder: Path, length: int) -> None:
    path = folder / blob_key(local.put(DATA))
    path.write_bytes(DATA[:length])
    local.put(DATA)
    assert path.read_bytes() == DATA


def test_files_are_where_they_belong_and_nothing_else_is(local: Blobs, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        sha256s = set(pool.map(local.put, [b"%d" % (number % 20) for number in range(200)]))
    local.put_pictures(min(sha256s), {256: b"webp"}, None)
    local.ready()
    assert files(folder) == sorted([*map(blob_key, sha256s), thumbnail_key(min(sha256s), 256)])


def test_every_new_name_is_synced(local: Blobs, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def recording(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink())
        fsync(file)

    monkeypatch.setattr(os, "fsync", recording)
    path = folder / blob_key(local.put(DATA))
    assert set(synced) == {path, *path.parents[:4]}
    synced.clear()
    local.put(DATA)
    assert synced == [path, path.parent]


def test_strange_files_in_the_folder_are_not_listed(local: Blobs, folder: Path) -> None:
    path = folder / blob_key(local.put(DATA))
    (path.parent / "notes.txt").write_text("mine")
    path.with_name("f" * 64).write_text("in the folder of another hash")
    assert [info.sha256 for info in local.all()] == [SHA256]


def test_what_a_killed_process_left_is_found(local: Blobs, folder: Path) -> None:
    """A real one, killed while it writes."""
    key = blob_key(ABSENT)
    script = (
        "from obstore.store import LocalStore; import sys;"
        "LocalStore(prefix=sys.argv[1]).put(sys.argv[2], bytes(1 << 30), use_multipart=False)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(folder), key]) as writer:
        ends = time.monotonic() + 20
        while not any(local.unfinished()):
            assert time.monotonic() < ends
            time.sleep(0.001)
        writer.kill()
    local.put(DATA)
    (folder / "ready-1-2#1").write_text("")
    (folder / "notes#1").write_text("mine")
    found = {file.path: file for files in local.unfinished() for file in files}
    assert set(found) == {f"{key}#1", "ready-1-2#1"}
    assert (folder / f"{key}#1").stat().st_size == found[f"{key}#1"].size
    for file in found.values():
        local.delete_unfinished(file)
        local.delete_unfinished(file)
    assert not any(local.unfinished())
    assert files(folder) == sorted([blob_key(SHA256), "notes#1"])


def test_all_thumbnails(blobs: Blobs) -> None:
    for size in (256, 512):
        blobs.put_pictures(blobs.put(DATA), {size: b"webp"}, None)
    found = {key: (info.sha256, info.size) for key, info in blobs.thumbnails()}
    assert found == {thumbnail_key(SHA256, size): (SHA256, 4) for size in (256, 512)}
    assert not any(blobs.unfinished())


@pytest.fixture
def blocked(local: Blobs, folder: Path) -> Blobs:
    """A store whose `blobs` is a file, so that nothing can be written below it, by root either."""
    (folder / "blobs").write_text("")
    return local


def test_ready(blobs: Blobs) -> None:
    blobs.ready()
    assert list(blobs.all()) == []


def test_not_ready_without_its_folder(local: Blobs, folder: Path) -> None:
    folder.rmdir()
    assert code_of(local.ready) == "UNAVAILABLE"
    assert not folder.exists()


def test_a_folder_that_cannot_be_written(blocked: Blobs) -> None:
    assert code_of(lambda: blocked.put(DATA)) == "UNAVAILABLE"


def test_a_full_disk_says_so(local: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(PinakesError, match="disk is full: free space") as caught:
        local.put(DATA)
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("url", ["http://localhost", "ftp://bucket", "folder", "file://host/folder", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(PinakesError, match=r"file:///absolute/folder") as caught:
        open_blobs(url)
    assert caught.value.code == "BAD_REQUEST"
    assert url.partition("://")[0] in caught.value.message or url == "folder"
