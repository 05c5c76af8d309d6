"""Files that become models: what is taken over from them, what is refused, and what a try that ended midway leaves."""

import base64
import hashlib
import pickle
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from conftest import Clock, make_png
from linking import do_jobs
from msgspec import UNSET
from test_model_hashes import published

from pinakes import assets, mlmodels, model_files, tags, upkeep, uploads
from pinakes.access import Actor
from pinakes.asset_types import Thumbnail
from pinakes.assets import AssetFilter
from pinakes.library import Library
from pinakes.mlmodels import ModelFilter
from pinakes.model_types import MLModel
from pinakes.store.jobs import LEASE_MS
from pinakes.upload_types import NewUpload, Upload

sys.path.append(str(Path(__file__).parents[1] / "media"))

from weights_files import KOHYA, LORAS, MODELS, gguf_file, raw, safetensors, tensor

LORA = safetensors(LORAS["kohya sd 1"][0], KOHYA)


def torch_zip() -> bytes:
    """A file as torch.save writes it today, as far as anybody looks."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": {}}, 2))
    return out.getvalue()


def send(library: Library, actor: Actor, data: bytes, name: str, parts: int = 1) -> Upload:
    """An upload of a model that waits for the worker."""
    new = NewUpload(kind="model", file_name=name, file_size=float(len(data)), parts=float(parts))
    begun, step = uploads.create(library, actor, new), len(data) // parts
    for number in range(1, parts + 1):
        writer = library.parts.begin(begun.id, number)
        writer.write(data[(number - 1) * step : number * step if number < parts else None])
        uploads.add_part(library, actor.project_id, begun.id, writer.finish())
    return uploads.complete(library, actor, begun.id)


def imported(library: Library, actor: Actor, data: bytes, name: str, parts: int = 1) -> MLModel:
    sent = send(library, actor, data, name, parts)
    assert do_jobs(library) == ["upload"]
    done = uploads.get(library, actor, sent.id)
    assert (done.status, done.error_message) == ("imported", UNSET)
    return mlmodels.get(library, actor, done.entity_id or "")


def failed(library: Library, actor: Actor, data: bytes, name: str) -> str:
    """What is wrong with a file; nothing is left of it but bytes that are swept."""
    sent = send(library, actor, data, name)
    assert do_jobs(library) == ["upload"]
    done = uploads.get(library, actor, sent.id)
    assert (done.status, done.entity_id) == ("failed", UNSET)
    assert mlmodels.get_page(library, actor, ModelFilter()).items == []
    assert assets.get_page(library, actor, AssetFilter()).items == []
    return done.error_message or ""


@pytest.mark.parametrize("parts", [1, 4])
def test_a_lora_with_all_there_is_to_say(library: Library, admin: Actor, parts: int) -> None:
    picture = base64.b64encode(make_png(40, 20)).decode()
    data = safetensors(
        LORAS["kohya sd 1"][0], KOHYA | {"modelspec.thumbnail": f"data:image/png;base64,{picture}", "big": "x" * 2**21}
    )
    model = imported(library, admin, data, "dog.safetensors", parts)
    assert (model.name, model.type, model.status, model.source) == ("sks_dog_v2", "custom", "trained", "other")
    assert (model.training_images_number, model.tags) == (30, ["animal", "dog"])
    assert model.short_description == "A dog."
    assert mlmodels.get_description(library, admin, model.id).value == "A dog."
    assert model.parameters
    assert (model.parameters.rank, model.parameters.nb_epochs) == (16.0, 10.0)
    assert model.facts
    assert model.facts.trigger_words[0] == "sks dog"
    assert (model.facts.author, model.facts.family, model.facts.role) == ("Ada", "sd-1", "lora")
    old, whole, tensors = published(data)
    assert model.file
    assert (model.file.file_name, model.file.size, model.file.format) == ("dog.safetensors", len(data), "safetensors")
    assert (model.file.sha256, model.file.tensors) == (whole, tensors)
    assert (model.file.auto_v1, model.file.auto_v2, model.file.auto_v3) == (old, whole[:10], tensors[:12])
    (preview,) = assets.get_page(library, admin, AssetFilter()).items
    assert (preview.name, preview.properties.width, preview.status) == ("dog.preview.png", 40, "success")
    assert isinstance(model.thumbnail, Thumbnail)
    assert (model.thumbnail.asset_id, model.example_asset_ids) == (preview.id, [preview.id])
    assert mlmodels.get_page(library, admin, ModelFilter()).items == [model]
    assert {tag.tag_name: tag.item_count for tag in tags.get_page(library, admin).items} == {"dog": 1, "animal": 1}
    assert upkeep.check(library) == []


def test_files_of_every_format(library: Library, admin: Actor, tmp_path: Path) -> None:
    gguf = gguf_file(tmp_path / "x", "flux", MODELS["flux"][0], general__name="Flux", general__author="Ada")
    old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    rows = [
        imported(library, admin, data, name)
        for data, name in (
            (gguf, "f.gguf"),
            (torch_zip(), "sd.v1.ckpt"),
            (old, "old.pt"),
            (LORA, "misnamed.bin"),
            (safetensors(MODELS["flux"][0]), "flux1-dev.safetensors"),
        )
    ]
    assert [(row.name, row.type, row.file and row.file.format) for row in rows] == [
        ("Flux", "flux.1", "gguf"),
        ("sd.v1", "custom", "pickle"),
        ("old", "custom", "pickle"),
        ("sks_dog_v2", "custom", "safetensors"),
        ("flux1-dev", "flux.1", "safetensors"),
    ]
    assert [row.file and row.file.auto_v3 is not None for row in rows] == [False, False, False, True, True]
    assert [row.facts and row.facts.role for row in rows] == ["checkpoint", "unknown", "unknown", "lora", "checkpoint"]
    assert upkeep.check(library) == []


def test_a_pickle_is_never_read(library: Library, admin: Actor, tmp_path: Path) -> None:
    """Reading this one would write a file."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (open, (str(tmp_path / "trapped"), "w"))

    imported(library, admin, pickle.dumps(Trap(), 2), "trap.ckpt")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (make_png(), "a.png", "it is image/png and no model; models are .safetensors"),
        (make_png(), "a.ckpt", "the name says PICKLE but the bytes are PNG"),
        (b"<!DOCTYPE html><title>Sign in</title>", "sd15.ckpt", "says that it is a pickle, but the bytes are none"),
        (b"just a text", "notes.txt", "it is text/plain and no model"),
        (b"anything", "weights", "no model"),
        (torch_zip(), "all.zip", "it is application/zip and no model"),
        (LORA[:200], "cut.safetensors", "SAFETENSORS"),
        (b"GGUF" + bytes(2), "cut.gguf", "GGUF"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "claims.gguf", "GGUF"),
        (raw({"a": tensor()}, bytes(8), 10**7) + b" ", "claims.safetensors", "SAFETENSORS"),
        (raw({"a": tensor(shape=[2**40, 2**40])}, bytes(8)), "huge.safetensors", "SAFETENSORS"),
        (LORA, "a.gguf", "the name says GGUF but the bytes are SAFETENSORS"),
    ],
)
def test_what_is_no_model_fails_with_a_reason(
    library: Library, admin: Actor, data: bytes, name: str, reason: str
) -> None:
    assert reason in failed(library, admin, data, name)


