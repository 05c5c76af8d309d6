"""What model files say of themselves. All of it goes through `Media.examine_file`, with the real child processes."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import gguf
import numpy as np
import pytest
from msgspec import UNSET
from pictures import picture
from weights_files import KOHYA, LORAS, MODELS, gguf_file, kohya, peft, raw, safetensors, tensor

from pinakes.media import Examined, Media
from pinakes.model_types import ModelFacts, ModelType, TrainingParameters

Look = Callable[..., ModelFacts]


@pytest.fixture(scope="module")
def media() -> Iterator[Media]:
    media = Media()
    yield media
    media.close()


@pytest.fixture
def examine(media: Media, tmp_path: Path) -> Callable[..., Examined]:
    def examine(data: bytes, name: str = "a.safetensors") -> Examined:
        path = tmp_path / "file"
        path.write_bytes(data)
        return media.examine_file("file", path, name)

    return examine


@pytest.fixture
def look(examine: Callable[..., Examined]) -> Look:
    def look(data: bytes, name: str = "a.safetensors") -> ModelFacts:
        model = examine(data, name).model
        assert model is not None
        return model

    return look


def test_everything_a_trainer_says(look: Look) -> None:
    layers = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k": 768}
    assert look(safetensors(kohya(layers, rank=32), KOHYA)) == ModelFacts(
        format="safetensors",
        role="lora",
        type="custom",  # the hosted service has no type for Stable Diffusion 1
        name="sks_dog_v2",
        architecture="stable-diffusion-v1",
        family="sd-1",
        base_model="v1-5-pruned.safetensors",
        base_model_hash="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
        network="lora",
        network_alpha=16,
        parameters=TrainingParameters(
            batch_size=2,
            learning_rate=0.0001,
            learning_rate_text_encoder=5e-05,
            lr_scheduler="cosine-with-restarts",
            max_train_steps=1200,
            nb_epochs=10,
            rank=32,
            seed=42,
        ),
        trained_steps=1200,
        epoch="10",
        resolution="512x768",
        optimizer="bitsandbytes.optim.adamw.AdamW8bit",
        training_images_number=30,
        trigger_words=["sks dog", "sitting", "park", "sks", "outdoors"],
        training_tags={"sks": 22, "outdoors": 19, "grass": 11, "tree": 9},
        author="Ada",
        description="A dog.",
        license="CC-BY-4.0",
        usage_hint="Weight 0.8",
        tags=["dog", "animal"],
        tensors_hash="ab" * 32,
        tensor_count=3,
        parameter_count=32 * 768 + 32 * 32 + 1,
        dtype="F16",
    )


@pytest.mark.parametrize("name", LORAS)
def test_the_family_of_a_lora_by_its_tensors(look: Look, name: str) -> None:
    shapes, family = LORAS[name]
    found = look(safetensors(shapes))
    assert (found.role, found.family or "", found.network) == ("lora", family, "lora")
    assert found.parameters == TrainingParameters(rank=16)


@pytest.mark.parametrize("name", MODELS)
def test_the_role_and_family_of_a_model_by_its_tensors(look: Look, name: str) -> None:
    shapes, role, family = MODELS[name]
    found = look(safetensors(shapes))
    assert (found.role, found.family or "", found.tensor_count) == (role, family, len(shapes))


@pytest.mark.parametrize(
    ("part", "shapes", "network", "rank"),
    [
        ("loha", {"lora_unet_x.hada_w1_a": (32, 4), "lora_unet_x.hada_w1_b": (4, 32)}, "loha", 4),
        (
            "lokr",
            {"lycoris_x.lokr_w1": (4, 4), "lycoris_x.lokr_w2_a": (32, 8), "lycoris_x.lokr_w2_b": (8, 32)},
            "lokr",
            8,
        ),
        ("dora", {**kohya({"lora_unet_x": 8}, 4), "lora_unet_x.dora_scale": (1, 8)}, "dora", 4),
        ("peft's dora", {**peft({"transformer.x": 8}, 4), "transformer.x.lora_magnitude_vector": (8,)}, "dora", 4),
        ("oft", {"lora_unet_x.oft_blocks": (4, 8, 8)}, "oft", None),
        ("old diffusers", {"unet.x.processor.to_k_lora.down.weight": (4, 8)}, "lora", 4),
        (
            "most layers",
            {**kohya({f"lora_unet_{i}": 8 for i in range(3)}, 4), **kohya({"lora_unet_c": 8}, 2)},
            "lora",
            4,
        ),
    ],
)
def test_networks_and_ranks(
    look: Look, part: str, shapes: dict[str, tuple[int, ...]], network: str, rank: int | None
) -> None:
    found = look(safetensors(shapes))
    assert (found.role, found.network) == ("lora", network), part
    assert (found.parameters.rank if found.parameters else None) == rank


FLUX = kohya({"lora_unet_single_blocks_37_linear1": 3072})
QWEN = peft({"transformer_blocks.0.img_mlp.net.0.proj": 3072})
ZIMAGE = peft({"diffusion_model.layers.0.attention.to_q": 3840})
KLEIN = peft({"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj": 3072})
SILENT = kohya({"lora_unet_something": 8})


@pytest.mark.parametrize(
    ("shapes", "metadata", "type"),
    [
        (FLUX, {}, "flux.1-lora"),
        (FLUX, {"ss_base_model_version": "flux1"}, "flux.1-lora"),
        (FLUX, {"modelspec.architecture": "flux-1-dev/lora"}, "flux.1-lora"),
        (FLUX, {"ss_base_model_version": "flux_kontext"}, "flux.1-kontext-lora"),
        (FLUX, {"ss_sd_model_name": "flux1-krea-dev.safetensors"}, "flux.1-krea-lora"),
        (FLUX, {"modelspec.architecture": "chroma/lora"}, "custom"),
        (KLEIN, {}, "custom"),
        (KLEIN, {"ss_base_model_version": "flux2_klein_4b"}, "flux.2-klein-4b-lora"),
        (KLEIN, {"ss_sd_model_name": "flux-2-klein-base-4b.safetensors"}, "flux.2-klein-base-4b-lora"),
        (SILENT, {"modelspec.architecture": "Flux.2-dev/lora"}, "flux.2-dev-lora"),
        (SILENT, {"modelspec.architecture": "Flux.2-klein-9b/lora"}, "flux.2-klein-9b-lora"),
        (QWEN, {}, "qwen-image-lora"),
        (QWEN, {"modelspec.architecture": "Qwen-Image/lora"}, "qwen-image-lora"),
        (QWEN, {"modelspec.architecture": "Qwen-Image-Edit/lora"}, "qwen-image-edit-lora"),
        (QWEN, {"modelspec.architecture": "Qwen-Image-Edit-Plus/lora"}, "qwen-image-edit-2509-lora"),
        (QWEN, {"ss_base_model_version": "qwen_image_edit_2511"}, "qwen-image-edit-2511-lora"),
        (QWEN, {"ss_sd_model_name": "qwen_image_2512_bf16.safetensors"}, "qwen-image-2512-lora"),
        (QWEN, {"modelspec.architecture": "Qwen-Image-Layered/lora"}, "custom"),
        (ZIMAGE, {}, "custom"),
        (ZIMAGE, {"modelspec.architecture": "Z-Image/lora"}, "zimage-lora"),
        (ZIMAGE, {"ss_sd_model_name": "z_image_turbo_bf16.safetensors"}, "zimage-turbo-lora"),
        (ZIMAGE, {"ss_base_model_version": "zimage:deturbo"}, "zimage-de-turbo-lora"),
        (SILENT, {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "custom"),
        (SILENT, {}, "custom"),
        (MODELS["flux"][0], {}, "flux.1"),
        (MODELS["flux"][0], {"modelspec.architecture": "flux-1-kontext-dev"}, "flux.1-kontext-dev"),
        (MODELS["chroma"][0], {}, "custom"),
        (MODELS["sdxl"][0], {}, "custom"),
    ],
)
def test_the_hosted_services_type(
    look: Look, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], type: str
) -> None:
    assert type in get_args(ModelType)
    assert look(safetensors(shapes, metadata)).type == type


@pytest.mark.parametrize(
    ("architecture", "family", "role"),
    [
        ("stable-diffusion-v1/lora", "sd-1", "lora"),
        ("stable-diffusion-v2-768-v/lora", "sd-2", "lora"),
        ("stable-diffusion-xl-v1-base", "sdxl", "checkpoint"),
        ("stable-diffusion-xl-v1-refiner", "sdxl-refiner", "checkpoint"),
        ("stable-diffusion-v1/textual-inversion", "sd-1", "embedding"),
        ("stable-diffusion-3-5-large/lora", "sd-3", "lora"),
        ("wan2.1/lora", "wan", "lora"),
        ("hunyuan-video/lora", "hunyuan-video", "lora"),
        ("gpt-neo-x", "", "unknown"),
    ],
)
def test_what_the_file_says_when_its_tensors_are_silent(look: Look, architecture: str, family: str, role: str) -> None:
    found = look(safetensors({"x": (2, 2)}, {"modelspec.architecture": architecture}))
    assert (found.family or "", found.role, found.architecture) == (family, role, architecture.partition("/")[0])


def test_tensors_are_believed_before_words(look: Look) -> None:
    lora = LORAS["kohya sdxl"][0]
    assert look(safetensors(lora, {"modelspec.architecture": "stable-diffusion-v1/lora"})).family == "sdxl"


@pytest.mark.parametrize(
    ("metadata", "field", "value"),
    [
        ({"ssmd_display_name": "Mine", "modelspec.title": "Theirs"}, "name", "Mine"),
        ({"modelspec.title": "LoRA@1.5", "name": "toolkit"}, "name", "toolkit"),
        ({"modelspec.title": "x" * 5000}, "name", "x" * 1024),
        ({"modelspec.title": " \0a\0 "}, "name", "a"),
        ({"training_info": '{"step": 2000, "epoch": 7}'}, "trained_steps", 2000),
        ({"training_info": '{"step": 2000, "epoch": 7}'}, "epoch", "7"),
        ({"ss_datasets": '[{"resolution": [1024, 1024], "batch_size_per_device": 4}]'}, "resolution", "1024x1024"),
        ({"modelspec.resolution": "768x1344"}, "resolution", "768x1344"),
        ({"ss_resolution": "512"}, "resolution", "512x512"),
        ({"ss_num_train_images": "77"}, "training_images_number", 77),
        ({"ssmd_keywords": "a b, c"}, "trigger_words", ["a b", "c"]),
        ({"modelspec.hash_sha256": "0x" + "Cd" * 32}, "tensors_hash", "cd" * 32),
        ({"ss_network_alpha": "nan"}, "network_alpha", None),
        ({"ss_network_alpha": "inf"}, "network_alpha", None),
        ({"ss_network_alpha": "1e999"}, "network_alpha", None),
        ({"ss_steps": "9" * 60}, "trained_steps", None),
        ({"ss_steps": "many"}, "trained_steps", None),
        ({"ss_lr_scheduler": "one of my own"}, "parameters", None),
        ({"training_info": '{"step": "soon"}'}, "trained_steps", None),
        ({"ss_dataset_dirs": '{"a": {"img_count": 1e300}}'}, "training_images_number", None),
        ({"ss_tag_frequency": '{"a": {"b": 9999999999999999999999}}'}, "training_tags", {}),
        ({"ss_tag_frequency": '{"a": ["b"]}'}, "training_tags", {}),
        ({"ss_tag_frequency": "{" * 5000}, "training_tags", {}),
        ({"ss_tag_frequency": '{"a": {"b": 1}', "ss_datasets": "[" * 100_000}, "training_tags", {}),
        ({"modelspec.tags": ", ,,"}, "tags", []),
        ({"modelspec.author": "None"}, "author", None),
    ],
)
def test_texts_are_what_they_promise_or_nothing(
    look: Look, metadata: dict[str, str], field: str, value: object
) -> None:
    found = getattr(look(safetensors({"x": (2, 2)}, metadata)), field)
    assert (None if found is UNSET else found) == value


def test_half_characters(look: Look) -> None:
    """JSON can say half of a surrogate pair; nothing that is sent or stored may."""
    texts = b'{"modelspec.title": "a\\ud800b", "ss_tag_frequency": "\\udc00", "modelspec.tags": "\\ud800"}'
    found = look(raw(b'{"__metadata__": ' + texts + b"}"))
    assert (found.name, found.tags) == ("a?b", ["?"])


def test_the_hundred_most_frequent_tags(look: Look) -> None:
    tags = {f"tag {number}": number for number in range(1, 300)}
    metadata = {
        "ss_tag_frequency": json.dumps({"1_x": tags}),
        "ss_dataset_dirs": json.dumps({"1_x": {"n_repeats": 1, "img_count": 299}}),
    }
    found = look(safetensors({"x": (2, 2)}, metadata))
    assert list(found.training_tags.items()) == [(f"tag {number}", number) for number in range(299, 199, -1)]
    assert found.trigger_words == ["x", *(f"tag {number}" for number in range(299, 284, -1))]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_an_embedded_picture(examine: Callable[..., Examined], format: str) -> None:
    data, text = picture(format), base64.b64encode(picture(format)).decode()
    url = f"data:image/{format};base64,{text}"
    assert examine(safetensors({}, {"modelspec.thumbnail": url})).picture == data
    assert examine(safetensors({}, {"ssmd_cover_images": json.dumps([text, "x"])})).picture == data
    assert examine(safetensors({}, {"ssmd_cover_images": json.dumps(["", "!", text])})).picture == data


@pytest.mark.parametrize(
    "metadata",
    [
        {"modelspec.thumbnail": "data:image/png;base64,!!!!"},
        {"modelspec.thumbnail": "data:image/png,%89PNG"},
        {"modelspec.thumbnail": "data:image/svg+xml;base64," + base64.b64encode(b"<svg xmlns=''/>").decode()},
        {"modelspec.thumbnail": "/etc/passwd"},
        {"modelspec.thumbnail": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9 << 20)).decode()},
        {"modelspec.thumbnail": "A" * (20 << 20)},
        {"ssmd_cover_images": "[]"},
        {"ssmd_cover_images": "[1]"},
        {"ssmd_cover_images": '["'},
        {"ssmd_cover_images": "[" * 100_000},
    ],
)
def test_no_picture_out_of_what_is_none(examine: Callable[..., Examined], metadata: dict[str, str]) -> None:
    found = examine(safetensors({"x": (2, 2)}, metadata))
    assert found.picture is None
    assert found.model is not None


def test_half_a_character_is_no_picture(examine: Callable[..., Examined]) -> None:
    header = {"__metadata__": {"modelspec.thumbnail": "data:image/png;base64,AAAA\ud800"}, "x": tensor()}
    found = examine(raw(header, bytes(8)))
    assert found.picture is None
    assert found.model is not None


def test_number_types(look: Look) -> None:
    header = {"a": tensor("BF16", [4, 4], [0, 32]), "b": tensor("F32", [1], [32, 36]), "c": tensor("F4", [6], [36, 39])}
    found = look(raw(header, bytes(39)))
    assert (found.dtype, found.parameter_count, found.tensor_count) == ("BF16", 23, 3)
    assert look(safetensors({"x": ()}, dtype=np.int64)).dtype == "I64"


@pytest.mark.parametrize("endian", list(gguf.GGUFEndian))
def test_a_language_model_in_gguf(look: Look, tmp_path: Path, endian: gguf.GGUFEndian) -> None:
    data = gguf_file(
        tmp_path / "a.gguf",
        "llama",
        {"token_embd.weight": (64, 256), "blk.0.attn_q.weight": (256, 256)},
        endian,
        llama__context_length=4096,
        general__name="Tiny",
        general__author="Ada",
        general__license="apache-2.0",
        general__file_type=15,
        general__description="Knows little.",
        general__base_model__0__name="Big",
        general__tags=["text-generation", "small"],
        tokenizer__ggml__tokens=[f"token {number}" for number in range(3000)],
        tokenizer__ggml__scores=[0.5] * 3000,
    )
    assert look(data, "a.gguf") == ModelFacts(
        format="gguf",
        role="llm",
        name="Tiny",
        architecture="llama",
        base_model="Big",
        author="Ada",
        license="apache-2.0",
        description="Knows little.",
        tags=["text-generation", "small"],
        tensor_count=2,
        parameter_count=64 * 256 + 256 * 256,
        dtype="F32",
        quantization="Q4_K_M",
    )


def test_others_in_gguf(look: Look, tmp_path: Path) -> None:
    flux = {name: (*shape[:-1], 128) for name, shape in MODELS["flux"][0].items()}
    quantized = gguf_file(tmp_path / "a", "flux", flux, quantized=gguf.GGMLQuantizationType.Q8_0, general__file_type=7)
    found = look(quantized, "flux1-dev-Q8_0.gguf")
    assert (found.role, found.family, found.type) == ("checkpoint", "flux.1", "flux.1")
    assert (found.dtype, found.quantization, found.parameter_count) == ("Q8_0", "Q8_0", 128 + 18 * 128)
    wan = look(gguf_file(tmp_path / "b", "wan", {"x": (4, 32)}), "b.gguf")
    assert (wan.role, wan.family) == ("checkpoint", "wan")
    assert (
        look(gguf_file(tmp_path / "c", "t5encoder", {"enc.blk.0.attn_q.weight": (4, 32)}), "c.gguf").role
        == "text-encoder"
    )
    lora = {"blk.0.attn_q.weight.lora_a": (8, 64), "blk.0.attn_q.weight.lora_b": (64, 8)}
    found = look(gguf_file(tmp_path / "d", "llama", lora, general__type="adapter", adapter__lora__alpha=16.0), "d.gguf")
    assert (found.role, found.network_alpha, found.parameters) == ("lora", 16, TrainingParameters(rank=8))
    assert look(gguf_file(tmp_path / "e", "nobody-knows", {}), "e.gguf").role == "unknown"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a.ckpt"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a.bin"),
        (b"PK\3\4" + bytes(100), "a.pt"),
        (b"PK\3\4" + bytes(100), "a.pth"),
        (b"cos\nsystem\n(S'touch /tmp/pinakes-was-here'\ntR.", "a.ckpt"),
    ],
)
def test_pickles_are_never_read(examine: Callable[..., Examined], data: bytes, name: str) -> None:
    assert examine(data, name) == Examined("document", "application/octet-stream", format="pickle")
    assert not Path("/tmp/pinakes-was-here").exists()
