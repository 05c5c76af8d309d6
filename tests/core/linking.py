"""Models with files and assets with ingredients, made without a file of either kind being read."""

from hashlib import sha256
from typing import Any

import msgspec
from conftest import store_png
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from pinakes import assets, ids, model_files, worker
from pinakes.access import Actor
from pinakes.asset_types import Asset, Generation, Ingredient, Role
from pinakes.assets import AssetFilter, NewAsset
from pinakes.library import Library
from pinakes.model_files import NewModelFile
from pinakes.model_hashes import ModelHasher
from pinakes.model_types import FileRole, ModelFacts, ModelFile

FILES = [b"one file", b"another file"]
INGREDIENTS = [
    Ingredient(role, name, hash)
    for role in ("checkpoint", "lora")
    for name in ("fox", "wolf")
    for hash in ("", *(sha256(data).hexdigest()[:10] for data in FILES), "0123456789")
]
"""Of these files or of none, with a hash or without."""
MADE_WITH = st.lists(st.sampled_from(INGREDIENTS), max_size=3, unique_by=lambda one: (one.role, one.name)).map(tuple)


def file_model(
    library: Library,
    actor: Actor,
    data: bytes,
    name: str,
    role: FileRole = "lora",
    title: str | UnsetType = UNSET,
    tensors_hash: str | UnsetType = UNSET,
) -> tuple[str, ModelFile]:
    """A model whose file has these bytes and whose header says these things: its id, and what its file is."""
    hasher = ModelHasher()
    hasher.update(data)
    library.blobs.put(data)
    file = ModelFile(**msgspec.structs.asdict(hasher.result()), file_name=name, size=len(data), format="safetensors")
    facts = ModelFacts(format="safetensors", role=role, name=title, tensors_hash=tensors_hash)
    new = NewModelFile(file, facts, None)
    with library.store.write() as tx:
        return model_files.insert(tx, actor.owner, actor.key_id, new, ids.now()).id, file


def one(role: Role = "lora", name: str = "", hash: str = "", weight: float | None = None) -> Ingredient:
    return Ingredient(role, name, hash) if weight is None else Ingredient(role, name, hash, weight)


def made_with(library: Library, actor: Actor, *of: Ingredient, model_id: str | None = None, by: str = "A1111") -> str:
    """The id of an asset whose file says that it was made with these."""
    stored = msgspec.structs.replace(store_png(library), generation=Generation(generator=by, ingredients=list(of)))
    return assets.create(library, actor, NewAsset("a.png", "", model_id=model_id), stored).id


def make(library: Library, actor: Actor, name: str, **more: Any) -> Asset:
    """A picture of that name; of its bytes more is known."""
    return assets.create(library, actor, NewAsset(name, ""), msgspec.structs.replace(store_png(library), **more))


def assets_of(library: Library, actor: Actor, model_id: str) -> list[str]:
    """The ids of all assets made with a model, newest first."""
    filter, found = AssetFilter(model_id=model_id), list[str]()
    page = assets.get_page(library, actor, filter, 100)
    while page.token:
        found += [asset.id for asset in page.items]
        page = assets.get_page(library, actor, filter, 100, page.token)
    return [*found, *(asset.id for asset in page.items)]


def models_of(asset: Asset) -> tuple[str | None, list[str]]:
    """The checkpoint and the LoRAs that an asset shows."""
    return asset.metadata.model_id or None, [concept.model_id for concept in asset.metadata.concepts or []]


def shown(library: Library, actor: Actor, asset_id: str) -> tuple[str | None, dict[str, float]]:
    """The same of a stored asset, with the weights of the LoRAs."""
    metadata = assets.get(library, actor, asset_id).metadata
    return metadata.model_id or None, {concept.model_id: concept.scale for concept in metadata.concepts or []}


def do_jobs(library: Library) -> list[str]:
    """Do all jobs that are due; their kinds."""
    done = list[str]()
    while True:
        with library.store.write() as tx:
            job = tx.jobs.claim()
        if job is None:
            return done
        worker._DOING[job.kind].settle(library, job)
        done.append(job.kind)
