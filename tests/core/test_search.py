"""Searches against a plain reading of what they say, over random libraries on the real store."""

import random
import re
import unicodedata
from typing import Any

import msgspec
import pytest
from conftest import Clock, new_actor, store_png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinakes import assets, collections, mlmodels, search
from pinakes.asset_types import Generation
from pinakes.assets import AssetPatch, NewAsset
from pinakes.collections import NewCollection
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.search import Images, Search
from pinakes.store import looks
from pinakes.store import search as store_search
from pinakes.tags import TagChange
from pinakes.words import parse, split

N = 60
_WORDS = """
    red red fox fox foxes Fähre faehre ÉTÉ ete été tower 東京 東京タワー 京都 🦊 a1 re x O'Neil İstanbul Straße STRASSE
"""
WORDS = _WORDS.split()
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Row(msgspec.Struct, frozen=True):
    """An asset or model as the reference sees it: the texts of each place, and what filters compare."""

    id: str
    number: int
    texts: tuple[list[str], ...]
    fields: dict[str, Any]
    look: int | None


class Lot:
    """A library with a bit of everything, some of it changed, in the trash, back from it, or another project's."""

    def __init__(self, library: Library, clock: Clock, seed: int) -> None:
        self.library, self.clock, self.dice = library, clock, random.Random(seed)
        self.actor, self.other = new_actor(library), new_actor(library)
        self.shelves = [collections.create(library, self.actor, NewCollection(name)).id for name in "xyz"]
        self.looks = [self.dice.getrandbits(64) - (1 << 63) for _ in range(3)]
        self.stored = store_png(library)
        self.assets = [row for number in range(N) if (row := self._asset(number))]
        self.models = [row for number in range(N // 2) if (row := self._model(number))]

    def words(self, most: int = 4) -> str:
        return self.dice.choice(" _-").join(self.dice.choices(WORDS, k=self.dice.randint(0, most)))

    def _asset(self, number: int) -> Row | None:
        dice, library, prompt, width = self.dice, self.library, self.words(6), self.dice.choice([None, 1, 2, 3, 4])
        actor = dice.choice([self.actor] * 5 + [self.other])
        look = dice.choice([None, *self.looks])
        look = None if look is None else _flipped(look, dice.sample(range(64), dice.randint(0, 15)))
        data = msgspec.structs.replace(
            self.stored,
            kind=dice.choice(["image", "video"]),
            width=width,
            size=dice.randint(1, 4),
            look=look,
            generation=Generation(generator="test", prompt=prompt) if prompt else None,
        )
        self.clock.move(ms=dice.randint(0, 2))
        chosen = dice.sample(self.shelves, dice.randint(0, 2)) if actor is self.actor else []
        name, tags, description = self.words() or "a", {self.words(2) or "b" for _ in range(dice.randint(0, 3))}, None
        made = assets.create(library, actor, NewAsset(name, "", collection_ids=chosen), data)
        assets.update_tags(library, actor, made.id, TagChange(add=[*tags, "gone"]))
        assets.update_tags(library, actor, made.id, TagChange(delete=["gone"]))
        if dice.random() < 0.5:
            self.clock.move(ms=dice.randint(0, 2))
            name, description = self.words() or "c", self.words(8)
            assets.update(library, actor, made.id, AssetPatch(name=name, description=description))
        if dice.random() < 0.3:
            assets.delete(library, actor, [made.id])
            if dice.random() < 0.5:
                return None
            assets.restore(library, actor, [made.id])
        now = assets.get(library, actor, made.id)
        fields = {
            "name": name,
            "tags": tags,
            "collectionIds": set(chosen),
            "kind": data.kind,
            "width": width,
            "size": data.size,
            "createdAt": now.created_at,
            "updatedAt": now.updated_at,
        }
        texts = ([name], sorted(tags), [prompt], [description or ""])
        return Row(made.id, number, texts, fields, look) if actor is self.actor else None

    def _model(self, number: int) -> Row | None:
        dice, library, actor = self.dice, self.library, self.actor
        name, short, long, tags = self.words(), self.words(), self.words(6), {self.words(1) or "b"}
        self.clock.move(ms=dice.randint(0, 2))
        chosen = dice.sample(self.shelves, dice.randint(0, 2))
        made = mlmodels.create(library, actor, NewModel(name=name or "n", collection_ids=chosen))
        mlmodels.update(library, actor, made.id, ModelPatch(short_description=short))
        mlmodels.update_description(library, actor, made.id, long)
        mlmodels.update_tags(library, actor, made.id, TagChange(add=[*tags]))
        shown = dice.sample(self.assets, dice.randint(0, 2))
        mlmodels.update_examples(library, actor, made.id, [row.id for row in shown[:1]])
        near = [row.look for row in shown[:1] if row.look is not None]
        if dice.random() < 0.2:
            mlmodels.delete(library, actor, made.id)
            if dice.random() < 0.5:
                return None
            mlmodels.restore(library, actor, made.id)
        now = mlmodels.get(library, actor, made.id)
        fields = {"name": name or "n", "tags": tags, "collectionIds": set(chosen), "updatedAt": now.updated_at}
        fields["createdAt"] = now.created_at
        return Row(made.id, number, ([name or "n"], [*tags], [], [short, long]), fields, near[0] if near else None)


def _flipped(look: int, bits: list[int]) -> int:
    for bit in bits:
        look ^= 1 << bit if bit < 63 else -1 << 63
    return look


def plain_words(text: str) -> list[str]:
    """The words of a text of this test: letters without marks, and each character of Japanese and emoji alone."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return re.findall(r"[぀-ヿ一-鿿🦊]|[^\W_぀-ヿ一-鿿🦊]+", bare)


def has(texts: list[str], words: list[str], is_prefix: bool) -> bool:
    """Whether the words stand beside each other in one of the texts; the last may go on."""
    for text in texts:
        found = plain_words(text)
        for at in range(len(found) - len(words) + 1):
            *first, last = found[at : at + len(words)]
            if first == words[:-1] and (last == words[-1] or (is_prefix and last.startswith(words[-1]))):
                return True
    return False


def place(row: Row, phrases: list[tuple[list[str], bool]]) -> int | None:
    """How many places it takes, the first being the name, until all phrases are found; from 0."""
    for count in range(4):
        if all(any(has(texts, *phrase) for texts in row.texts[: count + 1]) for phrase in phrases):
            return count
    return None


class Wish(msgspec.Struct, frozen=True):
    """A search, as text and as what it means: phrases, and a test of the fields."""

    words: tuple[tuple[str, bool], ...] = ()
    without: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    like: int | None = None
    unlike: int | None = None
    sort: tuple[str, ...] = ()

    @property
    def filter(self) -> str:
        return " AND ".join(f"({text})" for text in self.tests)

    @property
    def query(self) -> str:
        shown = [f'-"{text}"' for text in self.without]
        shown += [f'"{text}"' if is_quoted else text for text, is_quoted in self.words]
        return " ".join(shown)

    @property
    def phrases(self) -> list[tuple[list[str], bool]]:
        found = [(plain_words(text), is_quoted) for text, is_quoted in self.words]
        last = len(found) - 1
        return [
            (words, at == last and not is_quoted and len(words[-1]) > 1) for at, (words, is_quoted) in enumerate(found)
        ]


TESTS: dict[str, Any] = {
    "kind = image": lambda f: f["kind"] == "image",
    "width > 2": lambda f: f["width"] is not None and f["width"] > 2,
    "width != 2": lambda f: f["width"] != 2,
    "width NOT EXISTS": lambda f: f["width"] is None,
    "size IN [1, 3]": lambda f: f["size"] in (1, 3),
    "size >= 2 AND size < 4": lambda f: 2 <= f["size"] < 4,
    'tags = "red" OR tags = fox': lambda f: bool(f["tags"] & {"red", "fox"}),
    "tags NOT IN [red, b]": lambda f: not f["tags"] & {"red", "b"},
    "tags EXISTS": lambda f: bool(f["tags"]),
    "collectionIds EXISTS": lambda f: bool(f["collectionIds"]),
    "name = a": lambda f: f["name"] == "a",
    "NOT (collectionIds EXISTS AND tags EXISTS)": lambda f: not (f["collectionIds"] and f["tags"]),
}
COMMON = [text for text in TESTS if not re.search(r"kind|width|size", text)]
SORTS = ["createdAt:asc", "createdAt:desc", "updatedAt:desc", "name:asc", "name:desc"]
ASSET_SORTS = [*SORTS, "width:asc", "width:desc", "size:asc"]


def wishes(tests: list[str], sorts: list[str]) -> st.SearchStrategy[Wish]:
    phrases = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)
    word = st.tuples(st.sampled_from([*WORDS, "re", "fo", "東", "stra", "tow", "fae"]), st.just(False))
    return st.builds(
        Wish,
        words=st.lists(word | st.tuples(phrases, st.just(True)), max_size=3).map(tuple),
        without=st.just(()) | st.just(()) | phrases.map(lambda text: (text,)),
        tests=st.lists(st.sampled_from(tests), max_size=2).map(tuple),
        like=st.none() | st.none() | st.integers(0, 2),
        unlike=st.none() | st.none() | st.none() | st.integers(0, 2),
        sort=st.just(()) | st.lists(st.sampled_from(sorts), max_size=2, unique_by=lambda s: s[:4]).map(tuple),
    )


def expected(rows: list[Row], wish: Wish, pictures: list[int]) -> list[str]:
    """Ids in order, by looking at every row."""
    found = []
    for row in rows:
        near = None if wish.like is None else _bits(row.look, pictures[wish.like])
        far = None if wish.unlike is None else _bits(row.look, pictures[wish.unlike])
        where = place(row, wish.phrases)
        if (
            where is not None
            and all(TESTS[text](row.fields) for text in wish.tests)
            and not any(has(all_texts, plain_words(text), False) for text in wish.without for all_texts in row.texts)
            and (wish.like is None or (near is not None and near <= looks.MOST_DIFFERENT))
            and (far is None or far > looks.MOST_DIFFERENT)
        ):
            found.append((near if wish.like is not None else where if wish.words else 0, row))
    if not wish.sort and (wish.like is not None or wish.words):
        return [row.id for _, row in sorted(found, key=lambda pair: (pair[0], -pair[1].number))]
    ordered = [row for _, row in found]
    sort = wish.sort or ("createdAt:desc",)
    ordered.sort(key=lambda row: row.number, reverse=sort[0].endswith("desc"))
    for text in reversed(sort):
        field, _, way = text.partition(":")
        ordered.sort(key=lambda row: _key(row.fields[field]), reverse=way == "desc")
    return [row.id for row in ordered]


def _key(value: Any) -> Any:
    return (value is not None, value) if not isinstance(value, str) else value.encode()


def _bits(look: int | None, other: int) -> int | None:
    return None if look is None else ((look ^ other) & (1 << 64) - 1).bit_count()


@pytest.fixture(params=[1, 2])
def lot(request: pytest.FixtureRequest, clock: Clock, library: Library) -> Lot:
    return Lot(library, clock, request.param)


@pytest.fixture(params=["usual", "small"])
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bounds as they are, and so small that every search of this lot goes the way of large ones."""
    if request.param == "small":
        for name in ("FEW", "MANY", "MOST_COUNTED", "_SAMPLE"):
            monkeypatch.setattr(store_search, name, 3)
    return str(request.param)


def walk(find: Any, wish: Wish, pictures: list[int], size: int, bounds: str) -> list[str]:
    """All hits page by page, as the SDK asks for them, checking what is said of their number."""
    seen = {f"data:{at}": look for at, look in enumerate(pictures)}
    like, unlike = ([] if at is None else [f"data:{at}"] for at in (wish.like, wish.unlike))
    found: list[str] = []
    totals = []
    while True:
        asked = Search(wish.query, wish.filter, None, Images(like, unlike), False, wish.sort, len(found), size)
        hits = find(asked, seen)
        found += [hit.id for hit in hits.items]
        totals.append(hits.total)
        if len(found) >= hits.total or not hits.items:
            break
    assert totals[-1] == len(found)
    assert bounds == "small" or set(totals) == {len(found)}
    return found


def test_assets_are_found_as_a_plain_reading_finds_them(lot: Lot, bounds: str) -> None:
    @SETTINGS
    @given(wishes(list(TESTS), ASSET_SORTS), st.integers(1, 30))
    def agrees(wish: Wish, size: int) -> None:
        found = walk(lambda *of: search.find_assets(lot.library, lot.actor, *of), wish, lot.looks, size, bounds)
        assert found == expected(lot.assets, wish, lot.looks)

    agrees()


def test_models_are_found_as_a_plain_reading_finds_them(lot: Lot, bounds: str) -> None:
    @SETTINGS
    @given(wishes(COMMON, SORTS), st.integers(1, 30))
    def agrees(wish: Wish, size: int) -> None:
        found = walk(lambda *of: search.find_models(lot.library, lot.actor, *of), wish, lot.looks, size, bounds)
        assert found == expected(lot.models, wish, lot.looks)

    agrees()


@given(st.text(max_size=40))
def test_any_text_is_cut_into_words_that_it_is_found_by(text: str) -> None:
    words = split(text)
    assert [word for word in words if split(word) != [word]] == []
    assert not re.search(r"[\s\"*(){}^:+-]", "".join(words))
    assert [word for phrase in parse(f'"{text.replace(chr(34), " ")}"').wanted for word in phrase.words] == words
