"""One SVG drawing: its size and how it looks, drawn by librsvg. Imported in a child process only.

librsvg is given bytes without an address, so it opens no file and no link; what is embedded as `data:` it shows.
Its own limits end loops, entities that multiply, and `<use>` of `<use>`. What would take more memory than there is, and
so end the process, is found here before.
"""

import re
from xml.parsers import expat

import pyvips

from pinakes.media.probers import looks, thumbnails
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

MOST_BYTES = 16 << 20
_MOST_ELEMENTS = 50_000
"""Some 8 kB of memory each."""
_MOST_DEPTH = 250
_MOST_CHARACTERS = {"text": 2_000, "style": 500_000}
"""In one element: laying out text takes time and memory by their square, a rule of style a hundred times its own."""
_MOST_CHARACTERS_IN_ALL = 600_000
_DPI = 96
"""Pixels an inch. Source: CSS Values and Units 4, 6.2."""
_PIXELS = 72 / _DPI
"""The scale at which libvips, which counts 72 of them, gives pixels their size."""
_PLAIN = re.compile(r"[^<&%]*", re.DOTALL)


class _TooMuchError(Exception):
    """The drawing is fine, but to draw it would take too much."""


def probe(type: str, source: Source, limits: Limits) -> Answer:  # noqa: ARG001 - it is of one type
    """A drawing with more than can be drawn is accepted without a picture."""
    data = source.start(MOST_BYTES + 1)
    if data.startswith(b"\x1f\x8b"):
        return Refused("is compressed (SVGZ); send it unpacked.")
    if len(data) > MOST_BYTES:
        return Decoded()
    if b"\0" in data:
        return Refused("is not text in UTF-8, or is damaged.")
    try:
        _Walk().walk(data)
    except _TooMuchError:
        return Decoded()
    except expat.ExpatError as error:
        return Refused(f"is not valid XML: {expat.ErrorString(error.code)}, line {error.lineno:,}.")
    except ValueError as error:
        return Refused(str(error))
    return _drawn(data, limits)


class _Walk:
    """Counts what there is to draw, and stops where it is too much, or an entity could hide more."""

    def __init__(self) -> None:
        self.elements = self.depth = self.characters = self.characters_in_all = 0
        self.counted: tuple[str, int] | None = None
        """The element, of those whose characters are counted, that the parser is in, and its depth."""

    def walk(self, data: bytes) -> None:
        """Raises _TooMuchError, ExpatError, and ValueError for what must not be in a drawing."""
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.EntityDeclHandler = self._text, self._entity
        parser.Parse(data, True)

    def _start(self, name: str, _: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if not self.elements and local != "svg":
            raise ValueError("is XML, but not a drawing.")
        self.elements, self.depth = self.elements + 1, self.depth + 1
        if self.elements > _MOST_ELEMENTS or self.depth > _MOST_DEPTH:
            raise _TooMuchError
        if self.counted is None and local in _MOST_CHARACTERS:
            self.counted, self.characters = (local, self.depth), 0

    def _end(self, _: str) -> None:
        if self.counted is not None and self.counted[1] == self.depth:
            self.counted = None
        self.depth -= 1

    def _text(self, characters: str) -> None:
        if self.counted is not None:
            self.characters += len(characters)
            self.characters_in_all += len(characters)
            most = _MOST_CHARACTERS[self.counted[0]]
            if self.characters > most or self.characters_in_all > _MOST_CHARACTERS_IN_ALL:
                raise _TooMuchError

    def _entity(self, name: str, is_parameter: bool, value: str | None, *_: str | None) -> None:
        if is_parameter or value is None or not _PLAIN.fullmatch(value):
            raise ValueError(f"declares an entity ({name[:40]}) that stands for more than plain text.")


def _drawn(data: bytes, limits: Limits) -> Answer:
    """The size it says it has, in pixels; drawn as large as the largest thumbnail, also when it is smaller."""
    try:
        header = pyvips.Image.svgload_buffer(data, dpi=_DPI, scale=_PIXELS)
    except pyvips.Error as error:
        if "dimensions" in str(error) or "zero-sized" in str(error):
            return Decoded()  # nothing says how large it is, or it is larger than any picture
        return Refused("is damaged or truncated.")
    width, height = header.width, header.height
    scale = max(limits.thumbnail_sizes) / max(width, height)
    if min(width, height) * scale < 1:
        return Decoded(width, height)
    try:
        image = pyvips.Image.svgload_buffer(data, dpi=_DPI, scale=_PIXELS * scale)
        made, largest = thumbnails.make_and_keep(image, limits.thumbnail_sizes)
    except pyvips.Error:
        return Refused("cannot be drawn: it is damaged, or refers to itself too often.")
    return Decoded(width, height, thumbnails=made, look=looks.of(largest))
