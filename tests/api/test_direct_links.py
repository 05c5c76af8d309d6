"""`blob_links = "direct"`: files come from the store itself, and parts go to it, with no key of anybody."""

import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from conftest import make_png
from pictures import picture
from stores import KEY, S3

from api.clients import Sdk, open_http, open_sdk
from api.conftest import Server, StartServer
from api.test_files import SVG
from api.test_sdk_uploads import put, settled, wait_for
from pinakes import ids, upkeep
from pinakes.blob_urls import open_blobs
from pinakes.config import aws_key
from pinakes.objects.presigned import READ_LIFETIME_S

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(start_server: StartServer, s3: S3) -> Server:
    return start_server(blob_url=s3.url(), blob_links="direct")


@pytest.fixture
def anyone() -> Iterator[httpx.Client]:
    """Somebody without credentials, who does not go where they are sent unless told to."""
    with httpx.Client(verify=False, timeout=60) as client:
        yield client


def test_a_link_leads_on_to_the_store(upload: Any, anyone: httpx.Client, s3: S3) -> None:
    data = make_png(20, 20)
    asset = upload(data, '森 a;b"c.png')
    sent = anyone.get(asset["url"])
    assert (sent.status_code, sent.content) == (307, b"")
    assert sent.headers["cache-control"] == "private, max-age=600"
    assert sent.headers["location"].startswith(f"{s3.endpoint}/{s3.bucket}/")
    assert KEY.secret not in unquote(sent.headers["location"])
    found = anyone.get(sent.headers["location"])
    assert (found.status_code, found.content) == (200, data)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["content-disposition"].startswith(
        "inline; filename=\"_ a_b_c.png\"; filename*=UTF-8''%E6%A3%AE"
    )
    assert found.headers["cache-control"] == f"private, max-age={READ_LIFETIME_S}, immutable"
    part = anyone.get(asset["url"], headers={"Range": "bytes=1-3"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, data[1:4])
    assert anyone.get(asset["url"]).headers["location"] == sent.headers["location"]  # so that browsers keep the file


def test_head_and_what_is_known_already(upload: Any, anyone: httpx.Client) -> None:
    data = make_png(21, 20)
    link = upload(data, "a.png")["url"]
    head = anyone.head(link, follow_redirects=True)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(data)), b"")
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    assert anyone.get(link, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("name", "data", "content_type", "how"),
    [
        ("a.png", make_png(), "image/png", "inline"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video/mp4", "inline"),
        ("a.svg", SVG, "image/svg+xml", "attachment"),
        ("a.html", b"<!doctype html><script>1</script>", "application/octet-stream", "attachment"),
        ("a.txt", b"<html><script>1</script>", "text/plain; charset=utf-8", "attachment"),
        ("a.pdf", b"%PDF-1.7\n", "application/pdf", "attachment"),
        ("💚" * 1020 + ".txt", b"x", "text/plain; charset=utf-8", "attachment"),
    ],
)
def test_nothing_runs_in_a_browser(
    upload: Any, anyone: httpx.Client, http: httpx.Client, name: str, data: bytes, content_type: str, how: str
) -> None:
    asset = upload(data, name)
    found = anyone.get(asset["url"], follow_redirects=True)
    assert (found.status_code, found.content) == (200, data)
    assert found.headers["content-type"] == content_type
    assert found.headers["content-disposition"].startswith(f"{how}; filename=")
    saved = anyone.get(http.post(f"/assets/{asset['id']}/download", json={}).json()["url"], follow_redirects=True)
    assert saved.headers["content-disposition"].startswith("attachment; filename=")


def test_without_a_signature_an_object_is_only_saved(upload: Any, s3: S3, server: Server) -> None:
    """What somebody may come upon who makes the bucket public."""
    upload(SVG, "a.svg")
    prefix = unquote(urlsplit(server.config.blob_url).path.strip("/"))
    sha256 = hashlib.sha256(SVG).hexdigest()
    bare = s3.sign("GET", f"{prefix}/blobs/{sha256[:2]}/{sha256[2:4]}/{sha256}")
    found = httpx.get(bare)
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"] == "attachment"
    assert httpx.get(bare.partition("?")[0]).status_code == 403


def test_pictures_converted_files_models_and_archives(
    upload: Any, anyone: httpx.Client, http: httpx.Client, s3: S3
) -> None:
    asset = upload(picture("jpeg"), "a.jpg")
    thumbnail = anyone.get(f"{asset['thumbnail']['url']}&size=256", follow_redirects=True)
    assert (thumbnail.headers["content-type"], thumbnail.url.port) == ("image/webp", s3.port)
    webp = http.post(f"/assets/{asset['id']}/download", json={"targetFormat": "webp"}).json()["url"]
    found = anyone.get(webp, follow_redirects=True)
    assert (found.headers["content-type"], found.url.port) == ("image/webp", s3.port)
    assert found.headers["content-disposition"].startswith('attachment; filename="a.webp"')
    body = {"query": {"assetIds": [asset["id"]]}, "options": {"fileNameTemplate": "<id>"}}
    job = http.post("/assets/download", json=body).json()["jobId"]
    link = http.get(f"/assets/download/{job}").json()["downloadUrl"]
    archive = anyone.get(link)
    assert (archive.status_code, archive.content[:4]) == (200, b"PK\3\4")


def test_only_what_was_signed_is_honoured(upload: Any, anyone: httpx.Client) -> None:
    asset = upload(make_png(22, 20), "a.png")
    link = anyone.get(asset["url"]).headers["location"]
    for wrong in (
        link.replace("image%2Fpng", "text%2Fhtml"),
        link.replace("inline", "attachment"),
        link.replace("X-Amz-Expires=3600", "X-Amz-Expires=9999"),
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.partition("?")[0],
    ):
        assert wrong != link
        assert anyone.get(wrong).status_code == 403
    assert anyone.put(link, content=b"other bytes").status_code == 403
    assert anyone.delete(link).status_code == 403


def test_a_link_of_the_store_ends(
    server: Server, anyone: httpx.Client, monkeypatch: pytest.MonkeyPatch, upload: Any
) -> None:
    asset = upload(make_png(23, 20), "a.png")
    key = urlsplit(anyone.get(asset["url"]).headers["location"]).path.partition("/blobs/")[2]
    direct = open_blobs(server.config.blob_url, is_direct=True, key=aws_key())
    real = ids.now_ms
    for ago_s, status in ((READ_LIFETIME_S - 1000, 200), (READ_LIFETIME_S + 901, 403)):
        monkeypatch.setattr(ids, "now_ms", lambda ago_s=ago_s: real() - ago_s * 1000)
        link = direct.link(f"blobs/{key}", "GET", "image/png", "inline")
        assert link is not None
        assert anyone.get(link).status_code == status


def begin(http: httpx.Client, size: int, parts: int, **more: object) -> dict[str, Any]:
    new = {"fileName": "a.png", "fileSize": size, "kind": "asset", "parts": parts, **more}
    answer = http.post("/uploads", json=new)
    assert answer.status_code == 200, answer.text
    upload: dict[str, Any] = answer.json()["upload"]
    return upload


def complete(http: httpx.Client, id: str) -> httpx.Response:
    return http.post(f"/uploads/{id}/action", json={"action": "complete"})


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_sdk_sends_parts_to_the_store(kind: str, server: Server, s3: S3) -> None:
    data = picture("png")
    with open_sdk(kind, server.url, server.admin) as sdk:
        client: Sdk = sdk
        upload = client.uploads.create(
            file_name="forest.png", file_size=len(data), kind="image", content_type="image/png", parts=2
        ).upload
        pieces = [data[:1000], data[1000:]]
        for part, piece in zip(upload.parts, pieces, strict=True):
            assert urlsplit(part.url).port == s3.port
            assert put(part.url, b"first try", **{"Content-Type": "text/html"}).status_code == 200
            assert put(part.url, piece, **{"Content-Type": "text/html"}).status_code == 200
        again = client.uploads.retrieve(upload.id).upload
        assert [part.size for part in again.parts] == [len(piece) for piece in pieces]
        assert [part.etag for part in again.parts] == [hashlib.md5(piece).hexdigest() for piece in pieces]
        assert client.uploads.trigger_action(upload.id, action="complete").upload.status == "validating"
        done = settled(lambda: client.uploads.retrieve(upload.id).upload)
        assert done.status == "imported"
        asset = client.assets.retrieve(done.entity_id).asset
    found = httpx.get(asset.url, follow_redirects=True)
    assert (found.content, found.headers["content-type"]) == (data, "image/png")
    assert server.keys(f"uploads/{upload.id}") == []


def test_parts_that_are_missing_too_small_or_too_large(http: httpx.Client) -> None:
    data = make_png(30, 30)
    upload = begin(http, len(data), 3)
    first, second, third = (part["url"] for part in upload["parts"])
    put(second, data[10:20])
    assert complete(http, upload["id"]).json()["details"]["missing"] == [1, 3]
    put(first, data[:10] + bytes(100))
    put(third, data[20:])
    answer = complete(http, upload["id"])
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "fileSize")
    put(first, data[:10])
    assert complete(http, upload["id"]).status_code == 200
    assert wait_for(http, upload["id"])["status"] == "imported"


