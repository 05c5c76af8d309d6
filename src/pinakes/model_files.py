"""Models out of their files: what a header says becomes a model, whose file can be downloaded again.

Pickles are kept and hashed, and never read: to read one is to run it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pinakes import asset_bytes, assets, errors, ids, ingredients, text
from pinakes.assets import NewAsset
from pinakes.errors import PinakesError
from pinakes.model_types import FoundModel, ModelFacts, ModelFile, ModelSettings

if TYPE_CHECKING:
    from pinakes.asset_types import Bytes
    from pinakes.library import Library
    from pinakes.media import Examined
    from pinakes.model_hashes import ModelHashes
    from pinakes.store import Tx

ENDINGS = ".safetensors, .gguf, .ckpt, .pt or .pth"
_FORMATS = {"safetensors", "gguf", "pickle"}
_PICKLES = (b"PK\3\4", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
"""How a pickle of torch starts: a ZIP, or (before 2020) the number of its protocol."""
_MOST_SHORT = 500


class NewModelFile(msgspec.Struct, frozen=True):
    """A stored file that is to become a model, and the stored picture that is embedded in it."""

    file: ModelFile
    facts: ModelFacts
    picture: Bytes | None


def examine(library: Library, sha256: str, name: str) -> Examined:
    """Look into a stored model file, in a child process. BAD_REQUEST for what is none, and for a damaged one."""
    with library.blobs.local_file(sha256, partial(library.media.needed, name)) as path:
        examined = library.media.examine_file("file", path, name)
        if examined.format not in _FORMATS:
            raise errors.bad_request("file", f"it is {examined.mime_type} and no model; models are {ENDINGS}")
        if examined.format == "pickle" and not _starts_as_pickle(path):
            raise errors.bad_request("file", "the name says that it is a pickle, but the bytes are none")
    return examined


def prepare(library: Library, examined: Examined, hashes: ModelHashes, name: str, size: int) -> NewModelFile:
    """Store the picture that is embedded in a model file, if it is one. UNAVAILABLE when that cannot be done now."""
    format = examined.format or ""
    file = ModelFile(**msgspec.structs.asdict(hashes), file_name=name, size=size, format=format)
    facts = examined.model or ModelFacts(format=format)
    return NewModelFile(file, facts, None if examined.picture is None else _keep_picture(library, examined.picture))


def insert(tx: Tx, owner: int, author_id: str, new: NewModelFile, now: str) -> FoundModel:
    """The rows of a model with a file, and of the picture that is its thumbnail and its example."""
    facts = new.facts
    name = facts.name or Path(new.file.file_name).stem or new.file.file_name
    cover = _insert_picture(tx, owner, author_id, new, now)
    description = facts.description or ""
    row = FoundModel(
        number=0,
        id=ids.new("model"),
        name=name[: text.MAX_NAME],
        type=facts.type,
        status="trained",
        short_description=_short(description),
        description=description,
        privacy="private",
        parent_id=None,
        author_id=author_id,
        settings=ModelSettings(parameters=facts.parameters),
        created_at=now,
        updated_at=now,
        thumbnail_asset_id=cover,
        tags=facts.tags,
        example_asset_ids=[] if cover is None else [cover],
        file=new.file,
        facts=facts,
    )
    number = tx.models.insert(owner, row)
    tx.models.set_examples(owner, number, row.example_asset_ids)
    tx.tags.add(owner, "model", number, row.tags, now)
    ingredients.link_model(tx, owner, number, row, now)
    return row


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(_PICKLES)


def _keep_picture(library: Library, data: bytes) -> Bytes | None:
    """None for a picture that is damaged: the model is as good without it."""
    sha256 = library.blobs.put(data)
    asset_bytes.confirm(library, sha256)
    try:
        with library.blobs.local_file(sha256) as path:
            examined = library.media.examine_file("picture", path, "preview")
    except PinakesError as error:
        if error.code == "UNAVAILABLE":
            raise
        return None
    return asset_bytes.keep(library, sha256, len(data), examined)


def _insert_picture(tx: Tx, owner: int, author_id: str, new: NewModelFile, now: str) -> str | None:
    """As A1111 names the pictures that it finds beside models: `<model>.preview.png`."""
    if new.picture is None:
        return None
    stem = Path(new.file.file_name).stem[: text.MAX_NAME - 20]
    name = f"{stem}.preview.{new.picture.format}"
    return assets.insert(tx, owner, author_id, NewAsset(name=name, image=""), new.picture, now).id


def _short(description: str) -> str | None:
    """The first line, where it is short."""
    line = description.strip().partition("\n")[0].strip()
    return line if 0 < len(line) <= _MOST_SHORT else None
