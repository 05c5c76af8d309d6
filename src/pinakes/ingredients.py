"""Which models of the library an asset was made with. What its file says meets what models are known by, in *keys*.

* `hash:<hex>`: a hash in one of the community's short forms. It says which file it was, and decides.
* `lora:<stem>`, `checkpoint:<stem>`, …: a model whose file tells what it is for. `name:<stem>`: one of which that is
  not known. A name decides where no hash was said.
* `fileless:<stem>`: a model without a file. Nothing tells that it is another than the one whose hash was said.
* `id:<id>`: what was said with the upload.

Both sides store their keys and find the other's, so that it does not matter who comes first.
"""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from pinakes.asset_types import FoundAsset, Ingredient, Link, UsedModel
from pinakes.model_types import FoundModel

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx
    from pinakes.store.jobs import Job

SHORT_FORMS = (8, 10, 12, 64)
"""Digits of a hash as files say it: AutoV1 and old tools, AutoV2, AutoV3, and all of them."""
BY_HASH, BY_NAME, FOR_WANT_OF_A_HASH = 2, 1, 0
"""How sure a key is. The last gives way to a model with the hash."""

_EXTENSION = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|gguf|onnx)$", re.IGNORECASE)
_GAP = re.compile(r"[\s_-]+")
_OTHER_HASHES = {"InvokeAI"}
"""Generators that write hashes which nobody else takes (BLAKE3): that they fit nothing says nothing."""
_NOTHING = hashlib.sha256().hexdigest()
"""What some programs write for a file that they could not hash."""
_NO_NAMES = {
    *("", "adapter_model", "checkpoint", "consolidated", "diffusion_pytorch_model", "embedding", "lora", "model"),
    *("pytorch_lora_weights", "pytorch_model", "unet", "untitled", "vae"),
}


class Use(msgspec.Struct, frozen=True, array_like=True):
    """A key that an asset was made with. `role` is the ingredient's, or `said`; `position` is -1 then."""

    key: str
    role: str
    weight: float | None
    position: int
    sure: int


def stem(name: str) -> str:
    """A model's name as names are compared: without its ending, in one case, with `_` for every gap; "" for no name."""
    text = unicodedata.normalize("NFKC", _EXTENSION.sub("", name.strip())).casefold()
    found = _GAP.sub("_", text).strip("_")
    return "" if found in _NO_NAMES else found


def uses(row: FoundAsset) -> list[Use]:
    """The keys of an asset, each once."""
    generation = row.bytes.generation
    said = [] if row.model_id is None else [Use(f"id:{row.model_id}", "said", None, -1, BY_HASH)]
    if generation is not None:
        is_known = generation.generator not in _OTHER_HASHES
        for position, one in enumerate(generation.ingredients):
            weight = None if one.weight is UNSET else one.weight
            said += [Use(key, one.role, weight, position, sure) for key, sure in _keys(one, is_known)]
    return list({use.key: use for use in reversed(said)}.values())


def _keys(one: Ingredient, is_hash_known: bool) -> list[tuple[str, int]]:
    """What an ingredient can be found by, and how sure that is."""
    name, hash = stem(_base(one.name)), _short(one.hash)
    named = [f"name:{name}", f"{one.role}:{name}"] if name else []
    if not hash:
        return [(key, BY_NAME) for key in named]
    if is_hash_known and len(one.hash) in SHORT_FORMS:
        named = [f"fileless:{name}"] if name else []  # a file of that name with another hash is another file
    return [(f"hash:{hash}", BY_HASH), *((key, FOR_WANT_OF_A_HASH) for key in named)]


def aliases(row: FoundModel) -> list[str]:
    """The keys of a model."""
    file, facts = row.file, row.facts
    names = {stem(row.name or "")}
    hashes: list[str | None] = []
    if file is not None:
        names.add(stem(_base(file.file_name)))
        hashes += [file.auto_v1, *_short_forms(file.sha256), *_short_forms(file.tensors)]
    if facts is not None:
        names.add(stem(facts.name or ""))
        hashes += _short_forms(facts.tensors_hash or None)
    role = "name" if facts is None or facts.role == "unknown" else facts.role
    kinds = [role] if file is not None else [role, "fileless"]
    named = {f"{kind}:{name}" for kind in kinds for name in names if name}
    return sorted({f"id:{row.id}", *named, *(f"hash:{hash}" for hash in hashes if hash)})


def _base(path: str) -> str:
    """Without folders, of either kind of slash."""
    return re.split(r"[/\\]", path)[-1]


def _short(hash: str) -> str:
    """The longest short form of a hash; "" when it has too few digits to tell files apart."""
    length = max((form for form in SHORT_FORMS if form <= len(hash)), default=0)
    return "" if _NOTHING.startswith(hash) else hash[:length].lower()


def _short_forms(hash: str | None) -> list[str]:
    return [] if hash in (None, _NOTHING) else [hash[:length] for length in SHORT_FORMS]


def link_asset(tx: Tx, owner: int, number: int, row: FoundAsset) -> FoundAsset:
    """Note what an asset says it was made with, and link it to the models there are. The asset, with these links."""
    if not (keys := uses(row)):
        return row
    tx.ingredients.link_asset(owner, number, keys)
    return msgspec.structs.replace(row, links=tx.ingredients.of_asset(owner, number))


def link_model(tx: Tx, owner: int, number: int, row: FoundModel, now: str) -> None:
    """Note what a model is known by, and link it to the assets there are; to the older of many a little later."""
    tx.ingredients.set_aliases(owner, number, aliases(row))
    if tx.ingredients.link_model(owner, number) is not None:
        tx.jobs.add(owner, "link", row.id, now)


def settle(library: Library, job: Job) -> None:
    """Link a model to all assets that say they were made with it, some at a time, newest first. For the worker."""
    before: int | None = None
    while True:
        begun = time.monotonic()
        with library.store.write(job.owner) as tx:
            number = tx.ingredients.number_of(job.owner, job.subject)
            before = None if number is None else tx.ingredients.link_model(job.owner, number, before)
            if before is None:
                tx.jobs.finish(job)
                return
        time.sleep(time.monotonic() - begun)  # as much time for other writes


def give_up(library: Library, job: Job, _reason: str) -> None:
    """Leave a model with the links it has."""
    with library.store.write(job.owner, beside=True) as tx:
        tx.jobs.finish(job)


def checkpoint_of(links: list[Link]) -> str | None:
    """The model that an asset shows as its checkpoint: of several the one that its file says first."""
    return next((link.model_id for link in _shown(links) if link.role == "checkpoint"), None)


def concepts_of(links: list[Link]) -> list[UsedModel]:
    """The LoRAs that an asset shows, in the order of its file."""
    return [
        UsedModel(link.model_id, 1.0 if link.weight is None else link.weight)
        for link in _shown(links)
        if link.role == "lora"
    ]


def _shown(links: list[Link]) -> list[Link]:
    """For each ingredient the oldest of the models that it is linked to most surely, unless these are in the trash."""
    found: list[Link] = []
    if not links:  # as most have none, and lists of hundreds are shown
        return found
    for position in sorted({link.position for link in links}):
        here = [link for link in links if link.position == position]
        surest = max(link.sure for link in here)
        live = [link.number for link in here if link.is_live and link.sure == surest]
        found += [link for link in here if live and link.number == min(live)]
    return found
