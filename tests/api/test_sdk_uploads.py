"""Files in parts, through the official SDK and plain HTTP, as a plugin would send them."""

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from conftest import make_png
from pictures import picture

from api.clients import Key, Sdk, open_http
from api.conftest import Server, StartServer

STORES = ["local", "s3"]
Begin = Callable[..., dict[str, Any]]


def settled(ask: Callable[[], Any], limit_s: float = 30) -> Any:
    """The upload, once its status has come to an end."""
    ends = time.monotonic() + limit_s
    while (upload := ask()).status not in ("imported", "failed"):
        assert time.monotonic() < ends, upload
        time.sleep(0.02)
    return upload


@pytest.fixture
def begin(http: httpx.Client) -> Begin:
    """Begins an upload of bytes in some parts."""

    def begin(data: bytes, parts: int = 1, **more: object) -> dict[str, Any]:
        new = {"fileName": "a.png", "fileSize": len(data), "kind": "asset", "parts": parts, **more}
        answer = http.post("/uploads", json=new)
        assert answer.status_code == 200, answer.text
        upload: dict[str, Any] = answer.json()["upload"]
        return upload

    return begin


def put(url: str, data: bytes, **headers: str) -> httpx.Response:
    """Sends a part without credentials."""
    return httpx.put(url, content=data, headers=headers, verify=False)


def finish(http: httpx.Client, id: str) -> dict[str, Any]:
    """Completes an upload, and waits for its end."""
    answer = http.post(f"/uploads/{id}/action", json={"action": "complete"})
    assert answer.status_code == 200, answer.text
    return wait_for(http, id)


def wait_for(http: httpx.Client, id: str) -> dict[str, Any]:
    ends = time.monotonic() + 30
    while (upload := http.get(f"/uploads/{id}").json()["upload"])["status"] == "validating":
        assert time.monotonic() < ends, upload
        time.sleep(0.02)
    found: dict[str, Any] = upload
    return found


@pytest.mark.calls("uploads.create", "uploads.retrieve", "uploads.trigger_action")
def test_a_file_in_parts_becomes_an_asset(sdk: Sdk) -> None:
    data = picture("png")
    collection = sdk.collections.create(name="Renders").collection
    upload = sdk.uploads.create(
        file_name="forest.png",
        file_size=len(data),
        kind="image",
        content_type="image/png",
        parts=3,
        asset_options={"collection_ids": [collection.id], "hide": True},
    ).upload
    assert (upload.status, upload.source, upload.parts_count, len(upload.parts)) == ("pending", "multipart", 3, 3)
    third = len(data) // 3
    pieces = [data[:third], data[third : 2 * third], data[2 * third :]]
    for part in reversed(upload.parts):
        assert put(part.url, b"first try").status_code == 200
        assert put(part.url, pieces[int(part.number) - 1]).status_code == 200
    again = sdk.uploads.retrieve(upload.id).upload
    assert [part.size for part in again.parts] == [len(piece) for piece in pieces]
    assert [part.sha256 for part in again.parts] == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    assert sdk.uploads.trigger_action(upload.id, action="complete").upload.status == "validating"
    done = settled(lambda: sdk.uploads.retrieve(upload.id).upload)
    assert (done.status, done.parts, done.error_message) == ("imported", None, None)
    asset = sdk.assets.retrieve(done.entity_id).asset
    assert (asset.name, asset.kind, asset.status, asset.is_hidden) == ("forest.png", "image", "success", True)
    assert (asset.collection_ids, asset.properties.width) == ([collection.id], 320)
    assert sdk.collections.retrieve(collection.id).collection.asset_count == 1
    assert sdk.uploads.trigger_action(upload.id, action="complete").upload.entity_id == asset.id  # it may be repeated
    assert httpx.get(asset.url, verify=False).content == data
    assert httpx.get(asset.thumbnail.url, verify=False).headers["content-type"] == "image/webp"


