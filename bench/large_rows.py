"""The rows of a large library, made up batch by batch for either engine: what they say agrees, as `check` wants it.

One project holds nearly all. Words, tags and models follow Zipf's law, as in prompts: the commonest word stands in
most, half of all words in very few. A few collections hold tens of thousands of assets, most hold a handful.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.search_library import KIND_WEIGHTS, KINDS, SIZE_WEIGHTS, SIZES, word
from pinakes import ids
from pinakes.asset_types import Generation, Ingredient
from pinakes.download_types import Archive, Member
from pinakes.store import fulltext
from pinakes.store.dialect import Spelling, json_text

WORDS, TAGS, PROMPT_WORDS, TAGS_EACH, ALIKE = 40_000, 2_000, 22, 3, 20
SHARE = 0.95
"""Of the first project; the others have the rest."""
TRASH = 0.02
BATCH = 10_000
JOBS = UPLOADS = DOWNLOADS = 2_000
START_MS, YEAR_MS = 1_735_689_600_000, 365 * 86_400_000
NEVER = "2999-01-01T00:00:00.000Z"

COLUMNS = {
    "asset": "number owner id name kind type mime_type sha256 size width height author_id parent_id root_id model_id"
    " created_at updated_at deleted_at has_thumbnail generation look",
    "asset_text": "owner rowid terms",
    "asset_look": "owner band asset look",
    "asset_tag": "owner asset name",
    "asset_use": "owner asset key role weight position sure",
    "asset_ingredient": "owner model asset role weight position sure",
    "collection_asset": "owner collection asset",
    "collection": "number owner id name asset_count model_count thumbnail_asset_id created_at updated_at deleted_at",
    "model": "number owner id name type status short_description thumbnail_asset_id author_id created_at updated_at"
    " deleted_at",
    "model_text": "owner rowid terms",
    "model_tag": "owner model name",
    "model_alias": "owner model key",
    "model_example": "owner model position asset",
    "collection_model": "owner collection model",
    "tag": "owner name item_count created_at updated_at",
    "job": "owner kind subject due_at",
    "upload": "owner id author_id kind source status file_name options created_at updated_at",
    "download": "owner id spec created_at",
}
"""What is written of each table; the rest has its defaults."""

_INGREDIENTS: dict[str, Callable[[int], Ingredient]] = {
    "checkpoint": lambda model: Ingredient("checkpoint", f"Model {model}"),
    "lora": lambda model: Ingredient("lora", f"Model {model}", weight=0.8),
}

Row = tuple[Any, ...]
Batch = dict[str, list[Row]]
Numbers = NDArray[np.int64]


class Sizes(NamedTuple):
    """How many there are of what is counted in a library."""

    assets: int
    collections: int
    memberships: int
    models: int


class Stored(NamedTuple):
    """Bytes that assets refer to."""

    sha256: str
    size: int


class _Noun:
    """Which project each thing is in, its id, its time, and when it was deleted if it was."""

    def __init__(self, dice: np.random.Generator, prefix: str, count: int, owners: list[int]) -> None:
        shares = [SHARE, *[(1 - SHARE) / (len(owners) - 1)] * (len(owners) - 1)]
        self.owner: Numbers = dice.choice(np.array(owners, np.int64), count, p=shares)
        self.of = {owner: np.flatnonzero(self.owner == owner) for owner in owners}
        step = YEAR_MS // max(1, count)
        self.at = [ids.iso(START_MS + number * step) for number in range(count)]
        self.id = [_id(dice, prefix, START_MS + number * step, number) for number in range(count)]
        gone = dice.random(count) < TRASH
        ago = dice.integers(0, 29 * 86_400_000, count)
        now = int(time.time() * 1000)
        self.deleted = [ids.iso(now - int(ms)) if is_gone else None for is_gone, ms in zip(gone, ago, strict=True)]
        self.is_live = ~gone


def _id(dice: np.random.Generator, prefix: str, ms: int, number: int) -> str:
    """An id as `ids.new` makes it at a time."""
    value = ms << 80 | 7 << 76 | (number & 0xFFF) << 64 | 2 << 62 | int(dice.integers(1 << 62))
    return f"{prefix}_{ids._base62(value)}"


class Library:
    """Rows in batches, by table. Numbers start at 1 and follow the order of creation."""

    def __init__(self, sizes: Sizes, owners: list[int], stored: list[Stored], spelling: Spelling) -> None:
        self._dice = np.random.default_rng(1)
        self._sizes, self._owners, self._stored, self._spelling = sizes, owners, stored, spelling
        self._assets = _Noun(self._dice, "asset", sizes.assets, owners)
        self._collections = _Noun(self._dice, "col", sizes.collections, owners)
        self._models = _Noun(self._dice, "model", sizes.models, owners)
        self._words = [word(rank) for rank in range(WORDS)]
        self._tags: Counter[tuple[int, str]] = Counter()
        self._asset_counts = np.zeros(sizes.collections, np.int64)
        self._model_counts = np.zeros(sizes.collections, np.int64)
        self._made = 0

    def batches(self) -> Iterator[Batch]:
        """Assets and all about them; then models; then what counts them."""
        for first in range(0, self._sizes.assets, BATCH):
            yield self._some_assets(range(first, min(first + BATCH, self._sizes.assets)))
        yield self._all_models()
        for first in range(0, self._sizes.collections, BATCH):
            yield {"collection": self._some_collections(range(first, min(first + BATCH, self._sizes.collections)))}
        yield self._rest()

    def _zipf(self, count: int, shape: tuple[int, ...]) -> Numbers:
        """Ranks from 0, each in proportion to 1 over it."""
        weights = np.cumsum(1 / np.arange(1, count + 1))
        found: Numbers = np.searchsorted(weights, self._dice.random(shape) * weights[-1]).astype(np.int64)
        return found

    def _some_assets(self, places: range) -> Batch:
        dice, count = self._dice, len(places)
        made: Batch = {name: [] for name in COLUMNS if name.startswith("asset")}
        prompts = self._zipf(WORDS, (count, PROMPT_WORDS)).tolist()
        tags = self._zipf(TAGS, (count, TAGS_EACH)).tolist()
        kinds = dice.choice(len(KINDS), count, p=np.array(KIND_WEIGHTS) / sum(KIND_WEIGHTS)).tolist()
        sizes = dice.choice(len(SIZES), count, p=np.array(SIZE_WEIGHTS) / sum(SIZE_WEIGHTS)).tolist()
        chances = dice.random((count, 6)).tolist()
        for at, place in enumerate(places):
            prompt = [self._words[rank] for rank in prompts[at]]
            shape = SIZES[sizes[at]] if KINDS[kinds[at]][0] in ("image", "video") else (None, None)
            self._asset(made, place, prompt, {f"tag {rank}" for rank in tags[at]}, kinds[at], shape, chances[at])
        made["collection_asset"] = self._memberships(places)
        return made

    def _asset(
        self, made: Batch, place: int, prompt: list[str], tags: set[str], kind: int, shape: Any, chances: list[float]
    ) -> None:
        assets, number, owner = self._assets, place + 1, int(self._assets.owner[place])
        said, used = self._links(made, owner, number, chances)
        name = f"{'_'.join(prompt[:3])}.png" if number % 2 else f"ComfyUI_{number:05}_.png"
        text = " ".join(prompt)
        generation = Generation(generator="ComfyUI", prompt=text, seed=str(number * 7919), ingredients=used)
        parent = self._parent(place, owner, chances[4])
        look = self._look(place)
        stored = self._stored[place % len(self._stored)]
        at, deleted = assets.at[place], assets.deleted[place]
        what = (name, *KINDS[kind], "image/png", stored.sha256, stored.size, *shape, f"key_{place % 10}")
        times = (at, at, deleted, True, json_text(generation), look)
        made["asset"].append((number, owner, assets.id[place], *what, parent, parent, said, *times))
        made["asset_tag"] += [(owner, number, tag) for tag in sorted(tags)]
        made["asset_look"] += [(owner, band << 16 | look >> 16 * band & 65535, number, look) for band in range(4)]
        if deleted is None:
            self._tags.update((owner, tag) for tag in tags)
            made["asset_text"].append((owner, number, self._terms(owner, [[name], sorted(tags), [text], []])))

    def _terms(self, owner: int, texts: list[list[str]]) -> str:
        return self._spelling.terms(fulltext.terms(owner, json.dumps(texts)))

    def _links(self, made: Batch, owner: int, number: int, chances: list[float]) -> tuple[str | None, list[Ingredient]]:
        """A checkpoint in each, a LoRA in half of them, and a third were uploaded with a model."""
        wanted = ["checkpoint", *(["lora"] if chances[0] < 0.5 else [])]
        picked = [self._model(owner, chance) for chance in chances[1:4]]
        uses: dict[str, Row] = {}
        links: dict[int, Row] = {}
        said = self._models.id[picked[2]] if chances[5] < 0.3 else None
        if said is not None:
            uses[f"id:{said}"] = ("said", None, -1, 2)
            links[picked[2]] = ("said", None, -1, 2)
        for position, (role, model) in enumerate(zip(wanted, picked, strict=False)):
            row = (role, 0.8 if role == "lora" else None, position, 1)
            for key in (f"name:model_{model}", f"{role}:model_{model}"):
                uses.setdefault(key, row)
            links.setdefault(model, row)
        made["asset_use"] += [(owner, number, key, *row) for key, row in uses.items()]
        made["asset_ingredient"] += [(owner, model + 1, number, *row) for model, row in links.items()]
        return said, [_INGREDIENTS[role](model) for role, model in zip(wanted, picked, strict=False)]

    def _model(self, owner: int, chance: float) -> int:
        """The place of one of the project's models; the first is in most."""
        of = self._models.of[owner]
        return int(of[int(len(of) * chance**3)])

    def _parent(self, place: int, owner: int, chance: float) -> str | None:
        """One in twenty was made of another."""
        of = self._assets.of[owner]
        if chance > 0.05 or of[0] == place:
            return None
        return self._assets.id[int(of[int(np.searchsorted(of, place) * chance * 20 * 0.999)])]

    def _look(self, place: int) -> int:
        """Twenty in a row differ in a bit or none."""
        look = (place // ALIKE * 0x9E3779B97F4A7C15 + 0x1234567) & (1 << 64) - 1
        look ^= 1 << (place % 64) if place % 3 else 0
        return look - (1 << 64) if look >> 63 else look

    def _memberships(self, places: range) -> list[Row]:
        """Half go to collections at random, half to a few large ones. All in all as many as are wanted."""
        made: list[Row] = []
        total = math.ceil(self._sizes.memberships * places.stop / self._sizes.assets)
        for owner in self._owners:
            here = np.arange(places.start, places.stop)[self._assets.owner[places.start : places.stop] == owner]
            of = self._collections.of[owner]
            if not len(here) or not len(of):
                continue
            wanted = round((total - self._made) * len(here) / len(places))
            pairs = self._pairs(here, of, min(wanted, len(here) * len(of) // 2))
            collections, members = pairs // (1 << 32), pairs % (1 << 32)
            np.add.at(self._asset_counts, collections[self._assets.is_live[members]], 1)
            made += zip([owner] * len(pairs), (collections + 1).tolist(), (members + 1).tolist(), strict=True)
        self._made += len(made)
        return made

    def _pairs(self, members: Numbers, collections: Numbers, wanted: int) -> Numbers:
        found = np.empty(0, np.int64)
        while len(found) < wanted:
            more = wanted - len(found)
            skewed = np.where(self._dice.random(more) < 0.5, 1.0, 3.0)
            picked = collections[(len(collections) * self._dice.random(more) ** skewed).astype(np.int64)]
            found = np.unique(np.concatenate([found, picked * (1 << 32) + self._dice.choice(members, more)]))
        return found

    def _all_models(self) -> Batch:
        made: Batch = {name: [] for name in ("model", "model_text", "model_tag", "model_alias", "model_example")}
        made["collection_model"] = []
        models = self._models
        for place in range(self._sizes.models):
            number, owner, name = place + 1, int(models.owner[place]), f"Model {place}"
            assets, shelves, deleted = self._assets.of[owner], self._collections.of[owner], models.deleted[place]
            shown = [int(assets[at]) for at in self._dice.integers(0, len(assets), 3)] if len(assets) else []
            cover = self._assets.id[shown[0]] if place % 3 == 0 and shown else None
            times = (models.at[place], models.at[place], deleted)
            row = ("custom", "trained", "A model of the benchmark", cover, "key_0", *times)
            made["model"].append((number, owner, models.id[place], name, *row))
            tag = f"tag {place % 50}"
            made["model_tag"].append((owner, number, tag))
            keys = (f"fileless:model_{place}", f"id:{models.id[place]}", f"name:model_{place}")
            made["model_alias"] += [(owner, number, key) for key in keys]
            made["model_example"] += [(owner, number, at, asset + 1) for at, asset in enumerate(shown)]
            joined = {int(shelves[at]) for at in self._dice.integers(0, len(shelves), 2)} if len(shelves) else set()
            made["collection_model"] += [(owner, shelf + 1, number) for shelf in sorted(joined)]
            if deleted is None:
                self._tags[owner, tag] += 1
                self._model_counts[list(joined)] += 1
                texts = [[name], [tag], [], [row[2]]]
                made["model_text"].append((owner, number, self._terms(owner, texts)))
        return made

    def _some_collections(self, places: range) -> list[Row]:
        made: list[Row] = []
        for place in places:
            owner, times = int(self._collections.owner[place]), self._collections
            assets = self._assets.of[owner]
            cover = self._assets.id[int(assets[place % len(assets)])] if place % 10 == 0 and len(assets) else None
            counts = (int(self._asset_counts[place]), int(self._model_counts[place]))
            at = times.at[place]
            row = (place + 1, owner, times.id[place], f"Shelf {place}", *counts, cover, at, at, times.deleted[place])
            made.append(row)
        return made

    def _rest(self) -> Batch:
        now, owner = ids.now(), self._owners[0]
        spec = json_text(Archive("archive.zip", [Member(self._assets.id[0], "a.png")]))
        upload = ("key_0", "image", "multipart", "imported", "a.png", "{}", now, now)
        return {
            "tag": [(of, name, count, now, now) for (of, name), count in self._tags.items()],
            "job": [(owner, "link", "none", NEVER)] * JOBS,
            "upload": [(owner, f"upload_{number:022}", *upload) for number in range(UPLOADS)],
            "download": [(owner, f"job_{number:022}", spec, now) for number in range(DOWNLOADS)],
        }
