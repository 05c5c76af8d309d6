"""The bytes of assets behind signed links: whole, in part, with the right words around them, and harmless."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
import pyvips
from conftest import make_png
from pictures import animation, picture

from api.clients import open_http
from api.conftest import PUBLIC_URL, Server
from pinakes import access, assets, ids
from pinakes.asset_types import Bytes
from pinakes.assets import AssetFilter, NewAsset
from pinakes.library import Library

STORES = ["local", "s3"]
Upload = Callable[..., dict[str, Any]]
PNG = base64.b64encode(make_png()).decode()
TEXT = b"0123456789" * 10
DAY_MS = 86_400_000


@pytest.fixture
def anyone(url: str) -> Iterator[httpx.Client]:
    """Somebody without credentials."""
    with open_http(url) as client:
        yield client


@pytest.fixture
def text(upload: Upload) -> str:
    """The link to a hundred bytes of text."""
    link: str = upload(TEXT, "notes.txt")["url"]
    return link


def check_harmless(answer: httpx.Response) -> None:
    """Nothing uploaded can act as a page of ours."""
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy.split(";")[0].split()
    assert "allow-" not in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_whoever_has_the_link_may_read(anyone: httpx.Client, text: str) -> None:
    answer = anyone.get(text)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "100"
    assert answer.headers["accept-ranges"] == "bytes"
    assert "immutable" in answer.headers["cache-control"]
    check_harmless(answer)


def test_head_tells_what_get_would(anyone: httpx.Client, text: str, upload: Upload) -> None:
    for link in (text, upload(bytes(700_000), "zeros.bin")["url"]):
        head, got = anyone.head(link), anyone.get(link)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "content-disposition", "accept-ranges"):
            assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("range", "span"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=95-1000", (95, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=99-99", (99, 100)),
        ("bytes=0-" + "9" * 40, (0, 100)),
        ("bytes=-" + "9" * 40, (0, 100)),
    ],
)
def test_a_range_of_the_bytes(anyone: httpx.Client, text: str, range: str, span: tuple[int, int]) -> None:
    start, end = span
    for method in ("GET", "HEAD"):
        answer = anyone.request(method, text, headers={"Range": range})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.content == (TEXT[start:end] if method == "GET" else b"")


@pytest.mark.parametrize("range", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=" + "9" * 40 + "-"])
def test_a_range_beyond_the_bytes(anyone: httpx.Client, text: str, range: str) -> None:
    answer = anyone.get(text, headers={"Range": range})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100")
    assert answer.json()["code"] == "RANGE_NOT_SATISFIABLE"


LONG = "bytes=0-" + "9" * 5000


@pytest.mark.parametrize(
    "range", ["bytes=0-1,5-6", "bytes=5-1", "bytes=-", "bytes=x", "pages=0-1", "bytes=٣-٤", "", LONG]
)
def test_what_is_no_single_range_gets_everything(anyone: httpx.Client, text: str, range: str) -> None:
    answer = anyone.get(text, headers={b"Range": range.encode()})
    assert (answer.status_code, answer.content) == (200, TEXT)


def test_a_range_only_of_the_same_bytes(anyone: httpx.Client, text: str) -> None:
    etag = anyone.get(text).headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200), ("Fri, 01 Jan 2027 00:00:00 GMT", 200)):
        answer = anyone.get(text, headers={"Range": "bytes=0-1", "If-Range": condition})
        assert answer.status_code == status


def test_what_has_not_changed_is_not_sent_again(anyone: httpx.Client, text: str) -> None:
    etag = anyone.get(text).headers["etag"]
    assert etag == f'"{hashlib.sha256(TEXT).hexdigest()}"'
    for condition in (etag, f'"other", W/{etag}'):
        answer = anyone.get(text, headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        check_harmless(answer)
    assert anyone.get(text, headers={"If-None-Match": '"other"'}).status_code == 200


SCRIPT = b"<script>document.title = 'taken'</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("name", "data", "kind", "mime_type", "how"),
    [
        ("a.png", make_png(), "image", "image/png", "inline"),
        ("a.jpg", picture("jpeg", 20, 10), "image", "image/jpeg", "inline"),
        ("a.svg", SVG, "image", "image/svg+xml", "attachment"),
        ("no ending", SVG, "image", "image/svg+xml", "attachment"),
        ("a.html", b"<!doctype html>" + SCRIPT, "document", "application/octet-stream", "attachment"),
        ("a.xhtml", b"<?xml version='1.0'?><html/>", "document", "application/octet-stream", "attachment"),
        ("a.js", b"alert(1)", "document", "application/octet-stream", "attachment"),
        ("a.txt", b"<html>" + SCRIPT, "text", "text/plain; charset=utf-8", "attachment"),
        ("a.md", b"# Title", "text", "text/markdown; charset=utf-8", "attachment"),
        ("a.json", b'{"a": 1}', "json", "application/json", "attachment"),
        ("a.pdf", b"%PDF-1.7\n", "document", "application/pdf", "attachment"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video", "video/mp4", "inline"),
        ("a.mp3", b"ID3\4" + bytes(20), "audio", "audio/mpeg", "inline"),
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "audio", "audio/wav", "inline"),
        ("a.glb", b"glTF\2\0\0\0\x0c\0\0\0", "3d", "model/gltf-binary", "attachment"),
        ("a.exr", b"\x76\x2f\x31\x01" + bytes(20), "image-hdr", "image/x-exr", "attachment"),
        ("a.swf", b"CWS" + bytes(9), "document", "application/octet-stream", "attachment"),
    ],
)
def test_every_kind_has_its_type_and_none_can_run_script(
    anyone: httpx.Client, upload: Upload, name: str, data: bytes, kind: str, mime_type: str, how: str
) -> None:
    asset = upload(data, name)
    assert (asset["kind"], asset["mimeType"]) == (kind, mime_type.split(";")[0])
    answer = anyone.get(asset["url"])
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == mime_type
    assert answer.headers["content-disposition"].startswith(f"{how}; ")
    check_harmless(answer)


@pytest.mark.parametrize(
    "name",
    [
        'a"b.txt',
        "a\\b.txt",
        "a\r\nSet-Cookie: x=1\r\n\r\n<html>.txt",
        "../../etc/passwd",
        "C:\\Windows\\x.txt",
        "森の💚.txt",
        "a\u202etxt.exe",
        "a;b,c=d%20'e'.txt",
        "..",
        "💚" * 1024,
        "\x7f\x01\x1b[31m",
    ],
)
def test_no_name_gets_out_of_its_header(anyone: httpx.Client, upload: Upload, name: str) -> None:
    answer = anyone.get(upload(TEXT, name)["url"])
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert "set-cookie" not in answer.headers
    value = answer.headers["content-disposition"]
    match = re.fullmatch(r"attachment; filename=\"([A-Za-z0-9._ -]*)\"; filename\*=UTF-8''([A-Za-z0-9._~%-]*)", value)
    assert match is not None
    assert unquote(match[2]) == name[:250]
    assert len(value) < 4000


def test_only_our_own_links_lead_to_bytes(anyone: httpx.Client, upload: Upload) -> None:
    first, second = (upload(TEXT, name)["url"] for name in ("a.txt", "b.txt"))
    parts = urlsplit(first)
    asked = dict(parse_qsl(parts.query))
    base = first.partition("?")[0]
    for wrong in (
        {},
        {"expires": asked["expires"]},
        {"signature": asked["signature"]},
        {**asked, "signature": "0" * 32},
        {**asked, "signature": asked["signature"][:-1]},
        {**asked, "signature": "ü"},
        {**asked, "expires": str(int(asked["expires"]) + 1)},
        {**asked, "expires": "x"},
        {**asked, "expires": "²"},
        {**asked, "expires": "9" * 5000},
    ):
        answer = anyone.get(base, params=wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    swapped = f"{second.partition('?')[0]}?{parts.query}"
    assert anyone.get(swapped).status_code == 403
    assert anyone.get(first.replace("/original?", "/thumbnail?")).status_code == 403
    assert anyone.get(first.replace("/original?", "/original/?")).status_code == 404
    assert anyone.post(first).status_code == 405


@pytest.fixture
def beside(server: Server) -> Iterator[Library]:
    """The library that the server serves, opened by this process as well."""
    library = server.library
    yield library
    library.close()


def test_a_link_ends(
    anyone: httpx.Client, text: str, url: str, beside: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = urlsplit(text).path
    assert anyone.get(beside.links.make(url, path)).content == TEXT
    now = ids.now_ms()
    monkeypatch.setattr(ids, "now_ms", lambda: now - 2 * DAY_MS)
    answer = anyone.get(beside.links.make(url, path))
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_the_trash_has_no_links(anyone: httpx.Client, http: httpx.Client, upload: Upload) -> None:
    asset = upload(make_png(), "a.png")
    links = (asset["url"], asset["thumbnail"]["url"])
    assert [anyone.get(link).status_code for link in links] == [200, 200]
    http.request("DELETE", "/assets", json={"assetIds": [asset["id"]]})
    assert [anyone.get(link).status_code for link in links] == [404, 404]
    http.post("/assets/restore", json={"assetIds": [asset["id"]]})
    assert [anyone.get(link).status_code for link in links] == [200, 200]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "gif", "avif", "tiff"])
def test_thumbnails_in_three_sizes(anyone: httpx.Client, upload: Upload, format: str) -> None:
    link = upload(picture(format, 1200, 600), f"a.{format}")["thumbnail"]["url"]
    seen = set()
    for size, query in ((512, ""), (256, "&size=256"), (512, "&size=512"), (1024, "&size=1024")):
        answer = anyone.get(link + query)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
        check_harmless(answer)
        image = pyvips.Image.webpload_buffer(answer.content)
        assert (image.width, image.height) == (size, size // 2)
        assert 0 < image.avg() < 255
        assert anyone.get(link + query, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        seen.add(answer.headers["etag"])
    assert len(seen) == 3
    for wrong in ("100", "0", "x", "%C2%B2", "-256", "1" * 5000, "256.0"):
        assert anyone.get(f"{link}&size={wrong}").status_code == 404


def test_small_images_are_not_enlarged_and_animations_stand_still(anyone: httpx.Client, upload: Upload) -> None:
    asset = upload(animation("gif"), "a.gif")
    assert (asset["properties"]["nbFrames"], asset["properties"]["width"]) == (6, 80)
    for size in (256, 512, 1024):
        image = pyvips.Image.webpload_buffer(anyone.get(f"{asset['thumbnail']['url']}&size={size}").content, n=-1)
        assert (image.width, image.height) == (80, 60)


def test_links_begin_where_clients_are(server: Server, tuned: Server, upload: Upload, anyone: httpx.Client) -> None:
    assert upload(TEXT, "a.txt")["url"].startswith(f"{server.url}/files/")
    with open_http(tuned.url, tuned.admin) as http:
        body = {"name": "a.png", "image": f"data:image/png;base64,{PNG}"}
        asset = http.post("/assets", json=body).json()["asset"]
    for link in (asset["url"], asset["thumbnail"]["url"]):
        assert link.startswith(f"{PUBLIC_URL}/files/")
        assert anyone.get(link.replace(PUBLIC_URL, tuned.url)).status_code == 200


def test_a_large_file_streams_in_little_memory(fresh: Server, anyone: httpx.Client) -> None:
    """The file comes in beside the server, so that what it costs to send is not hidden by what it cost to take."""
    server = fresh
    size = 60 << 20
    data = b"".join(hashlib.sha256(str(i).encode()).digest() * 2048 for i in range(size // 65536))
    link = server.url + _ingest(server, data)
    expected = hashlib.sha256(data).hexdigest()
    assert anyone.get(link, headers={"Range": "bytes=0-9"}).content == data[:10]
    before, most, slowest = server.rss_mb(), 0.0, 0.0

    def read() -> str:
        nonlocal most, slowest
        digest = hashlib.sha256()
        with anyone.stream("GET", link) as answer:
            for i, chunk in enumerate(answer.iter_bytes(1 << 20)):
                digest.update(chunk)
                if i % 10 == 0:
                    slowest = max(slowest, anyone.get(f"{server.url}/healthz").elapsed.total_seconds())
                    most = max(most, server.rss_mb())
        return digest.hexdigest()

    with ThreadPoolExecutor(4) as threads:
        assert [future.result() for future in [threads.submit(read) for _ in range(4)]] == [expected] * 4
    assert most < before + 30
    assert slowest < 1
    part = anyone.get(link, headers={"Range": f"bytes={size - 5_000_000}-"})
    assert (part.status_code, part.content == data[-5_000_000:]) == (206, True)


def _ingest(server: Server, data: bytes) -> str:
    """The path and query of the link to a new asset with these bytes."""
    library = server.library
    try:
        actor = access.authenticate(library, server.admin.id, access.hash_secret(server.admin.secret), None)
        stored = Bytes(library.blobs.put(data), len(data), "video", "video/mp4", None, None, None, 1)
        assert assets.get_page(library, actor, AssetFilter()).items == []
        return assets.create(library, actor, NewAsset("long.mp4", ""), stored).url
    finally:
        library.close()