def test_nothing_is_left_of_parts(http: httpx.Client, begin: Begin, server: Server) -> None:
    data = make_png(30, 30)
    for parts in (1, 2):
        upload = begin(data, parts)
        for part in upload["parts"]:
            at = (part["number"] - 1) * 40
            put(part["url"], data[at : at + 40] if part["number"] < parts else data[at:])
        assert finish(http, upload["id"])["status"] == "imported"
        assert server.keys(f"uploads/{upload['id']}") == []


def test_parts_must_all_be_there_and_add_up(http: httpx.Client, begin: Begin) -> None:
    data = make_png(20, 20)
    upload = begin(data, 3)
    put(upload["parts"][1]["url"], data[10:20])
    answer = http.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
    assert (answer.status_code, answer.json()["details"]["missing"]) == (400, [1, 3])
    assert "these are not there yet: 1, 3" in answer.json()["reason"]
    put(upload["parts"][0]["url"], data[:10])
    put(upload["parts"][2]["url"], data[20:-1])
    answer = http.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "fileSize")
    put(upload["parts"][2]["url"], data[20:])  # nothing was lost: only what was wrong is sent again
    assert finish(http, upload["id"])["status"] == "imported"


def test_a_part_beyond_the_file_is_refused(begin: Begin) -> None:
    upload = begin(bytes(100), 2)
    first, second = (part["url"] for part in upload["parts"])
    assert put(first, bytes(101)).status_code == 413
    assert put(first, bytes(60)).status_code == 200
    answer = put(second, bytes(41))
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "part")
    assert put(second, b"").status_code == 400
    assert put(second, bytes(40)).status_code == 200


@pytest.mark.parametrize("name", ["Content-MD5", "x-amz-checksum-sha256"])
def test_a_part_is_compared_with_its_hash(begin: Begin, name: str) -> None:
    data = b"some bytes of a text"
    algorithm = "md5" if name == "Content-MD5" else "sha256"
    good, bad = (base64.b64encode(hashlib.new(algorithm, text).digest()).decode() for text in (data, b"others"))
    url = begin(data)["parts"][0]["url"]
    for value in (bad, "no base64!"):
        answer = put(url, data, **{name: value})
        assert (answer.status_code, answer.json()["details"]["field"]) == (400, name)
    assert put(url, data, **{name: good}).headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'


def test_the_whole_is_compared_with_its_hash(http: httpx.Client, begin: Begin) -> None:
    data = make_png()
    for sha256, status in (("0" * 64, "failed"), (hashlib.sha256(data).hexdigest(), "imported")):
        upload = begin(data, sha256=sha256)
        put(upload["parts"][0]["url"], data)
        done = finish(http, upload["id"])
        assert done["status"] == status
    assert "sha256" not in done.get("errorMessage", "")


def test_what_is_no_file_of_its_kind_fails_and_says_why(http: httpx.Client, begin: Begin, server: Server) -> None:
    for data, name, kind, reason in (
        (make_png()[:-20], "a.png", "image", "the PNG is damaged or truncated."),
        (picture("jpeg"), "a.png", "image", "the name says PNG but the bytes are JPEG"),
        (make_png(), "a.png", "video", "the file is image/png, which is no video"),
    ):
        upload = begin(data, fileName=name, kind=kind)
        put(upload["parts"][0]["url"], data)
        done = finish(http, upload["id"])
        assert done["status"] == "failed"
        assert reason in done["errorMessage"]
        assert server.keys(f"uploads/{upload['id']}") == []
        assert put(upload["parts"][0]["url"], data).status_code == 400
    assert http.get("/assets").json()["assets"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fileSize": 0}, "fileSize"),
        ({"fileSize": 10.5}, "fileSize"),
        ({"fileSize": None}, "fileSize"),
        ({"fileName": " "}, "fileName"),
        ({"fileName": "a\0b.png"}, "fileName"),
        ({"fileName": "a" * 4096}, "fileName"),
        ({"parts": 0}, "parts"),
        ({"parts": 10_001}, "parts"),
        ({"parts": 11}, "parts"),
        ({"kind": "folder"}, "kind"),
        ({"sha256": "abc"}, "sha256"),
        ({"url": "https://example.com/a.png"}, "parts"),
        ({"civitaiModelUrl": "https://civitai.com/models/1"}, "civitaiModelUrl"),
        ({"huggingFaceModelName": "black-forest-labs/FLUX.1-dev"}, "huggingFaceModelName"),
        ({"kind": "model", "assetOptions": {"hide": True}}, "assetOptions"),
    ],
)
def test_what_cannot_be_an_upload_names_the_field(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    new = {"fileName": "a.png", "fileSize": 10, "kind": "asset", "parts": 1} | change
    answer = http.post("/uploads", json=new)
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, field)


