"""Words as a search takes them: a text cut into words, and what somebody types turned into what to look for.

Letters count alike whatever their case, accents or width. Scripts that set no spaces between words (Chinese, Japanese,
Thai, …) are cut into characters, as are symbols and emoji; whatever lies beside each other is found as a phrase.
"""

import re
import unicodedata
from functools import cache

import msgspec

from pinakes.errors import bad_request

MOST_WORDS = 32
"""Words in one query."""
MOST_CHARACTERS = 1_000
"""Characters of one query."""
LEAST_PREFIX = 2
"""Letters from which on the last word may be the start of one."""

_LONGEST = 64  # of a longer word only the start counts
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00016fe0-\U00018fff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_WORD = re.compile(rf"[{_UNSPACED}{_SYMBOLS}]|[^\W_{_UNSPACED}]+")
_WHERE_MARKS, _WHERE_MORE_MARKS = range(0x300, 0x1F000), range(0xE0100, 0xE01F0)
_PLAIN_WORD = re.compile(r"[a-z0-9]+")
_PART = re.compile(r'(?:(?<=\s)|^)(-?)"([^"]*)(?:"|$)|"([^"]*)(?:"|$)|(\S+?)(?=\s|"|$)')


class Phrase(msgspec.Struct, frozen=True):
    """Words that lie beside each other; with `is_prefix` the last may go on."""

    words: tuple[str, ...]
    is_prefix: bool = False


class Query(msgspec.Struct, frozen=True):
    """All of `wanted`, in whatever order and place, and none of `unwanted`."""

    wanted: tuple[Phrase, ...] = ()
    unwanted: tuple[Phrase, ...] = ()


def split(text: str) -> list[str]:
    """The words of a text, in order, in the one form in which they are compared."""
    if text.isascii():
        return [word[:_LONGEST] for word in _PLAIN_WORD.findall(text.lower())]
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_marks())
    return [word[:_LONGEST] for word in _WORD.findall(unicodedata.normalize("NFC", plain))]


def parse(query: str) -> Query:
    """What a query looks for: words, `"phrases"` and what is not to be there, after a `-`.

    The last word counts as the start of one, unless a space or a quote ends it. BAD_REQUEST naming `query` when it is
    too long.
    """
    if len(query) > MOST_CHARACTERS:
        raise bad_request("query", f"must have at most {MOST_CHARACTERS} characters, got {len(query)}")
    wanted: list[Phrase] = []
    unwanted: list[Phrase] = []
    for match in _PART.finditer(query):
        minus, quoted, other, bare = match.groups()
        if bare is not None and bare.startswith("-"):
            minus, bare = "-", bare[1:]
        words = tuple(split(next(text for text in (quoted, other, bare) if text is not None)))
        if words:
            is_open = bare is not None and not minus and match.end() == len(query)
            phrase = Phrase(words, is_open and len(words[-1]) >= LEAST_PREFIX)
            (unwanted if minus else wanted).append(phrase)
    count = len([word for phrase in (*wanted, *unwanted) for word in phrase.words])
    if count > MOST_WORDS:
        raise bad_request("query", f"must have at most {MOST_WORDS} words, got {count}")
    return Query(tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(unwanted)))


@cache
def _marks() -> dict[int, None]:
    """Accents and other marks, which do not make a word another one."""
    return {at: None for at in (*_WHERE_MARKS, *_WHERE_MORE_MARKS) if unicodedata.category(chr(at)).startswith("M")}
