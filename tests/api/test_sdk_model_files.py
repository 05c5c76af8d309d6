"""A LoRA and a checkpoint sent in parts, pictures made with them, and the files back, through the official SDK."""

import base64
import hashlib
import json
import time
from typing import Any

import httpx
import pytest
from conftest import make_png
from generated import DRAWING, png
from weights_files import KOHYA, LORAS, MODELS, raw, safetensors, tensor

from api.clients import Sdk

pytestmark = pytest.mark.engine("sqlite")  # what decoders find is stored alike on every engine


def noise(n: int) -> str:
    """A text that makes a file another one."""
    return hashlib.sha256(str(n).encode()).hexdigest() * 40_000


PICTURE = f"data:image/png;base64,{base64.b64encode(make_png(64, 32)).decode()}"
LORA = safetensors(LORAS["kohya sdxl"][0], KOHYA | {"modelspec.thumbnail": PICTURE, "noise": noise(1)})
BASE = safetensors(MODELS["sdxl"][0], {"noise": noise(2)})


def settings(model: str, loras: str) -> str:
    return (
        f"a dog\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x48, {model},"
        f' Lora hashes: "{loras}", Version: v1.10.1'
    )


def send(sdk: Sdk, data: bytes, name: str, parts: int = 3) -> Any:
    """The upload of a model, once it has come to its end."""
    upload = sdk.uploads.create(file_name=name, file_size=len(data), kind="model", parts=parts).upload
    step = len(data) // parts
    for part in reversed(upload.parts):
        at = int(part.number) - 1
        piece = data[at * step :] if at == parts - 1 else data[at * step : (at + 1) * step]
        assert httpx.put(part.url, content=piece, verify=False).status_code == 200
    sdk.uploads.trigger_action(upload.id, action="complete")
    ends = time.monotonic() + 30
    while (upload := sdk.uploads.retrieve(upload.id).upload).status == "validating":
        assert time.monotonic() < ends
        time.sleep(0.02)
    return upload


def model_of(sdk: Sdk, data: bytes, name: str) -> Any:
    done = send(sdk, data, name)
    assert (done.status, done.error_message, done.kind) == ("imported", None, "model")
    return sdk.models.retrieve(done.entity_id).model


def picture(sdk: Sdk, texts: dict[str, str], **more: Any) -> Any:
    image = base64.b64encode(png(texts)).decode()
    return sdk.assets.upload(name="a.png", image=image, **more).asset


@pytest.mark.calls("uploads.create", "models.retrieve", "models.get_bulk", "models.copy", "models.download")
def test_a_lora_becomes_a_model_and_a_file_again(sdk: Sdk) -> None:
    model = model_of(sdk, LORA, "Dog v2.safetensors")
    assert (model.name, model.status, model.source, model.type) == ("sks_dog_v2", "trained", "other", "custom")
    assert (model.training_images_number, sorted(model.tags)) == (30, ["animal", "dog"])
    assert (model.short_description, model.parameters.rank, model.parameters.nb_epochs) == ("A dog.", 16, 10)
    file, facts = model.file, model.facts
    sha256 = hashlib.sha256(LORA).hexdigest()
    tensors = hashlib.sha256(LORA[8 + int.from_bytes(LORA[:8], "little") :]).hexdigest()
    assert (file["fileName"], file["size"], file["format"]) == ("Dog v2.safetensors", len(LORA), "safetensors")
    assert (file["sha256"], file["autoV2"], file["autoV3"]) == (sha256, sha256[:10], tensors[:12])
    assert file["autoV1"] == hashlib.sha256(LORA[0x100000:0x110000]).hexdigest()[:8]
    assert (facts["family"], facts["role"], facts["baseModel"]) == ("sdxl", "lora", "v1-5-pruned.safetensors")
    assert facts["triggerWords"][:2] == ["sks dog", "sitting"]
    assert facts["trainingTags"]["outdoors"] == 19
    preview = sdk.assets.retrieve(model.thumbnail.asset_id).asset
    assert (model.example_asset_ids, preview.properties.width) == ([preview.id], 64)
    assert httpx.get(model.thumbnail.url, verify=False).headers["content-type"] == "image/webp"
    (listed,) = sdk.models.list().models
    assert (listed.file, listed.facts) == (file, facts)
    (one,) = sdk.models.get_bulk(model_ids=[model.id]).models
    assert (one.file, one.facts) == (file, facts)
    copy = sdk.models.copy(model.id).model
    assert (copy.file, copy.facts, copy.example_asset_ids) == (file, facts, [preview.id])
    for id in (model.id, copy.id):
        job = sdk.models.download(id).job_id
        answer = httpx.get(sdk.assets.download.get_status(job).download_url, verify=False)
        assert answer.content == LORA
        assert "Dog v2.safetensors" in answer.headers["content-disposition"]