def test_parts_may_come_through_the_server_all_the_same(http: httpx.Client, server: Server) -> None:
    """A link of ours that was made before the setting was changed."""
    data = os.urandom(300)
    upload = begin(http, len(data), 2, fileName="a.bin")
    library = server.library
    try:
        path = f"/uploads/{upload['ownerId']}/{upload['id']}/1"
        ours = library.links.make(server.url, path)
    finally:
        library.close()
    assert put(ours, data[:100]).status_code == 200
    assert put(upload["parts"][1]["url"], data[100:]).status_code == 200
    complete(http, upload["id"])
    done = wait_for(http, upload["id"])
    assert done["status"] == "imported"
    asset = http.get(f"/assets/{done['entityId']}").json()["asset"]
    assert httpx.get(asset["url"], follow_redirects=True).content == data


def test_parts_sent_after_the_end_are_swept(http: httpx.Client, server: Server) -> None:
    data = make_png(31, 30)
    upload = begin(http, len(data), 1)
    url = upload["parts"][0]["url"]
    put(url, data)
    complete(http, upload["id"])
    assert wait_for(http, upload["id"])["status"] == "imported"
    assert put(url, b"too late").status_code == 200  # the store knows nothing of it
    assert server.keys(f"uploads/{upload['id']}") == ["1"]
    library = server.library
    try:
        upkeep.sweep(library)
    finally:
        library.close()
    assert server.keys(f"uploads/{upload['id']}") == []


