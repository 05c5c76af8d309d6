"""PDF: how many pages, and how the first one looks, drawn by PDFium. Imported in a child process only.

PDFium ends its process when it gets no more memory, and a small file can ask for any amount. So each file has a process
of its own, a fork of this one under the same limits, which hands back pixels. The build of PDFium has no JavaScript and
no XFA, and opens nothing but the file. Forms are not filled in.
"""

import os
import signal
import traceback
import warnings
from math import isfinite
from pathlib import Path
from typing import BinaryIO

import msgspec
import pypdfium2
import pypdfium2.raw
import pyvips

from pinakes.asset_types import Facts
from pinakes.media.probers import looks, thumbnails
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source, receive, send

_DAMAGED = "is damaged or truncated."
_MOST_FILES = 1_024
"""Of open files that a fork closes."""


class _Page(msgspec.Struct, frozen=True):
    """What the fork found: sides in points, and of the pixels that follow, four bytes each. 0 for what is not drawn."""

    pages: int = 0
    width: int = 0
    height: int = 0
    columns: int = 0
    rows: int = 0
    refused: str = ""


def probe(type: str, source: Source, limits: Limits) -> Answer:  # noqa: ARG001 - it is of one type
    """Sides are those of the first page, in points (1/72 inch). A file with a password is accepted, undescribed."""
    page, pixels = _apart(source, limits)
    if page is None:
        return Refused(f"cannot be drawn: it needs more than {limits.memory_limit_bytes >> 20:,} MiB, or is damaged.")
    if page.refused:
        return Refused(page.refused)
    facts = Facts(page_count=page.pages) if page.pages else Facts()
    if not pixels:
        return Decoded(facts=facts)
    image = pyvips.Image.new_from_memory(pixels, page.columns, page.rows, 4, "uchar").extract_band(0, n=3)
    made, largest = thumbnails.make_and_keep(image.copy(interpretation="srgb"), limits.thumbnail_sizes)
    return Decoded(page.width, page.height, thumbnails=made, facts=facts, look=looks.of(largest))


def _apart(source: Source, limits: Limits) -> tuple[_Page | None, bytes]:
    """What a fork says; None when it ended before it could."""
    reading, writing = os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # Threads of libvips do not live on in the fork, which is why libvips is not used there.
        process = os.fork()
    if not process:
        _fork(source, limits, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer, pixels = receive(pipe), receive(pipe)
    os.waitpid(process, 0)
    return (msgspec.msgpack.decode(answer, type=_Page), pixels) if answer and pixels is not None else (None, b"")


def _fork(source: Source, limits: Limits, writing: int) -> None:
    """Never returns. Ends by the clock, as a fork has no part in that of its parent, nor holds its pipes open."""
    try:
        signal.setitimer(signal.ITIMER_REAL, limits.time_limit_s + 1)  # the server, which says why, is to be first
        os.closerange(3, writing)
        os.closerange(writing + 1, _MOST_FILES)
        os.close(0)
        with os.fdopen(writing, "wb") as pipe:
            _answer(source, max(limits.thumbnail_sizes), pipe)
    except Exception:  # noqa: BLE001 - nobody else can say it: a fork must not return to where its parent is
        traceback.print_exc()
    finally:
        os._exit(0)


def _answer(source: Source, size: int, pipe: BinaryIO) -> None:
    pixels = b""
    try:
        with pypdfium2.PdfDocument(source.data if source.path is None else Path(source.path)) as document:
            page, pixels = _first_page(document, size)
    except pypdfium2.PdfiumError as error:
        needs_password = error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY)
        page = _Page(refused="" if needs_password else _DAMAGED)
    send(pipe, msgspec.msgpack.encode(page))
    send(pipe, pixels)


def _first_page(document: pypdfium2.PdfDocument, size: int) -> tuple[_Page, bytes]:
    pages = len(document)
    if not pages:
        return _Page(refused=_DAMAGED), b""
    page = document[0]
    width, height = page.get_size()
    if not (isfinite(width) and isfinite(height) and width > 0 and height > 0):
        return _Page(pages), b""
    bitmap = page.render(scale=size / max(width, height), rev_byteorder=True, limit_image_cache=True, prefer_bgrx=True)
    pixels = bitmap.to_numpy()
    found = _Page(pages, max(round(width), 1), max(round(height), 1), bitmap.width, bitmap.height)
    return found, pixels.tobytes()
