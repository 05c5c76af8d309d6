"""The full-text index: what goes into it, and how a query asks it.

A word is indexed as a *term*: the owner's number in hex, a letter for where the word stands, and the word. So the
lists that a search reads hold nothing of other projects, and one can ask for words in names without reading on about
those in prompts. `asset_text` and `model_text` have one row for each live asset and model under its number, and
keep none of the text (docs/decisions/0016-search.md).
"""

from typing import Any, Final

import msgspec

from pinakes.collections import MemberNoun
from pinakes.store.dialect import IDS
from pinakes.words import Phrase, Query, split

PLACES: Final = "ntpx"
"""Where words stand, what weighs most first: name, tags, prompt (of models: trigger words), description.

No letter is a hex digit, so that it ends the owner's number.
"""

_TEXTS: dict[MemberNoun, str] = {
    "asset": """json_array(
        json_array(x.name),
        json((SELECT json_group_array(t.name) FROM asset_tag t WHERE t.owner = x.owner AND t.asset = x.number)),
        json_array(x.generation ->> '$.prompt'),
        json_array(x.description))""",
    "model": """json_array(
        json_array(x.name),
        json((SELECT json_group_array(t.name) FROM model_tag t WHERE t.owner = x.owner AND t.model = x.number)),
        json(coalesce(x.facts -> '$.triggerWords', '[]')),
        json_array(x.short_description, x.description))""",
}

INDEX: dict[MemberNoun, str] = {
    noun: f"INSERT OR REPLACE INTO {noun}_text (rowid, terms) SELECT x.number, terms(x.owner, {texts})"
    f" FROM json_each(?) n CROSS JOIN {noun} x ON x.number = n.value WHERE x.owner = ? AND x.deleted_at IS NULL"
    for noun, texts in _TEXTS.items()
}
"""Indexes rows that are new, changed or restored; takes numbers and owner. The order of texts is that of `PLACES`."""

FORGET: dict[MemberNoun, str] = {noun: f"DELETE FROM {noun}_text WHERE rowid IN {IDS}" for noun in INDEX}
"""Lets no search find rows that go to the trash or for good; takes numbers."""

_decode = msgspec.json.Decoder(list[list[str | None]]).decode


def terms(*of: Any) -> str:
    """The SQL function of that name: the terms of a row, from its owner and the texts of each place as JSON.

    An empty word stands between two texts, lest a phrase go from one to the next.
    """
    owner, texts = of
    places = zip(PLACES, _decode(texts), strict=True)
    return " ".join(_terms(_mark(owner, place), [text for text in found if text]) for place, found in places)


def _terms(mark: str, texts: list[str]) -> str:
    gap = f" {mark} "
    return gap.join(" ".join([mark + word for word in split(text)]) for text in texts)


def _mark(owner: int, place: str) -> str:
    return f"{owner:05x}{place}"


def anywhere(owner: int, query: Query) -> str:
    """What the index is asked for rows that a query wants."""
    return _without(_all(owner, query, PLACES), owner, query)


def unwanted(owner: int, query: Query) -> str:
    """What the index is asked for rows that a query does not want, whatever else it wants."""
    return " OR ".join(_in(owner, phrase, PLACES) for phrase in query.unwanted)


def ranked(owner: int, query: Query) -> list[str]:
    """The same as `anywhere` in parts, best first: all in the name; else in name and tags; and so on.

    Each part begins with the terms of the place that it adds, so that it reads no further than these go.
    """
    parts = [_all(owner, query, PLACES[0])]
    for count in range(2, len(PLACES) + 1):
        some = " OR ".join(_in(owner, phrase, PLACES[count - 1]) for phrase in query.wanted)
        wider, nearer = _all(owner, query, PLACES[:count]), _all(owner, query, PLACES[: count - 1])
        parts.append(f"(({some}) AND {wider}) NOT ({nearer})")
    return [_without(part, owner, query) for part in parts]


def _without(wanted: str, owner: int, query: Query) -> str:
    return f"({wanted}) NOT ({unwanted(owner, query)})" if query.unwanted else wanted


def _all(owner: int, query: Query, places: str) -> str:
    return " AND ".join(f"({_in(owner, phrase, places)})" for phrase in query.wanted)


def _in(owner: int, phrase: Phrase, places: str) -> str:
    """A phrase in any of the places. Words are letters and digits, so that nothing in the quotes can end them."""
    spelled = [" ".join(_mark(owner, place) + word for word in phrase.words) for place in places]
    return " OR ".join(f'"{text}"{" *" if phrase.is_prefix else ""}' for text in spelled)
