"""What a stranger's URL may make the server connect to: nothing but the public internet, however it is spelled."""

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes import fetch as fetching
from pinakes.addresses import is_public, resolve
from pinakes.errors import PinakesError
from pinakes.fetch import fetch

NAMES = {
    "private.test": ["192.168.7.7"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "mixed.test": ["93.184.215.14", "::1"],
    "cgnat.test": ["100.64.0.1"],
    "public.test": ["93.184.215.14", "2606:4700::1111"],
}
HOSTILE = [
    *Path(__file__).with_name("hostile_urls.txt").read_text().splitlines(),
    "",
    " ",
    "http://exa mple.com/",
    " http://127.0.0.1/",
    "http://127.0.0.1/\r\nHost: x",
    "http://example.com\r\n.evil/",
    "http://example.com/\0",
    "http://example.com\t/",
    "http://\ud800/",
    "http://example.com/\ud800",
    f"http://{'a' * 64}.com/",
    f"http://{'a.' * 200}com/",
    f"http://example.com/{'a' * 9000}",
]


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every attempt to connect, none of which gets anywhere; no name but those above leads anywhere either."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host.endswith((".com", ".internal")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [entry for address in NAMES.get(host, [host]) for entry in real(address, *args, **kwargs)]

    def connect(_: socket.socket, address: Any) -> None:
        attempts.append(address[:2])
        raise ConnectionRefusedError

    attempts: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    return attempts


def test_the_table_is_long() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) > 130


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: ascii(url)[:60])
def test_what_is_never_asked(url: str, connected: list[Any]) -> None:
    with pytest.raises(PinakesError, match=r"^url: ") as caught:
        fetch(url, lambda _: None, max_bytes=1, time_limit_s=5)
    assert caught.value.code == "BAD_REQUEST"
    assert caught.value.details["field"] == "url"
    assert not connected


@pytest.mark.parametrize(
    ("url", "attempts"),
    [
        ("http://public.test/", [("93.184.215.14", 80), ("2606:4700::1111", 80)]),
        ("https://public.test:8443/", [("93.184.215.14", 8443), ("2606:4700::1111", 8443)]),
        ("http://8.8.8.8/", [("8.8.8.8", 80)]),
        ("https://[2606:4700::1111]/", [("2606:4700::1111", 443)]),
        ("HTTP://134744072/", [("8.8.8.8", 80)]),
    ],
)
def test_what_is_asked(url: str, attempts: list[Any], connected: list[Any]) -> None:
    """Addresses that were checked, each once, and never a name."""
    with pytest.raises(PinakesError, match="takes no connection"):
        fetch(url, lambda _: None, max_bytes=1, time_limit_s=5)
    assert connected == attempts


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)
    assert resolve(address, 80) == [address]


@given(st.ip_addresses())
def test_public_is_never_what_python_calls_private(ip: Any) -> None:
    if is_public(str(ip)) and not str(ip).startswith("64:ff9b::"):
        assert ip.is_global
        assert not ip.is_private


@given(st.text(max_size=60) | st.builds("http://{}{}".format, st.text(max_size=30), st.text(max_size=30)))
def test_any_text_is_refused_or_a_name_to_look_up(url: str) -> None:
    try:
        parsed = fetching._parsed(url)
    except PinakesError as error:
        parsed = None
        refused = error
    if parsed is None:
        assert refused.details["field"] == "url"
    else:
        assert parsed.scheme in ("http", "https")
        assert fetching._HOST.fullmatch(parsed.raw_host)
        assert not parsed.userinfo
