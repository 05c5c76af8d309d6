"""Texts in an XMP packet: what generators put there, by the names of their fields in EXIF or PNG."""

from collections.abc import Iterator
from contextlib import suppress
from xml.parsers import expat

_MAX_PACKET = 4 << 20
_MAX_DEPTH = 100
_NAMES = {
    "UserComment": "usercomment",
    "description": "description",
    "CreatorTool": "software",
    "parameters": "parameters",
}


class _UnacceptableError(ValueError):
    """What no XMP has and only an attack needs."""


def texts(packet: bytes) -> Iterator[tuple[str, str]]:
    """By name; what was found before the first error, when there is one. Entities are not for XMP, and end it."""
    if not packet or len(packet) > _MAX_PACKET:
        return
    found: list[tuple[str, str]] = []
    with suppress(expat.ExpatError, _UnacceptableError):
        _parser(found).Parse(packet.strip(b"\0"), True)
    yield from found


def _parser(found: list[tuple[str, str]]) -> expat.XMLParserType:
    """One that puts the texts of the fields, in elements or attributes, into the list."""
    path: list[str] = []
    fields: list[str] = []  # those of the path that are wanted
    said: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(path) >= _MAX_DEPTH:
            raise _UnacceptableError
        path.append(_local(name))
        fields.extend(path[-1:] if path[-1] in _NAMES else [])
        found.extend((_NAMES[_local(key)], value) for key, value in attributes.items() if _local(key) in _NAMES)

    def end(_: str) -> None:
        name = path.pop()
        if name in _NAMES:
            found.append((_NAMES[fields.pop()], "".join(said).strip()))
            said.clear()

    def characters(text: str) -> None:
        if fields:
            said.append(text)

    def entity(*_: object) -> None:
        raise _UnacceptableError

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = characters, entity
    return parser


def _local(name: str) -> str:
    return name.rpartition(":")[2]
