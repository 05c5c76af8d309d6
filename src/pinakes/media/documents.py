"""PDF: how many pages, and how the first one looks, drawn by PDFium. Imported in a child process only.

The build of PDFium has no JavaScript and no XFA, and opens nothing but the file. Forms are not filled in.
"""

from math import isfinite
from pathlib import Path

import pypdfium2
import pypdfium2.raw
import pyvips

from pinakes.asset_types import Facts
from pinakes.media import looks, thumbnails
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

_DAMAGED = "is damaged or truncated."


def probe(type: str, source: Source, limits: Limits) -> Answer:  # noqa: ARG001 - it is of one type
    """Sides are those of the first page, in points (1/72 inch). A file with a password is accepted, undescribed."""
    try:
        document = pypdfium2.PdfDocument(source.data if source.path is None else Path(source.path))
    except pypdfium2.PdfiumError as error:
        needs_password = error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY)
        return Decoded() if needs_password else Refused(_DAMAGED)
    with document:
        try:
            return _first_page(document, limits)
        except pypdfium2.PdfiumError:
            return Refused("has a first page that is damaged.")


def _first_page(document: pypdfium2.PdfDocument, limits: Limits) -> Answer:
    pages = len(document)
    if not pages:
        return Refused(_DAMAGED)
    page = document[0]
    width, height = page.get_size()
    if not (isfinite(width) and isfinite(height) and width > 0 and height > 0):
        return Decoded(facts=Facts(page_count=pages))
    scale = max(limits.thumbnail_sizes) / max(width, height)
    bitmap = page.render(scale=scale, rev_byteorder=True, limit_image_cache=True)
    pixels = bitmap.to_numpy()
    image = pyvips.Image.new_from_array(pixels[:, :, :3], interpretation="srgb")
    made, largest = thumbnails.make_and_keep(image, limits.thumbnail_sizes)
    size = max(round(width), 1), max(round(height), 1)
    return Decoded(*size, thumbnails=made, facts=Facts(page_count=pages), look=looks.of(largest))
