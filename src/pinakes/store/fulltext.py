"""The full-text index: what goes into it, and how a query asks it.

A word is indexed as a *term*: the owner's number in hex, a letter for where the word stands, and the word. So the
lists that a search reads hold nothing of other projects, and one can ask for words in names without reading on about
those in prompts. `asset_text` and `model_text` have one row for each live asset and model under its number, and
keep none of the text (docs/decisions/0016-search.md).
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pinakes.collections import MemberNoun
from pinakes.store.dialect import NUMBERS, Driver, Row, Spelling, forget_terms, id_list, names_of, put_terms
from pinakes.words import Phrase, Query, split

PLACES: Final = "ntpx"
"""Where words stand, what weighs most first: name, tags, prompt (of models: trigger words), description.

No letter is a hex digit, so that it ends the owner's number.
"""

_TEXTS: dict[MemberNoun, str] = {
    "asset": """
        x.name, (SELECT json_group_array(t.name) FROM asset_tag t WHERE t.owner = x.owner AND t.asset = x.number),
        x.generation ->> 'prompt', NULL, x.description""",
    "model": """
        x.name, (SELECT json_group_array(t.name) FROM model_tag t WHERE t.owner = x.owner AND t.model = x.number),
        x.facts -> 'triggerWords', x.short_description, x.description""",
}
_READ: dict[MemberNoun, str] = {
    noun: f"SELECT x.number, {texts} FROM {NUMBERS} n CROSS JOIN {noun} x ON x.number = n.value"
    " WHERE x.owner = ? AND x.deleted_at IS NULL"
    for noun, texts in _TEXTS.items()
}

_decode = msgspec.json.Decoder(list[list[str | None]]).decode


def terms(*of: Any) -> str:
    """A function for a migration: the terms of a row, from its owner and the texts of each place as JSON."""
    owner, texts = of
    places = zip(PLACES, _decode(texts), strict=True)
    return _joined(owner, ((place, [text for text in found if text]) for place, found in places))


def index(driver: Driver, noun: MemberNoun, owner: int, numbers: list[int]) -> None:
    """Let searches find rows that are new, changed or restored; of the numbers those that are live. Two statements."""
    rows = driver.query(_READ[noun], (id_list(numbers), owner)) if numbers else []
    if rows:
        said = driver.spelling.terms
        found = [(row[0], said(_joined(owner, _placed(noun, row)))) for row in rows]
        driver.change(put_terms(f"{noun}_text", owner), (id_list(found),))


def forget(driver: Driver, noun: MemberNoun, owner: int, numbers: list[int]) -> None:
    """Let no search find rows that go to the trash or for good."""
    driver.change(forget_terms(f"{noun}_text", owner), (id_list(numbers),))


def _placed(noun: MemberNoun, row: Row) -> Iterator[tuple[str, list[str]]]:
    """The texts of a row, with the letter of their place."""
    _, name, tags, said, short, long = row
    said = [said] if noun == "asset" else names_of(said or "[]")
    texts = ([name], names_of(tags), said, [short, long])
    return zip(PLACES, ([text for text in found if text] for found in texts), strict=True)


def _joined(owner: int, placed: Iterator[tuple[str, list[str]]]) -> str:
    """All terms of a row. An empty word stands between two texts, lest a phrase go from one to the next."""
    return " ".join(_terms(_mark(owner, place), texts) for place, texts in placed)


def _terms(mark: str, texts: list[str]) -> str:
    gap = f" {mark} "
    return gap.join(" ".join([mark + word for word in split(text)]) for text in texts)


def _mark(owner: int, place: str) -> str:
    return f"{owner:05x}{place}"


def anywhere(spelling: Spelling, owner: int, query: Query) -> str:
    """What the index is asked for rows that a query wants."""
    return _without(spelling, _all(spelling, owner, query, PLACES), owner, query)


def unwanted(spelling: Spelling, owner: int, query: Query) -> str:
    """What the index is asked for rows that a query does not want, whatever else it wants."""
    return spelling.either.join(_in(spelling, owner, phrase, PLACES) for phrase in query.unwanted)


def ranked(spelling: Spelling, owner: int, query: Query) -> list[str]:
    """The same as `anywhere` in parts, best first: all in the name; else in name and tags; and so on.

    Each part begins with the terms of the place that it adds, so that it reads no further than these go.
    """
    parts = [_all(spelling, owner, query, PLACES[0])]
    for count in range(2, len(PLACES) + 1):
        some = spelling.either.join(_in(spelling, owner, phrase, PLACES[count - 1]) for phrase in query.wanted)
        wider, nearer = (_all(spelling, owner, query, PLACES[:most]) for most in (count, count - 1))
        parts.append(spelling.without.format(f"({some}){spelling.both}{wider}", nearer))
    return [_without(spelling, part, owner, query) for part in parts]


def _without(spelling: Spelling, wanted: str, owner: int, query: Query) -> str:
    return spelling.without.format(wanted, unwanted(spelling, owner, query)) if query.unwanted else wanted


def _all(spelling: Spelling, owner: int, query: Query, places: str) -> str:
    return spelling.both.join(f"({_in(spelling, owner, phrase, places)})" for phrase in query.wanted)


def _in(spelling: Spelling, owner: int, phrase: Phrase, places: str) -> str:
    """A phrase in any of the places. Words are letters and digits, so that nothing in the quotes can end them."""
    spelled = [spelling.then.join(_mark(owner, place) + word for word in phrase.words) for place in places]
    form = spelling.prefix if phrase.is_prefix else spelling.phrase
    return spelling.either.join(form.format(text) for text in spelled)