@pytest.mark.parametrize("picture", [b"\x89PNG\r\n\x1a\n damaged", b"GIF89a"])
def test_a_damaged_picture_is_left_out(library: Library, admin: Actor, picture: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    model = imported(library, admin, safetensors({"a": (2,)}, {"modelspec.thumbnail": url}), "a.safetensors")
    assert (model.thumbnail, model.example_asset_ids) == (UNSET, [])


def test_the_same_file_twice_makes_two_models_on_the_same_bytes(library: Library, admin: Actor) -> None:
    first, second = (imported(library, admin, LORA, f"{name}.safetensors") for name in "ab")
    assert first.id != second.id
    assert first.file
    assert second.file
    assert (first.file.sha256, first.file.file_name, second.file.file_name) == (
        second.file.sha256, "a.safetensors", "b.safetensors",
    )  # fmt: skip
    assert len(list(library.blobs.all())) == 1


def test_a_copy_keeps_the_file_and_the_file_outlives_the_original(clock: Clock, library: Library, admin: Actor) -> None:
    model = imported(library, admin, LORA, "a.safetensors")
    copy = mlmodels.copy(library, admin, model.id)
    assert (copy.file, copy.facts, copy.training_images_number) == (model.file, model.facts, 30)
    mlmodels.delete(library, admin, model.id)
    clock.move(days=31)
    upkeep.sweep(library)
    assert mlmodels.get(library, admin, copy.id).file == model.file
    assert upkeep.check(library) == []


def test_an_update_leaves_the_file_alone(library: Library, admin: Actor) -> None:
    model = imported(library, admin, LORA, "a.safetensors")
    after = mlmodels.update(library, admin, model.id, mlmodels.ModelPatch(name="Other"))
    assert (after.name, after.file, after.facts) == ("Other", model.file, model.facts)
    assert mlmodels.get(library, admin, model.id) == after


@pytest.mark.parametrize("blob_kind", ["local", "s3"], indirect=True)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("at", ["join", "examine", "prepare", "insert", "delete"])
def test_an_import_that_ended_midway_is_done_once(
    library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch, clock: Clock, parts: int, at: str
) -> None:
    """Whatever is called here ends the worker at once; of `join` only after it has done its work."""
    holder: object = type(library.parts) if at in ("join", "delete") else model_files
    real = getattr(holder, at)

    def end(*args: object, **kwargs: object) -> None:
        if at == "join":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    sent = send(library, admin, LORA, "dog.safetensors", parts)
    with monkeypatch.context() as patch:
        patch.setattr(holder, at, end)
        with pytest.raises(KeyboardInterrupt):
            do_jobs(library)
    clock.move(ms=LEASE_MS)
    do_jobs(library)
    assert uploads.get(library, admin, sent.id).status == "imported"
    (model,) = mlmodels.get_page(library, admin, ModelFilter()).items
    assert model.file
    assert model.file.sha256 == hashlib.sha256(LORA).hexdigest()
    assert model.file.auto_v3 == published(LORA)[2][:12]
