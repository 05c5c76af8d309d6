"""SVG: drawn at its shape, with nothing from outside of it, and within bounds."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pictures import open_webp, picture
from shapes import SVG, Looker, drawing, png_of_zeros

from pinakes.media import THUMBNAIL_SIZES, Examined


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("files"))
    yield looker
    looker.media.close()


def sizes(found: Examined) -> list[tuple[int, int]]:
    images = [open_webp(found.thumbnails[size]) for size in sorted(found.thumbnails)]
    return [(image.width, image.height) for image in images]


def is_blank(found: Examined) -> bool:
    image = open_webp(found.thumbnails[256])
    return not np.frombuffer(image.write_to_memory(), np.uint8).reshape(-1, image.bands)[:, 3].any()


def test_a_drawing(look: Looker) -> None:
    found = look(drawing('<rect width="45" height="60" fill="red"/>'), "a.svg")
    assert (found.kind, found.mime_type, found.width, found.height) == ("image", "image/svg+xml", 90, 60)
    assert sizes(found) == [(256, 171), (512, 342), (1024, 683)]
    image = open_webp(found.thumbnails[256])
    assert image.getpoint(200, 100)[3] == 0
    assert image.getpoint(60, 100) == pytest.approx([255, 0, 0, 255], abs=4)
    assert found.look is not None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ('viewBox="0 0 24 12"', (24, 12)),
        ('width="100%" height="100%" viewBox="0 0 30 60"', (30, 60)),
        ('width="1in" height="2.54cm"', (96, 96)),
        ('width="100000" height="100000"', (100_000, 100_000)),
        ("", (40, 70)),
    ],
)
def test_sizes(look: Looker, size: str, expected: tuple[int, int]) -> None:
    found = look(drawing('<rect width="40" height="70"/>', size), "a.svg")
    assert (found.width, found.height) == expected
    assert sorted(found.thumbnails) == sorted(THUMBNAIL_SIZES)


@pytest.mark.parametrize(
    "size", ['width="1e30" height="1e30"', 'width="0" height="0"', 'width="-5" height="x"', 'width=".4" height=".2"']
)
def test_a_size_that_none_can_have_is_not_drawn(look: Looker, size: str) -> None:
    assert look(drawing("", size), "a.svg").thumbnails == {}


def test_a_line(look: Looker) -> None:
    found = look(drawing("", 'width="100000" height="1"'), "a.svg")
    assert (found.width, found.height, found.thumbnails) == (100_000, 1, {})


def test_what_is_embedded_is_drawn(look: Looker) -> None:
    data = base64.b64encode(picture("png")).decode()
    assert not is_blank(look(drawing(f'<image width="9" height="9" href="data:image/png;base64,{data}"/>'), "a.svg"))


OUTSIDE = (
    '<image width="90" height="60" href="{}"/>',
    '<image width="90" height="60" xlink:href="{}"/>',
    '<use href="{}#a"/>',
    '<style>@import url("{}");</style>',
    '<style>@font-face {{ font-family: x; src: url("{}"); }}</style>',
    '<filter id="f"><feImage href="{}"/></filter><rect width="9" height="9" filter="url(#f)"/>',
    '<filter id="f"><feImage xlink:href="{}#a"/></filter><rect width="9" height="9" filter="url(#f)"/>',
    '<rect width="90" height="60" fill="url({}#a)"/>',
    '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{}"/>',
    '<text y="30"><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{}" parse="text"/></text>',
    '<text><tref xlink:href="{}"/></text>',
    '<foreignObject width="90" height="60"><img xmlns="http://www.w3.org/1999/xhtml" src="{}"/></foreignObject>',
)


@pytest.mark.parametrize("inside", OUTSIDE)
def test_nothing_outside_is_read(look: Looker, tmp_path: Path, inside: str) -> None:
    """A picture and a drawing on disk do not show, and a server gets no connection."""
    (tmp_path / "a.png").write_bytes(picture("png"))
    (tmp_path / "a.svg").write_bytes(drawing('<rect id="a" width="90" height="60"/>'))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        web = f"http://127.0.0.1:{server.getsockname()[1]}"
        places = [f"{tmp_path}/a.png", f"file://{tmp_path}/a.png", f"file://{tmp_path}/a.svg", "file:///etc/passwd"]
        places += ["a.png", "../../../../../../etc/passwd", f"{web}/a.png", f"{web}/a.svg", "x" * 4096]
        every = "".join(inside.format(place) for place in places)
        found = look(drawing(every), "a.svg")
        with pytest.raises(TimeoutError):
            server.accept()
    assert is_blank(found)


@pytest.mark.parametrize("attack", ["stylesheet", "document type"])
def test_nothing_outside_is_read_before_the_drawing(look: Looker, attack: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        web = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        before = f'<?xml-stylesheet href="{web}"?>' if attack == "stylesheet" else f'<!DOCTYPE svg SYSTEM "{web}">'
        assert is_blank(look(drawing("", before=before), "a.svg"))
        with pytest.raises(TimeoutError):
            server.accept()


def declaring(*entities: str) -> str:
    return f"<?xml version='1.0'?><!DOCTYPE svg [{''.join(f'<!ENTITY {one}>' for one in entities)}]>"


LAUGHS = ['a "ha"', *(f'a{at} "{f"&a{at - 1};" * 10}"' for at in range(1, 20))]
MARKUP = ("a SYSTEM 'file:///etc/passwd'", "a SYSTEM 'http://127.0.0.1:1/a'", "% a 'b'", "a '<rect/>'", "a '&#60;g/>'")


def test_entities_of_plain_text(look: Looker) -> None:
    """As Illustrator writes them."""
    before = declaring('ns_svg "http://www.w3.org/2000/svg"', 'colour "red"')
    assert not is_blank(look(drawing('<rect width="90" height="60" fill="&colour;"/>', before=before), "a.svg"))


@pytest.mark.parametrize("entities", [LAUGHS, *([one] for one in MARKUP)])
def test_entities_that_hold_more(look: Looker, entities: list[str]) -> None:
    message = look.refusal(drawing("<text>&a;</text>", before=declaring(*entities)), "a.svg")
    assert "stands for more than plain text" in message or "is not valid XML" in message


def nested(count: int, inside: str = "") -> str:
    return "<g>" * count + inside + "</g>" * count


TOO_MUCH = {
    "elements": "<rect/>" * 60_000,
    "depth": nested(100_000),
    "text": f"<text>{'word ' * 1_000}</text>",
    "spans": f"<text>{'<tspan>abc</tspan>' * 1_000}</text>",
    "style": f"<style>{'a{fill:red}' * 100_000}</style>",
    "bytes": f'<path d="M{"0 0 " * 5_000_000}"/>',
}


@pytest.mark.parametrize("which", TOO_MUCH)
def test_too_much_to_draw_is_accepted_without_a_picture(look: Looker, which: str) -> None:
    found = look(drawing(TOO_MUCH[which]), "a.svg")
    assert (found.is_probed, found.width, found.thumbnails) == (True, None, {})


def uses(depth: int) -> str:
    groups = (f'<g id="g{at}">{f"""<use href="#g{at - 1}"/>""" * 10}</g>' for at in range(1, depth))
    return f'<defs><rect id="g0" width="1" height="1"/>{"".join(groups)}</defs><use href="#g{depth - 1}"/>'


RECT = '<rect id="r" width="9" height="9" {}/>'
PATTERN = '<pattern id="p{}" width=".1" height=".1"><rect width="9" height="9" fill="url(#p{})"/></pattern>'
TURBULENCE = '<filter id="f"><feTurbulence baseFrequency="1" numOctaves="99999999"/></filter>'
TO_MARKER = '<path d="M0 0L9 9" marker-end="url(#m)"/>'
RECURSIVE = {
    "a use of itself": '<g id="a"><use href="#a"/></g>',
    "two uses of each other": '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>',
    "a pattern in itself": PATTERN.format(0, 0) + RECT.format('fill="url(#p0)"'),
    "patterns in each other": PATTERN.format(0, 1) + PATTERN.format(1, 0) + RECT.format('fill="url(#p0)"'),
    "a mask of itself": '<mask id="m" mask="url(#m)"><g mask="url(#m)"/></mask>' + RECT.format('mask="url(#m)"'),
    "a marker in itself": f'<marker id="m">{TO_MARKER}</marker>{TO_MARKER}',
    "a gradient of itself": '<linearGradient id="a" href="#a"/>' + RECT.format('fill="url(#a)"'),
    "a clip of itself": '<clipPath id="c" clip-path="url(#c)"><g/></clipPath>' + RECT.format('clip-path="url(#c)"'),
    "a filter that draws itself": '<filter id="f"><feImage href="#r"/></filter>' + RECT.format('filter="url(#f)"'),
    "dashes without an end": '<path d="M0 0L1000000000 9" stroke="red" stroke-dasharray="0.00001"/>',
    "octaves without an end": TURBULENCE + RECT.format('filter="url(#f)"'),
    "far away": '<rect x="1e38" y="-1e38" width="1e38" height="1e38" transform="scale(1e38) rotate(NaN)"/>',
}


@pytest.mark.parametrize("which", RECURSIVE)
def test_recursion_ends(look: Looker, which: str) -> None:
    found = look(drawing(RECURSIVE[which]), "a.svg")
    assert sorted(found.thumbnails) == sorted(THUMBNAIL_SIZES)


def test_uses_that_multiply(look: Looker) -> None:
    assert "refers to itself too often" in look.refusal(drawing(uses(12)), "a.svg")


def test_an_embedded_picture_that_is_a_bomb(look: Looker) -> None:
    data = base64.b64encode(png_of_zeros(30_000)).decode()
    assert is_blank(look(drawing(f'<image width="9" height="9" href="data:image/png;base64,{data}"/>'), "a.svg"))


def test_a_drawing_that_takes_too_long(tmp_path: Path) -> None:
    look = Looker(tmp_path, time_limit_s=2)
    blurs = '<feGaussianBlur stdDeviation="900"/>' * 400
    data = drawing(f'<filter id="f">{blurs}</filter><rect width="90" height="60" filter="url(#f)"/>')
    try:
        assert look.refusal(data, "a.svg") == "file: the SVG took longer than 2 s to decode."
        assert look(drawing(""), "a.svg").width == 90
    finally:
        look.media.close()


@pytest.mark.parametrize("tenth", range(1, 10))
def test_cut_short_anywhere(look: Looker, tenth: int) -> None:
    data = drawing('<g><rect width="9" height="9"/><text>words</text></g>' * 20)
    assert "is not valid XML" in look.refusal(data[: len(data) * tenth // 10], "a.svg")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1f\x8b\x08\0" + bytes(100), "is compressed (SVGZ); send it unpacked."),
        (b"<svg", "is not valid XML: unclosed token, line 1."),
        (b"<svg>\n<g></svg>", "is not valid XML: mismatched tag, line 2."),
        (f"<svg {SVG}></svg><svg/>".encode(), "is not valid XML: junk after document element, line 1."),
        (b"<html><svg/></html>", "is XML, but not a drawing."),
        (drawing("").decode().encode("utf-16"), "is not text in UTF-8, or is damaged."),
        (drawing("\0"), "is not text in UTF-8, or is damaged."),
        (drawing("&nothing;"), "is not valid XML: undefined entity, line 1."),
        (drawing("<x:g/>"), "is damaged or truncated."),
    ],
)
def test_damaged(look: Looker, data: bytes, words: str) -> None:
    assert look.refusal(data, "a.svg") == f"file: the SVG {words}"