@pytest.mark.calls("assets.list", "assets.upload", "models.update")
def test_pictures_and_models_find_each_other(sdk: Sdk) -> None:
    """By hash, and by name where no hash is said; whichever comes first."""
    hashes = {name: hashlib.sha256(data).hexdigest()[:10] for name, data in (("lora", LORA), ("base", BASE))}
    tensors = hashlib.sha256(LORA[8 + int.from_bytes(LORA[:8], "little") :]).hexdigest()
    by_hash = settings(f"Model hash: {hashes['base']}, Model: renamed", f"renamed too: {tensors[:12]}")
    early = picture(sdk, {"parameters": by_hash})
    assert (early.metadata.api_model_id, early.metadata.concepts) == (None, None)
    lora, base = model_of(sdk, LORA, "dog.safetensors"), model_of(sdk, BASE, "b.safetensors")
    late = picture(sdk, {"parameters": by_hash.replace("a dog", "a dog <lora:renamed too:0.7>")})
    drawn = picture(sdk, {"workflow": json.dumps(DRAWING)})  # names alone: `b` and `fox`
    for id, scale in ((early.id, 1.0), (late.id, 0.7)):
        metadata = sdk.assets.retrieve(id).asset.metadata
        assert metadata.api_model_id == base.id
        assert [(one.api_model_id, one.scale) for one in metadata.concepts] == [(lora.id, scale)]
    assert (drawn.metadata.api_model_id, drawn.metadata.concepts) == (base.id, None)
    sdk.models.update(lora.id, name="Fox")
    (concept,) = sdk.assets.retrieve(drawn.id).asset.metadata.concepts
    assert (concept.api_model_id, concept.scale) == (lora.id, 0.6)
    other = picture(sdk, {"parameters": settings("Model hash: 0123456789, Model: b", "dog: 0123456789ab")})
    assert (other.metadata.api_model_id, other.metadata.concepts) == (None, None)
    explicit = picture(sdk, {}, extra_body={"modelId": lora.id})
    assert explicit.metadata.api_model_id == lora.id
    for model, expected in ((base, [drawn, late, early]), (lora, [explicit, drawn, late, early])):
        assert [asset.id for asset in sdk.assets.list(model_id=model.id).assets] == [one.id for one in expected]
    assert sdk.assets.list(model_id="flux.1-none").assets == []


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (LORA[:5000], "cut.safetensors", "SAFETENSORS"),
        (raw(b"{" * 100_000), "deep.safetensors", "SAFETENSORS"),
        (raw({"a": tensor(offsets=(0, 1 << 60))}, bytes(8)), "claims.safetensors", "SAFETENSORS"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 64, "claims.gguf", "GGUF"),
        (b"<html>Please sign in</html>", "model.ckpt", "pickle"),
        (make_png(), "picture.png", "no model"),
    ],
)
def test_hostile_files_fail_with_a_reason(sdk: Sdk, data: bytes, name: str, reason: str) -> None:
    done = send(sdk, data, name, parts=1)
    assert (done.status, done.entity_id) == ("failed", None)
    assert reason in done.error_message
    assert sdk.models.list().models == []
