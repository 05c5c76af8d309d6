"""Text files: how long they are and how they start; JSON is checked as well. Imported in a child process only."""

import codecs
import re

import msgspec

from pinakes.asset_types import Facts
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source

PREVIEW_BYTES = 1_024
MOST_BYTES = 64 << 20
"""Of a longer file only the start is looked at: it has a preview, but is neither counted nor checked."""
_CHUNK = 1 << 20
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_AT_BYTE = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$", re.DOTALL)


def probe(type: str, source: Source, limits: Limits) -> Answer:  # noqa: ARG001 - what is read is bounded here
    """Text is UTF-8, UTF-16 with its mark, or else Latin-1; bytes of 0 are refused, and JSON that is none."""
    data = source.start(MOST_BYTES + 1)
    is_whole = len(data) <= MOST_BYTES
    text = _decoded(data if is_whole else data[:_CHUNK], is_whole)
    if text is None or "\0" in text:
        return Refused("is not text: it holds bytes that no text does.")
    preview, facts = _preview(text), Facts(has_full_preview=False)
    if is_whole:
        facts = Facts(char_count=len(text), word_count=_words(text), has_full_preview=len(preview) == len(text))
    if type == "json" and is_whole and (problem := _problem(text)):
        return Refused(f"is not valid JSON: {problem}.")
    return Decoded(facts=msgspec.structs.replace(facts, preview=preview))


def _decoded(data: bytes, is_whole: bool) -> str | None:
    """None for UTF-16 that is none. A start may end in the middle of a character."""
    mark, encoding = next((one for one in _MARKS if data.startswith(one[0])), (b"", "utf-8"))
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data[len(mark) :], final=is_whole)
    except UnicodeDecodeError:
        return data.decode("latin-1") if encoding == "utf-8" and not mark else None


def _preview(text: str) -> str:
    """As much of the start as fits, cut between code points."""
    return text[:PREVIEW_BYTES].encode()[:PREVIEW_BYTES].decode("utf-8", "ignore")


def _words(text: str) -> int:
    """Runs of what is not white space, counted piece by piece: a list of all would take many times the memory."""
    count, was_space = 0, True
    for start in range(0, len(text), _CHUNK):
        piece = text[start : start + _CHUNK]
        count += len(piece.split()) - (not was_space and not piece[0].isspace())  # a word in two pieces
        was_space = piece[-1].isspace()
    return count


def _problem(text: str) -> str | None:
    """What is wrong with JSON, and where. Nothing is built of it, so that its values take no memory."""
    data = text.encode()
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        found = _AT_BYTE.match(str(error))
        if found is None:
            return "it ends too soon"
        at = int(found[2]) - (found[1] == "trailing characters")  # of which it has read the first
        before = data[:at].decode("utf-8", "ignore")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"{found[1]}, line {line:,}, column {column:,}"
    except RecursionError:
        return "it is nested too deep, by hundreds of lists or objects"
    return None
