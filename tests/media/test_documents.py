"""PDF: pages, the look of the first one, and files that are wrong or want too much."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import open_webp
from shapes import Looker, document, pdf, pdf_page, pdf_stream

from pinakes.media import THUMBNAIL_SIZES


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("files"))
    yield looker
    looker.media.close()


RED = b"1 0 0 rg 0 0 200 300 re f"


def test_a_document(look: Looker) -> None:
    found = look(document(), "a.pdf")
    assert (found.kind, found.width, found.height, found.facts.page_count) == ("document", 595, 842, 3)
    images = {size: open_webp(data) for size, data in found.thumbnails.items()}
    assert {size: (image.width, image.height) for size, image in images.items()} == {
        256: (181, 256),
        512: (363, 512),
        1024: (725, 1024),
    }
    assert found.look is not None


def test_what_is_on_the_page(look: Looker) -> None:
    image = open_webp(look(pdf_page(RED), "a.pdf").thumbnails[256])
    assert image.getpoint(60, 90) == pytest.approx([255, 0, 0], abs=4)
    assert image.getpoint(200, 90) == [255, 255, 255]


def test_a_document_with_a_password_is_accepted(look: Looker) -> None:
    locked = "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{0}> /U <{0}> >> /ID [<00> <00>]".format("5a" * 32)
    found = look(pdf_page(RED, trailer=locked), "a.pdf")
    assert (found.is_probed, found.facts.page_count or None, found.thumbnails) == (True, None, {})


@pytest.mark.parametrize(
    "box", ["[0 0 100000 100000]", "[0 0 1e30 1e30]", "[0 0 0 0]", "[9 9 -9 -9]", "[0 0 99999 0.01]"]
)
def test_sizes_of_pages(look: Looker, box: str) -> None:
    found = look(pdf_page(RED, box=box), "a.pdf")
    assert (found.facts.page_count, sorted(found.thumbnails)) == (1, sorted(THUMBNAIL_SIZES))


def image(width: int, height: int, filter: str = "", data: bytes = b"") -> bytes:
    """A page that shows a picture which says it is so large."""
    made = f"<< /Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB "
    made += f"/BitsPerComponent 8 /Length {len(data)} {filter} >>\nstream\n"
    uses = "<< /XObject << /I 5 0 R >> >>"
    return pdf_page(b"400 0 0 300 0 0 cm /I Do", made.encode() + data + b"\nendstream", resources=uses)


ODD = {
    "two billion pages": pdf("<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", "<< /Type /Page /Parent 2 0 R >>"),
    "a font of 10^9": pdf_page(b"BT /F1 999999999 Tf (Hello) Tj ET"),
    "a picture of nothing": image(60_000, 60_000),
    "a JPEG of nothing": image(60_000, 60_000, "/Filter /DCTDecode", b"\xff\xd8\xff"),
    "a table that says it is large": pdf_page(RED).replace(b"/Size 5", b"/Size 4294967295"),
    "a table before itself": pdf_page(RED).replace(b"/Size 5", b"/Size 5 /Prev 9"),
    "a table far away": pdf_page(RED).replace(b"startxref\n", b"startxref\n99999999999999"),
    "a stream far too long": pdf_page(RED).replace(b"/Length ", b"/Length 9999999999"),
    "brackets": pdf_page(b"[" * 1_000_000),
    "a stack": pdf_page(b"q " * 1_000_000),
}


@pytest.mark.parametrize("which", ODD)
def test_odd_documents(look: Looker, which: str) -> None:
    """PDFium makes what it can of them."""
    assert look(ODD[which], "a.pdf").facts.page_count == 1


def test_nothing_outside_is_read(look: Looker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        web = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        opened = f"<< /S /URI /URI ({web}) >>"
        data = pdf_page(RED).replace(b"/Type /Catalog", f"/Type /Catalog /OpenAction {opened}".encode())
        assert look(data, "a.pdf").width == 400
        external = b"<< /Length 0 /F << /FS /URL /F (%s) >> >>\nstream\n\nendstream" % web.encode()
        kids = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
        assert look(pdf(kids, "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", external), "a.pdf").thumbnails
        with pytest.raises(TimeoutError):
            server.accept()


def form(uses: str, content: bytes = b"/I Do " * 10) -> bytes:
    held = f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /I {uses} >> >>"
    return pdf_stream(content, held)


FORMS = [form(f"{at} 0 R") for at in range(6, 18)]
GREEDY = {
    "a billion characters": pdf_page(b"0 0 1 1 re f " * 40_000_000),
    "forms in forms": pdf_page(b"/I Do", *FORMS, form("9 0 R", RED), resources="<< /XObject << /I 5 0 R >> >>"),
}


@pytest.mark.parametrize("which", GREEDY)
def test_documents_that_want_too_much(tmp_path: Path, which: str) -> None:
    """PDFium ends its process for want of memory; the child that looks into files goes on."""
    look = Looker(tmp_path, memory_limit_bytes=400 << 20)
    try:
        expected = "file: the PDF cannot be drawn: it needs more than 400 MiB, or is damaged."
        assert look.refusal(GREEDY[which], "a.pdf") == expected
        assert look(pdf_page(RED), "a.pdf").width == 400
    finally:
        look.media.close()


def test_a_document_that_takes_too_long(tmp_path: Path) -> None:
    look = Looker(tmp_path, time_limit_s=2)
    tile = "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 1 1] /XStep 0.0001 /YStep 0.0001"
    cells = pdf_stream(b"0 0 1 1 re f", f"{tile} /Resources << >>")
    try:
        data = pdf_page(b"/Pattern cs /P scn 0 0 400 300 re f", cells, resources="<< /Pattern << /P 5 0 R >> >>")
        assert look.refusal(data, "a.pdf") == "file: the PDF took longer than 2 s to decode."
        assert look(pdf_page(RED), "a.pdf").width == 400
    finally:
        look.media.close()


@pytest.mark.parametrize("tenth", range(1, 10))
def test_cut_short_anywhere(look: Looker, tenth: int) -> None:
    """What comes after the pages can be missing: PDFium finds them."""
    data = document(20)
    cut = data[: len(data) * tenth // 10]
    assert look.refusal(cut, "a.pdf") == "file: the PDF is damaged or truncated."


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7",
        b"%PDF-1.7\n%%EOF",
        b"MZ" * 1_000,
        pdf("<< /Type /Pages /Kids [] /Count 0 >>"),
        pdf("<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 5 >>"),
        pdf("<< /Type /Pages /Kids " + "[" * 100_000),
        pdf(),
    ],
    ids=["magic alone", "nothing", "another type", "no pages", "pages in themselves", "brackets", "no tree"],
)
def test_damaged(look: Looker, data: bytes) -> None:
    assert look.refusal(data, "a.pdf") == "file: the PDF is damaged or truncated."