def test_a_file_too_large_is_refused_before_it_is_sent(http: httpx.Client, server: Server) -> None:
    new = {"fileName": "a.png", "kind": "asset", "parts": 1}
    assert http.post("/uploads", json=new | {"fileSize": 1e15}).status_code == 413
    answer = http.post("/uploads", json=new | {"fileSize": 107_374_182_400})
    if server.config.blob_url:  # nobody knows how much room a bucket has
        assert answer.status_code == 200
        return
    assert answer.status_code == 503  # there is hardly a disk that has as much to spare
    assert "the disk of the server has" in answer.json()["reason"]


def test_unknown_collections_and_parents_are_named(http: httpx.Client) -> None:
    new = {"fileName": "a.png", "fileSize": 10, "kind": "asset", "parts": 1}
    for options, missing in (({"collectionIds": ["col_none"]}, "col_none"), ({"parentId": "asset_none"}, "asset_none")):
        answer = http.post("/uploads", json=new | {"assetOptions": options})
        assert (answer.status_code, answer.json()["details"]["missing"]) == (404, [missing])


def test_links_of_parts_are_for_that_part_alone(begin: Begin, http: httpx.Client, server: Server) -> None:
    upload = begin(bytes(50), 2)
    url = upload["parts"][0]["url"]
    for wrong in (url.replace("/1?", "/2?"), url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0]):
        assert put(wrong, b"x").status_code == 403
    assert httpx.get(url, verify=False).status_code == 405
    assert httpx.options(url, verify=False).headers["allow"] == "PUT, OPTIONS"
    assert httpx.put(f"{server.url}/uploads/x", verify=False).status_code == 404
    assert http.get(f"/uploads/{upload['id']}").json()["upload"]["parts"][0].get("size") is None


def test_uploads_of_others_do_not_exist(begin: Begin, new_key: Callable[..., Key], url: str) -> None:
    upload = begin(bytes(50))
    with open_http(url, new_key()) as stranger:
        assert stranger.get(f"/uploads/{upload['id']}").status_code == 404
        assert stranger.post(f"/uploads/{upload['id']}/action", json={"action": "complete"}).status_code == 404


def test_what_was_deleted_meanwhile_is_as_if_deleted_after(http: httpx.Client, begin: Begin) -> None:
    data = make_png()
    collection = http.post("/collections", json={"name": "Gone"}).json()["collection"]["id"]
    kept = http.post("/collections", json={"name": "Kept"}).json()["collection"]["id"]
    upload = begin(data, assetOptions={"collectionIds": [collection, kept]})
    put(upload["parts"][0]["url"], data)
    http.delete(f"/collections/{collection}")
    done = finish(http, upload["id"])
    assert http.get(f"/assets/{done['entityId']}").json()["asset"]["collectionIds"] == [kept]


@pytest.fixture(scope="module")
def fetching(start_server: StartServer) -> Server:
    """A server that may fetch from this machine."""
    return start_server(fetch_private_hosts="127.0.0.1")


@pytest.fixture
def fetcher(fetching: Server) -> Iterator[httpx.Client]:
    with open_http(fetching.url, fetching.admin) as client:
        yield client


