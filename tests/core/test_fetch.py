"""Fetching by URL: real servers, real redirects, and every way to make it ask where it must not."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fetch_server
import pytest
from fetch_server import WebServer, answer, redirect
from hypothesis import given
from hypothesis import strategies as st

from pinakes import fetch as fetching
from pinakes.errors import PinakesError
from pinakes.fetch import Fetched, fetch

LOCAL = ("127.0.0.1",)
NAMES: dict[str, list[str]] = {}
"""What made-up host names resolve to, one address after the other; the last for good."""
LOOKED_UP: list[str] = []


@pytest.fixture(autouse=True)
def _resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver, which knows the names of this module and no other but addresses and localhost."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        LOOKED_UP.append(host)
        if host in NAMES:
            found = NAMES[host].pop(0) if len(NAMES[host]) > 1 else NAMES[host][0]
            return [entry for address in found.split() for entry in real(address, *args, **kwargs)]
        if host.endswith((".example", ".com", ".internal")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    NAMES.clear()
    LOOKED_UP.clear()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with fetch_server.serving() as server:
        yield server


def get(url: str, **options: Any) -> tuple[bytes, Fetched]:
    """The bytes and facts of a URL, local ones allowed unless said otherwise."""
    body = bytearray()
    limits: dict[str, Any] = {"max_bytes": 1_000_000, "time_limit_s": 10, "private_hosts": LOCAL} | options
    fetched = fetch(url, body.extend, **limits)
    return bytes(body), fetched


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(PinakesError) as caught:
        get(url, **options)
    assert caught.value.code == "BAD_REQUEST"
    assert caught.value.details["field"] == "url"
    return caught.value.message


def test_a_file(web: WebServer) -> None:
    data = bytes(range(256)) * 2000
    web.answers["/dir/a%20b.png?x=1"] = answer(data, "Content-Type: Image/PNG; charset=x")
    body, fetched = get(web.url("/dir/a b.png?x=1#part"))
    assert body == data
    assert fetched == Fetched("a b.png", "image/png", len(data), web.url("/dir/a%20b.png?x=1"))
    head = web.asked[0].decode().lower()
    assert f"host: 127.0.0.1:{web.port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    assert "authorization" not in head


def test_the_sink_gets_pieces_and_may_end_it(web: WebServer) -> None:
    web.answers["/"] = answer(bytes(1_000_000))
    sizes: list[int] = []
    fetch(web.url(), lambda piece: sizes.append(len(piece)), max_bytes=1_000_000, time_limit_s=10, private_hosts=LOCAL)
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 65536

    def full(_: bytes) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        fetch(web.url(), full, max_bytes=1_000_000, time_limit_s=10, private_hosts=LOCAL)


def test_chunked_and_unbounded_answers(web: WebServer) -> None:
    web.answers["/chunked"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    web.answers["/till-the-end"] = b"HTTP/1.0 200 OK\r\n\r\nabcde"
    assert [get(web.url(path))[0] for path in web.answers] == [b"abcde", b"abcde"]


@pytest.mark.parametrize("status", ["301 M", "302 M", "303 M", "307 M", "308 M"])
def test_redirects_are_followed(web: WebServer, status: str) -> None:
    web.answers |= {"/a": redirect("b", status), "/b": redirect("//127.0.0.1:%d/c?d" % web.port, status)}  # noqa: UP031
    web.answers["/c?d"] = answer(b"found")
    assert get(web.url("/a")) == (b"found", Fetched("c", "application/octet-stream", 5, web.url("/c?d")))


def test_five_redirects_and_no_more(web: WebServer) -> None:
    web.answers |= {f"/{n}": redirect(f"/{n - 1}") for n in range(1, 7)} | {"/0": answer(b"found")}
    assert get(web.url("/5"))[0] == b"found"
    assert refusal(web.url("/6")) == "url: it redirects more than 5 times; give the link it ends at"
    web.answers["/loop"] = redirect("/loop")
    assert "more than 5" in refusal(web.url("/loop"))


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://127.0.0.2:{port}/", "127.0.0.2 has no public address"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 has no public address"),
        ("http://[::1]:{port}/", "::1 has no public address"),
        ("http://2130706434:{port}/", "2130706434 has no public address"),
        ("http://rebound.test:{port}/", "rebound.test has no public address"),
        ("file:///etc/passwd", "must begin with https:// or http://"),
        ("gopher://127.0.0.1/", "must begin with https:// or http://"),
        ("http://127.0.0.1:22/", "the port must be 80, 443, or 1024 and more, got 22"),
        ("http://me:secret@127.0.0.1:{port}/", "must not hold a user name or password"),
        ("http://[", "must begin with https:// or http:// and a host"),
        ("http://a:b:c/", "127.0.0.1 redirects to nowhere"),
        ("", "127.0.0.1 redirects to nowhere"),
        ("http://127.0.0.1:{port}/" + "a" * 9000, "must have at most 8192 characters"),
    ],
)
def test_a_redirect_must_pass_as_the_first_url(web: WebServer, location: str, message: str) -> None:
    NAMES["rebound.test"] = ["127.0.0.1 10.0.0.1"]
    web.answers["/"] = redirect(location.format(port=web.port))
    assert refusal(web.url()).startswith(f"url: {message}")
    assert len(web.asked) == 1


def test_a_redirect_without_location(web: WebServer) -> None:
    web.answers["/"] = answer(status="302 Found")
    assert "redirects to nowhere" in refusal(web.url())


def test_a_name_that_changes_its_mind_changes_nothing() -> None:
    """DNS rebinding: the name is looked up once, and the connection goes to what was checked."""
    with fetch_server.serving("127.0.0.2") as other, fetch_server.serving() as web:
        NAMES["rebind.test"] = ["127.0.0.1", "127.0.0.2"]
        web.answers["/"] = answer(b"checked")
        assert get(web.url(host="rebind.test"))[0] == b"checked"
        assert LOOKED_UP.count("rebind.test") == 1
        assert b"rebind.test" in web.asked[0]
        NAMES["rebind.test"] = ["127.0.0.1", "127.0.0.2"]
        web.answers["/"] = redirect(web.url("/again", "rebind.test"))
        assert "rebind.test has no public address" in refusal(web.url(host="rebind.test"))
        assert not other.asked


def test_every_address_of_a_name_must_be_public() -> None:
    NAMES["some.test"] = ["93.184.215.14 127.0.0.1"]
    assert "some.test has no public address" in refusal("http://some.test/", private_hosts=())


def test_unknown_and_private_names_read_the_same() -> None:
    NAMES["db.test"] = ["10.0.0.7"]
    private = refusal("http://db.test/", private_hosts=()).replace("db.test", "it")
    assert private == refusal("http://nowhere.example/", private_hosts=()).replace("nowhere.example", "it")


def test_the_next_address_when_one_takes_no_connection(web: WebServer) -> None:
    web.answers["/"] = answer(b"found")
    NAMES["two.test"] = ["127.0.0.9 127.0.0.1"]
    assert get(web.url(host="two.test"), private_hosts=("127.0.0.0/8",))[0] == b"found"


@pytest.mark.parametrize("allowed", ["two.test", "TWO.TEST", "127.0.0.1", "127.0.0.0/8", "127.0.0.7/8"])
def test_private_hosts_that_are_allowed(web: WebServer, allowed: str) -> None:
    web.answers["/"] = answer(b"found")
    NAMES["two.test"] = ["127.0.0.1"]
    assert get(web.url(host="two.test"), private_hosts=(allowed,))[0] == b"found"


@pytest.mark.parametrize("allowed", ["other.test", "127.0.0.2", "10.0.0.0/8", "::1", "127.0.0.1/99"])
def test_private_hosts_that_are_not(web: WebServer, allowed: str) -> None:
    assert "no public address" in refusal(web.url(), private_hosts=(allowed,))
    assert not web.asked


def test_the_largest_file(web: WebServer) -> None:
    web.answers["/"] = answer(bytes(1000))
    assert get(web.url(), max_bytes=1000)[1].size == 1000
    message = "url: the file is larger than the 999 bytes that are taken"
    assert refusal(web.url(), max_bytes=999) == message
    web.answers["/liar"] = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1000)
    body = bytearray()
    with pytest.raises(PinakesError, match=message):
        fetch(web.url("/liar"), body.extend, max_bytes=999, time_limit_s=10, private_hosts=LOCAL)
    assert len(body) <= 999


def test_a_size_that_is_only_told_is_not_waited_for(web: WebServer) -> None:
    web.answers["/"] = answer(b"", length=10**12)
    assert "larger than" in refusal(web.url())


BROKEN = {
    "short": answer(b"abc", length=10),
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "two lengths": answer(b"abc", "Content-Length: 4"),
    "length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    "gzip transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
}


@pytest.mark.parametrize("what", BROKEN)
def test_answers_that_are_broken(web: WebServer, what: str) -> None:
    web.answers["/"] = BROKEN[what]
    assert refusal(web.url()) == "url: 127.0.0.1 broke off, or does not speak HTTP; try again"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "identity, gzip"])
def test_compressed_answers(web: WebServer, encoding: str) -> None:
    web.answers["/"] = answer(b"\x1f\x8b", f"Content-Encoding: {encoding}")
    assert "sends it compressed" in refusal(web.url())


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("204 No Content", "without signing in"),
        ("206 Partial Content", "without signing in"),
        ("300 Multiple Choices", "without signing in"),
        ("304 Not Modified", "without signing in"),
        ("401 Unauthorized", "without signing in"),
        ("404 Not Found", "without signing in"),
        ("429 Too Many Requests", "try again later"),
        ("503 Service Unavailable", "try again later"),
    ],
)
def test_other_answers(web: WebServer, status: str, advice: str) -> None:
    web.answers["/"] = answer(status=status)
    assert refusal(web.url()).startswith(f"url: 127.0.0.1 answered {status[:3]}; ")
    assert refusal(web.url()).endswith(advice)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert refusal(f"http://127.0.0.1:{port}/").startswith("url: 127.0.0.1 takes no connection; ")


def drip(piece: bytes, wait_s: float) -> Callable[[], Iterator[bytes]]:
    """A head, then for ever a little more."""

    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield piece
            time.sleep(wait_s)

    return pieces


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"\r\nabc"], ids=["head", "body"])
def test_the_time_limit_holds_for_what_trickles(web: WebServer, piece: bytes) -> None:
    web.answers["/"] = drip(piece, 0.05)
    started = time.monotonic()
    assert "the time limit passed" in refusal(web.url(), time_limit_s=0.5)
    assert 0.4 < time.monotonic() - started < 10


def test_the_time_limit_is_of_all_redirects_together(web: WebServer) -> None:
    def slow() -> Iterator[bytes]:
        time.sleep(0.3)
        yield redirect("/")

    web.answers["/"] = slow
    assert "the time limit passed" in refusal(web.url(), time_limit_s=0.7)


def test_a_stall(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "STALL_LIMIT_S", 0.3)
    web.answers["/"] = drip(b"\r\nabc", 1)
    assert "nothing came for" in refusal(web.url())


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server with a certificate for `good.test`, which this process trusts."""
    context, pem = fetch_server.certificate(tmp_path, "good.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    NAMES.update({"good.test": ["127.0.0.1"], "bad.test": ["127.0.0.1"]})
    with fetch_server.serving(context=context) as server:
        yield server


def test_tls_is_checked_against_the_name(tls: WebServer) -> None:
    tls.answers["/"] = answer(b"safe")
    assert get(tls.url(host="good.test"))[0] == b"safe"
    message = "has no certificate that can be trusted; check the link, or try again later"
    assert refusal(tls.url(host="bad.test")) == f"url: bad.test {message}"
    assert refusal(tls.url()) == f"url: 127.0.0.1 {message}"


def test_tls_of_a_stranger(tls: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "no certificate that can be trusted" in refusal(tls.url(host="good.test"))
    assert not tls.asked


def test_from_https_to_http_is_refused_and_the_other_way_is_not(tls: WebServer, web: WebServer) -> None:
    web.answers["/"] = redirect(tls.url(host="good.test"))
    tls.answers["/"] = answer(b"safe")
    assert get(web.url())[0] == b"safe"
    tls.answers["/"] = redirect(web.url())
    assert "redirects from https to http" in refusal(tls.url(host="good.test"))
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("disposition", "path", "name"),
    [
        ('attachment; filename="a b.png"', "/x", "a b.png"),
        ("inline; filename=a.png", "/x", "a.png"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.png", "/x", "naïve €.png"),
        ("attachment; filename=old.png; filename*=UTF-8''new.png", "/x", "new.png"),
        ('attachment; filename="naïve.png"', "/x", "naïve.png"),
        ('attachment; filename="../../etc/passwd"', "/x", "passwd"),
        ('attachment; filename="C:\\\\Windows\\\\a.exe"', "/x", "a.exe"),
        ("attachment; filename*=UTF-8''..%2F..%2Fa.png", "/x", "a.png"),
        ("attachment; filename*=UTF-8''a%00b%0A%7F.png", "/x", "ab.png"),
        ("attachment; filename*=UTF-8''cod%E2%80%AEgnp.exe", "/x", "codgnp.exe"),
        ("attachment; filename*=klingon''a.png", "/x.png", "a.png"),
        ('attachment; filename=".."', "/x.png", "x.png"),
        ('attachment; filename=""', "/x.png", "x.png"),
        ("attachment", "/x.png", "x.png"),
        ("", "/dir/%E2%82%AC.png", "€.png"),
        ("", "/dir/a%2Fb.png", "b.png"),
        ("", "/dir/", "127.0.0.1"),
        ("", "/" + "a" * 400 + ".safetensors", "a" * 243 + ".safetensors"),
        ("", "/" + "%E2%82%AC" * 100 + ".png", "€" * 83 + ".png"),
        ("", "/a." + "b" * 400, "a." + "b" * 253),
    ],
)
def test_file_names(web: WebServer, disposition: str, path: str, name: str) -> None:
    web.answers[path] = answer(b"a", f"Content-Disposition: {disposition}")
    assert get(web.url(path))[1].file_name == name


@given(
    st.text() | st.builds("attachment; {}".format, st.text("filename*=0;'\"%ABUTF-8/\\ \x80é", max_size=80)), st.text()
)
def test_file_names_are_always_clean(disposition: str, clumsy: str) -> None:
    url = fetching._parsed("http://example.com/a/b")
    for headers in ({"content-disposition": disposition}, {"content-disposition": f'a; filename="{clumsy}"'}):
        name = fetching._file_name(url, headers)
        assert name.strip(". ")
        assert len(name.encode()) <= 255
        assert not {*name} & {*"/\\\0\r\n\x7f\u202e"}


@pytest.mark.parametrize("claimed", ["", "png", "image/", "image/png image", "text/html\x80", "a/" + "b" * 200, "é/é"])
def test_a_type_that_is_none(web: WebServer, claimed: str) -> None:
    web.answers["/"] = answer(b"a", f"Content-Type: {claimed}")
    assert get(web.url())[1].content_type == "application/octet-stream"
