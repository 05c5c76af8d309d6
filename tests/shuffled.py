"""A library made at random, with something in every table."""

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from conftest import make_png, new_actor

from pinakes import assets, collections, downloads, mlmodels, uploads
from pinakes.access import Actor
from pinakes.asset_types import NO_FACTS, THUMBNAIL_SIZES, Bytes, Facts, Generation, Ingredient
from pinakes.assets import AssetPatch, NewAsset
from pinakes.collections import CollectionPatch, NewCollection
from pinakes.download_types import ArchiveOptions, ArchiveQuery, NewArchive
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.tags import TagChange
from pinakes.upload_types import NewUpload

NAMES = ("mossy stone", "fox", "Ωmega", "glow 'fox'", 'a "b" \\ c\t\n', "石頭🪨", "\\u0000 no NUL", "x" * 300)
TAGS = ("red", "blue", "Ärger", "a'b", "rouge\tnoir")


class Shuffled:
    """Random changes to a library, of several projects, by whoever holds the dice."""

    def __init__(self, library: Library, dice: random.Random, actors: list[Actor] | None = None) -> None:
        self.library, self.dice = library, dice
        self.actors = actors or [new_actor(library) for _ in range(3)]
        self.things: dict[tuple[str, str], list[str]] = {}
        self.verbs: list[Callable[[Actor], Any]] = [
            *[self.make_asset] * 4,
            *(self.make_model, self.make_collection, self.join, self.leave, self.tag, self.tag, self.rename),
            *(
                self.trash,
                self.restore,
                self.cover,
                self.describe,
                self.example,
                self.begin_upload,
                self.ask,
                self.copy,
            ),
        ]

    def run(self, steps: int) -> "Shuffled":
        """Do so many things. What cannot be done just now is passed over."""
        for _ in range(steps):
            try:
                self.dice.choice(self.verbs)(self.dice.choice(self.actors))
            except (PinakesError, IndexError) as error:
                if isinstance(error, PinakesError) and error.code not in (
                    "NOT_FOUND",
                    "BAD_REQUEST",
                    "GONE",
                    "FORBIDDEN",
                ):
                    raise
        return self

    def of(self, actor: Actor, noun: str) -> list[str]:
        return self.things.setdefault((actor.project_id, noun), [])

    def one(self, actor: Actor, noun: str) -> str:
        return self.dice.choice(self.of(actor, noun))

    def some(self, actor: Actor, noun: str) -> list[str]:
        found = self.of(actor, noun)
        return self.dice.sample(found, min(len(found), self.dice.randint(1, 12)))

    def bytes(self) -> Bytes:
        """A picture, a few of which are of the same bytes, with what may be known of one."""
        data = make_png(grey=self.dice.randrange(40))
        hash, dice = self.library.blobs.put(data), self.dice
        self.library.blobs.put_pictures(hash, {size: b"webp %d" % size for size in THUMBNAIL_SIZES}, None)
        if dice.random() < 0.1:
            self.library.blobs.put_converted(hash, "jpeg", b"jpeg")
        known = [Ingredient("lora", name, weight=weight) for name, weight in (("fox", 0.75), ("mossy stone", 1.0))]
        generation = Generation(
            generator="A1111",
            prompt=dice.choice(["glow fox", "stone\nred", ""]),
            ingredients=known[: dice.randint(0, 2)],
        )
        look = dice.getrandbits(64) - (1 << 63)
        return Bytes(
            *(hash, len(data), "image", "image/png", "png", 2, 2, 1),
            has_thumbnail=True,
            facts=Facts(channels=2, duration=0.5) if dice.random() < 0.5 else NO_FACTS,
            generation=generation if dice.random() < 0.5 else None,
            look=look if dice.random() < 0.7 else None,
        )

    def make_asset(self, actor: Actor) -> None:
        joined = [self.one(actor, "collection")] if self.of(actor, "collection") and self.dice.random() < 0.5 else []
        new = NewAsset(self.dice.choice(NAMES), "", collection_ids=joined, hide=self.dice.random() < 0.1)
        self.of(actor, "asset").append(assets.create(self.library, actor, new, self.bytes()).id)

    def make_model(self, actor: Actor) -> None:
        new = NewModel(name=self.dice.choice(NAMES), short_description=self.dice.choice(NAMES))
        self.of(actor, "model").append(mlmodels.create(self.library, actor, new).id)

    def make_collection(self, actor: Actor) -> None:
        new = NewCollection(self.dice.choice(NAMES))
        self.of(actor, "collection").append(collections.create(self.library, actor, new).id)

    def noun(self) -> Any:
        return self.dice.choice(["asset", "asset", "model"])

    def join(self, actor: Actor) -> None:
        noun = self.noun()
        collections.add(self.library, actor, self.one(actor, "collection"), noun, self.some(actor, noun))

    def leave(self, actor: Actor) -> None:
        noun = self.noun()
        collections.remove(self.library, actor, self.one(actor, "collection"), noun, self.some(actor, noun))

    def tag(self, actor: Actor) -> None:
        noun = self.noun()
        verb = assets.update_tags if noun == "asset" else mlmodels.update_tags
        add, gone = self.dice.sample(TAGS, 2), self.dice.sample(TAGS, 1)
        change = TagChange(add=add, delete=[name for name in gone if name not in add], strict=False)
        verb(self.library, actor, self.one(actor, noun), change)

    def rename(self, actor: Actor) -> None:
        assets.update(self.library, actor, self.one(actor, "asset"), AssetPatch(name=self.dice.choice(NAMES)))

    def trash(self, actor: Actor) -> None:
        if self.dice.random() < 0.2:
            collections.delete(self.library, actor, self.one(actor, "collection"))
        elif self.dice.random() < 0.3:
            mlmodels.delete(self.library, actor, self.one(actor, "model"))
        else:
            assets.delete(self.library, actor, self.some(actor, "asset")[:3])

    def restore(self, actor: Actor) -> None:
        assets.restore(self.library, actor, self.some(actor, "asset"))

    def cover(self, actor: Actor) -> None:
        patch = CollectionPatch(thumbnail=self.one(actor, "asset"))
        collections.update(self.library, actor, self.one(actor, "collection"), patch)

    def describe(self, actor: Actor) -> None:
        mlmodels.update_description(self.library, actor, self.one(actor, "model"), f"# {self.dice.choice(NAMES)}")
        mlmodels.update(self.library, actor, self.one(actor, "model"), ModelPatch(name=self.dice.choice(NAMES)))

    def example(self, actor: Actor) -> None:
        mlmodels.update_examples(self.library, actor, self.one(actor, "model"), self.some(actor, "asset")[:3])

    def begin_upload(self, actor: Actor) -> None:
        """One with a part that has arrived."""
        new = NewUpload(file_name="large.bin", file_size=60.0, kind="asset", parts=2.0)
        upload = uploads.create(self.library, actor, new)
        writer = self.library.parts.begin(upload.id, 1)
        writer.write(self.dice.randbytes(30))
        uploads.add_part(self.library, actor.project_id, upload.id, writer.finish())

    def ask(self, actor: Actor) -> None:
        """For an archive."""
        new = NewArchive(ArchiveOptions("{name}"), ArchiveQuery(asset_ids=self.some(actor, "asset")))
        downloads.create(self.library, actor, downloads.plan(self.library, actor, new))

    def copy(self, actor: Actor) -> None:
        """Of an asset, to any project: another's key may not, and changes nothing then."""
        to = self.dice.choice(self.actors)
        id = assets.copy(self.library, actor, self.one(actor, "asset"), to.project_id).id
        self.of(to, "asset").append(id)


def files_in(library: Library) -> dict[str, str]:
    """The hash of everything under every key of the blob store."""
    return {
        path: sha256(library.blobs.store.get(path).bytes()).hexdigest()
        for prefix in ("blobs", "thumbnails", "uploads")
        for path, _, _ in library.blobs.paths(prefix)
    }