def test_links_of_parts_are_for_that_part_and_a_while(http: httpx.Client, anyone: httpx.Client) -> None:
    upload = begin(http, 50, 2)
    url = upload["parts"][0]["url"]
    asked = parse_qs(urlsplit(url).query)
    assert asked["X-Amz-Expires"] == ["86400"]
    assert upload["parts"][0]["expires"] > ids.iso(int(time.time() + 80_000) * 1000)
    for wrong in (url.replace("/1?", "/2?"), url.replace("86400", "86401"), url.partition("?")[0]):
        assert put(wrong, b"x").status_code == 403
    assert anyone.get(url).status_code == 403


def test_a_large_file_in_little_memory(start_server: StartServer, s3: S3) -> None:
    """200 MB go to the store in parts, are joined, looked into and come back."""
    server = start_server(blob_url=s3.url(), blob_links="direct")
    block = os.urandom(MIB)
    parts = [[(number * 50 + at).to_bytes(4, "big") + block[4:] for at in range(50)] for number in range(4)]
    before = server.rss_mb()
    with open_http(server.url, server.admin) as http:
        upload = begin(http, 200 * MIB, 4, fileName="large.bin")
        for part, blocks in zip(upload["parts"], parts, strict=True):
            assert httpx.put(part["url"], content=b"".join(blocks), timeout=60).status_code == 200
        complete(http, upload["id"])
        most = before
        while (found := http.get(f"/uploads/{upload['id']}").json()["upload"])["status"] == "validating":
            most = max(most, server.rss_mb())
            time.sleep(0.05)
        assert found["status"] == "imported", found
        asset = http.get(f"/assets/{found['entityId']}").json()["asset"]
    digest = hashlib.sha256()
    with httpx.stream("GET", asset["url"], follow_redirects=True, timeout=60) as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    assert digest.digest() == hashlib.sha256(b"".join(b"".join(blocks) for blocks in parts)).digest()
    assert most < before + 60
