"""Model files made by the libraries that define their formats, with the names and shapes of real models' tensors."""

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import DTypeLike
from safetensors.numpy import save

Shapes = Mapping[str, tuple[int, ...]]


def safetensors(shapes: Shapes, metadata: dict[str, str] | None = None, dtype: DTypeLike = np.float16) -> bytes:
    return save({name: np.zeros(shape, dtype) for name, shape in shapes.items()}, metadata)


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file by hand, as wrong as need be: a text is a header as it is, anything else becomes JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: object = "F16", shape: object = (2, 2), offsets: object = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def gguf_file(
    path: Path,
    architecture: str,
    shapes: Shapes,
    endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
    quantized: gguf.GGMLQuantizationType | None = None,
    **values: object,
) -> bytes:
    """Values are `general.…` texts, lists of texts or numbers; a `.` in a key is written `__`."""
    writer = gguf.GGUFWriter(path, architecture, endianess=endian)
    for key, value in values.items():
        name = key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, int(str(value)))
    for name, shape in shapes.items():
        zeros = np.zeros(shape, np.float32)
        data = zeros if quantized is None else gguf.quantize(zeros, quantized)
        writer.add_tensor(name, data, raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def kohya(layers: Mapping[str, int], rank: int = 16) -> dict[str, tuple[int, ...]]:
    """A LoRA as kohya's sd-scripts write it: for each layer, how many numbers go into it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, width in layers.items():
        shapes[f"{layer}.lora_down.weight"] = (rank, width)
        shapes[f"{layer}.lora_up.weight"] = (32, rank)
        shapes[f"{layer}.alpha"] = ()
    return shapes


def peft(layers: Mapping[str, int], rank: int = 16) -> dict[str, tuple[int, ...]]:
    """A LoRA as diffusers and ai-toolkit write it."""
    down = {f"{layer}.lora_A.weight": (rank, width) for layer, width in layers.items()}
    return {**down, **{f"{layer}.lora_B.weight": (32, rank) for layer in layers}}


DOWN = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
LORAS: dict[str, tuple[Shapes, str]] = {
    "kohya sd 1": (kohya({f"{DOWN}_attn1_to_k": 320, f"{DOWN}_attn2_to_k": 768}), "sd-1"),
    "kohya sd 2": (kohya({f"{DOWN}_attn2_to_k": 1024}), "sd-2"),
    "kohya sdxl": (
        kohya(
            {
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": 2048,
                "lora_te2_text_model_encoder_layers_0_mlp_fc1": 1280,
            }
        ),
        "sdxl",
    ),
    "diffusers sdxl": (peft({"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v": 2048}), "sdxl"),
    "kohya sd 3": (kohya({"lora_unet_joint_blocks_0_context_block_attn_qkv": 1536}), "sd-3"),
    "diffusers sd 3": (peft({"transformer.transformer_blocks.3.attn.add_k_proj": 1536}), "sd-3"),
    "kohya flux": (
        kohya({"lora_unet_double_blocks_18_img_attn_qkv": 3072, "lora_unet_single_blocks_37_linear1": 3072}),
        "flux.1",
    ),
    "diffusers flux": (peft({f"transformer.single_transformer_blocks.{i}.attn.to_k": 3072 for i in (0, 37)}), "flux.1"),
    "comfy flux": (peft({"diffusion_model.double_blocks.9.img_mlp.0": 3072}), "flux.1"),
    "flux 2 dev": (peft({"diffusion_model.double_blocks.0.img_attn.qkv": 6144}), "flux.2-dev"),
    "flux 2 klein 9b": (peft({"diffusion_model.single_blocks.0.linear1": 4096}), "flux.2-klein-9b"),
    "flux 2 klein 4b": (
        peft({"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj": 3072}),
        "flux.2-klein-4b",
    ),
    "qwen image": (peft({"transformer_blocks.0.img_mlp.net.0.proj": 3072}), "qwen-image"),
    "qwen image, attention": (
        peft({f"transformer.transformer_blocks.{i}.attn.add_k_proj": 3072 for i in range(60)}),
        "qwen-image",
    ),
    "z-image": (
        peft({"diffusion_model.layers.0.attention.to_q": 3840, "diffusion_model.layers.0.feed_forward.w1": 3840}),
        "z-image",
    ),
    "lumina 2": (kohya({"lora_unet_layers_3_attention_qkv": 2304}), "lumina-2"),
    "wan": (kohya({"lora_unet_blocks_0_self_attn_q": 5120, "lora_unet_blocks_0_cross_attn_k": 5120}), "wan"),
    "comfy wan": (peft({"diffusion_model.blocks.0.self_attn.o": 1536}), "wan"),
    "hunyuan": (
        kohya({"lora_unet_double_blocks_0_img_attn_qkv": 3072, "lora_unet_double_blocks_0_img_mlp_fc1": 3072}),
        "hunyuan-video",
    ),
    "ltx": (peft({"diffusion_model.transformer_blocks.0.attn2.to_q": 2048}), "ltx-video"),
    "hidream": (peft({"diffusion_model.double_stream_blocks.0.block.attn1.to_q": 2560}), "hidream"),
    "a few layers of some flux": (peft({"transformer.single_transformer_blocks.7.attn.to_k": 3072}), ""),
    "a language model's": (peft({"base_model.model.model.layers.0.self_attn.q_proj": 4096}), ""),
}
"""LoRAs, and the family that their tensors tell."""

UNET = "model.diffusion_model."
MODELS: dict[str, tuple[Shapes, str, str]] = {
    "sd 1": (
        {
            f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
            f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
            "cond_stage_model.transformer.text_model.embeddings.position_ids": (1, 77),
        },
        "checkpoint",
        "sd-1",
    ),
    "sd 2": ({f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)}, "checkpoint", "sd-2"),
    "sdxl": (
        {
            f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
            f"{UNET}label_emb.0.0.weight": (8, 2816),
        },
        "checkpoint",
        "sdxl",
    ),
    "sdxl of diffusers": (
        {"down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048)},
        "checkpoint",
        "sdxl",
    ),
    "sdxl refiner": (
        {f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (768, 1280)},
        "checkpoint",
        "sdxl-refiner",
    ),
    "sd 3": ({f"{UNET}joint_blocks.0.context_block.attn.qkv.weight": (12, 1536)}, "checkpoint", "sd-3"),
    "flux": (
        {"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "double_blocks.0.img_mod.lin.weight": (18, 3072)},
        "checkpoint",
        "flux.1",
    ),
    "flux of diffusers": (
        {
            "single_transformer_blocks.0.proj_mlp.weight": (16, 3072),
            "time_text_embed.text_embedder.linear_1.weight": (4, 768),
        },
        "checkpoint",
        "flux.1",
    ),
    "chroma": (
        {"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "distilled_guidance_layer.norms.0.scale": (5120,)},
        "checkpoint",
        "chroma",
    ),
    "flux 2": ({"double_stream_modulation_img.lin.weight": (8, 6144)}, "checkpoint", "flux.2-dev"),
    "klein": ({"double_stream_modulation_img.linear.weight": (8, 3072)}, "checkpoint", "flux.2-klein-4b"),
    "wan": ({"head.modulation": (1, 2, 1536), "blocks.0.cross_attn.q.weight": (8, 1536)}, "checkpoint", "wan"),
    "qwen": (
        {"txt_norm.weight": (3584,), "transformer_blocks.0.img_mod.1.weight": (6, 3072)},
        "checkpoint",
        "qwen-image",
    ),
    "z-image": ({f"{UNET}cap_embedder.1.weight": (3840, 4)}, "checkpoint", "z-image"),
    "lumina": ({"cap_embedder.1.weight": (2304, 4)}, "checkpoint", "lumina-2"),
    "hunyuan": ({"txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,)}, "checkpoint", "hunyuan-video"),
    "ltx": ({"patchify_proj.weight": (4, 128), "adaln_single.linear.weight": (4, 4)}, "checkpoint", "ltx-video"),
    "aura": ({"double_layers.0.attn.w1q.weight": (4, 4)}, "checkpoint", "aura-flow"),
    "hidream": (
        {"double_stream_blocks.0.block.attn1.to_q.weight": (4, 4), "caption_projection.0.linear.weight": (4, 4)},
        "checkpoint",
        "hidream",
    ),
    "controlnet": (
        {
            "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
            "control_model.zero_convs.0.0.weight": (4, 4),
        },
        "controlnet",
        "sd-1",
    ),
    "controlnet of diffusers": (
        {
            "controlnet_cond_embedding.conv_in.weight": (4, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (4, 2048),
        },
        "controlnet",
        "sdxl",
    ),
    "controlnet for flux": (
        {"controlnet_blocks.0.weight": (4, 4), "transformer_blocks.0.attn.to_k.weight": (4, 4)},
        "controlnet",
        "",
    ),
    "vae": ({"encoder.conv_in.weight": (4, 3), "decoder.conv_in.weight": (4, 4)}, "vae", ""),
    "vae of wan": ({"encoder.conv1.weight": (4, 3), "decoder.middle.0.residual.0.gamma": (4,)}, "vae", ""),
    "embedding": ({"emb_params": (3, 768)}, "embedding", ""),
    "embedding for sdxl": ({"clip_l": (3, 768), "clip_g": (3, 1280)}, "embedding", ""),
    "upscaler": ({"conv_first.weight": (4, 3), "body.0.rdb1.conv1.weight": (4, 4)}, "upscaler", ""),
    "language model": (
        {"model.embed_tokens.weight": (8, 16), "model.layers.0.self_attn.q_proj.weight": (16, 16)},
        "llm",
        "",
    ),
    "clip": ({"text_model.encoder.layers.0.mlp.fc1.weight": (4, 4)}, "text-encoder", ""),
    "t5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": (4, 4)}, "text-encoder", ""),
    "anything": ({"a": (2, 2), "b": (3,)}, "unknown", ""),
    "nothing": ({}, "unknown", ""),
}
"""Models, what they are for, and the family that their tensors tell."""

KOHYA = {
    "ss_output_name": "sks_dog_v2",
    "ss_sd_model_name": "v1-5-pruned.safetensors",
    "ss_new_sd_model_hash": "6CE0161689B3853ACAA03779EC93EAFE75A02F4CED659BEE03F50797806FA2FA",
    "ss_base_model_version": "sd_v1",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "32",
    "ss_network_alpha": "16.0",
    "ss_learning_rate": "0.0001",
    "ss_text_encoder_lr": "[5e-05, 1e-05]",
    "ss_unet_lr": "None",
    "ss_lr_scheduler": "cosine_with_restarts",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit",
    "ss_num_train_images": "240",
    "ss_num_epochs": "10",
    "ss_epoch": "10",
    "ss_steps": "1200",
    "ss_max_train_steps": "1200",
    "ss_batch_size_per_device": "2",
    "ss_seed": "42",
    "ss_resolution": "(512, 768)",
    "ss_dataset_dirs": json.dumps(
        {"10_sks dog": {"n_repeats": 10, "img_count": 20}, "4_park": {"n_repeats": 4, "img_count": 10}}
    ),
    "ss_reg_dataset_dirs": json.dumps({"1_dog": {"n_repeats": 1, "img_count": 100}}),
    "ss_tag_frequency": json.dumps(
        {
            "10_sks dog": {"sks": 20, " grass": 11, "outdoors": 19},
            "4_park": {"tree": 9, "sks": 2},
            "1_dog": {"dog": 100},
        }
    ),
    "sshs_model_hash": "ab" * 32,
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.title": "LoRA@1700000000.0",
    "modelspec.author": "Ada",
    "modelspec.description": "A dog.",
    "modelspec.license": "CC-BY-4.0",
    "modelspec.usage_hint": "Weight 0.8",
    "modelspec.trigger_phrase": "sks dog, sitting",
    "modelspec.tags": "dog, animal,  dog",
}
"""What sd-scripts write into a LoRA, and its author into the ModelSpec part."""


def a_lora() -> bytes:
    return safetensors(LORAS["kohya sd 1"][0], KOHYA)


@cache
def a_gguf() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return gguf_file(Path(folder, "a"), "llama", {"token_embd.weight": (8, 64)}, general__name="Tiny")