def test_a_file_is_fetched_from_its_url(fetcher: httpx.Client, server: Server, key: Key) -> None:
    with open_http(server.url, key) as source:
        body = {"name": "moss.png", "image": base64.b64encode(make_png(7, 5)).decode()}
        url = source.post("/assets", json=body).json()["asset"]["url"]
    answer = fetcher.post("/uploads", json={"url": url, "kind": "image"})
    assert answer.status_code == 200, answer.text
    done = wait_for(fetcher, answer.json()["upload"]["id"])
    assert (done["status"], done["source"], done["fileName"]) == ("imported", "url", "moss.png")
    asset = fetcher.get(f"/assets/{done['entityId']}").json()["asset"]
    assert (asset["name"], asset["properties"]["width"]) == ("moss.png", 7)


def test_a_private_address_is_not_fetched(http: httpx.Client, server: Server) -> None:
    for url in (server.url, "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://localhost/"):
        answer = http.post("/uploads", json={"url": url, "kind": "image"})
        done = wait_for(http, answer.json()["upload"]["id"])
        assert done["status"] == "failed"
        assert done["errorMessage"].startswith("url: ")


def test_other_media_are_pending_until_they_were_looked_into(http: httpx.Client) -> None:
    """What POST /assets takes at once, and the worker looks into afterwards."""
    body = {"name": "notes.txt", "image": base64.b64encode(b"Moss grows on stones.").decode()}
    asset = http.post("/assets", json=body).json()["asset"]
    assert asset["status"] == "pending"
    ends = time.monotonic() + 30
    while asset["status"] == "pending":
        assert time.monotonic() < ends
        asset = http.get(f"/assets/{asset['id']}").json()["asset"]
    assert (asset["status"], asset["properties"]["preview"]) == ("success", "Moss grows on stones.")


def test_damaged_media_end_in_an_error_that_says_so(http: httpx.Client) -> None:
    body = {"name": "film.mp4", "image": base64.b64encode(b"\0\0\0\x18ftypisom\0\0\0\0iso2mp41" + bytes(40)).decode()}
    asset = http.post("/assets", json=body).json()["asset"]
    ends = time.monotonic() + 30
    while asset["status"] == "pending":
        assert time.monotonic() < ends
        asset = http.get(f"/assets/{asset['id']}").json()["asset"]
    assert asset["status"] == "error"
    assert "the MP4 is damaged or truncated" in asset["errorMessage"]


def test_a_part_that_is_replaced_or_refused_is_no_part(http: httpx.Client, begin: Begin, server: Server) -> None:
    upload = begin(bytes(10), 2)
    first, second = (part["url"] for part in upload["parts"])
    assert [put(first, bytes([n]) * 5).status_code for n in range(3)] == [200, 200, 200]
    assert put(second, bytes(6)).status_code == 400
    (sent, _) = http.get(f"/uploads/{upload['id']}").json()["upload"]["parts"]
    assert sent["sha256"] == hashlib.sha256(bytes([2]) * 5).hexdigest()
    if server.config.blob_url:  # under the number lies what came last, and what is too much shows at the end
        assert server.keys(f"uploads/{upload['id']}") == ["1", "2"]
        answer = http.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
        assert (answer.status_code, answer.json()["details"]["field"]) == (400, "fileSize")
    else:
        assert server.keys(f"uploads/{upload['id']}") == [f"1-{sent['sha256']}"]


def test_slow_parts_of_one_project_keep_no_other_waiting(begin: Begin, new_key: Callable[..., Key], url: str) -> None:
    upload, host = begin(bytes(64), 64), httpx.URL(url)
    with ExitStack() as connections:
        for part in upload["parts"]:
            slow = connections.enter_context(socket.create_connection((host.host, host.port or 80)))
            path = httpx.URL(part["url"]).raw_path
            slow.sendall(b"PUT %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx" % path)
        time.sleep(0.5)
        with open_http(url, new_key()) as other:
            new = {"fileName": "a.bin", "fileSize": 5, "kind": "asset", "parts": 1}
            link = other.post("/uploads", json=new).json()["upload"]["parts"][0]["url"]
            assert put(link, b"moss!").status_code == 200
