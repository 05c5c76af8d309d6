"""What a model file is, by the names and shapes of its tensors. Imported in a child process only.

The signs are those by which ComfyUI (comfy/model_detection.py, comfy/supported_models.py) tells models apart, and for
LoRAs the same blocks as kohya-ss/sd-scripts, diffusers and ai-toolkit spell them. Finetunes and variants (Kontext,
Edit, Turbo) have the tensors of their family: only the file's own words tell those.
"""

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from pinakes.media.probers.tensors import Tensor
from pinakes.model_types import FileRole

MOST_NAME = 500
"""Characters of a name that is looked at."""
Shapes = Mapping[str, tuple[int, ...]]


class Look(msgspec.Struct, frozen=True):
    """`family` None: not told. `network` and `rank` are of a LoRA; `rank` is that of most of its layers."""

    role: FileRole
    family: str | None = None
    network: str | None = None
    rank: int | None = None


_PREFIX = re.compile(r"^(?:model\.diffusion_model|diffusion_model|base_model\.model|transformer|unet|dit)\.")
_EMBEDDING = {"emb_params", "clip_l", "clip_g", "t5xxl"}
# The first whose signs all start some tensor's name.
_ROLES: tuple[tuple[FileRole, tuple[str, ...]], ...] = (
    ("controlnet", ("control_model.",)),
    ("controlnet", ("zero_convs.0.",)),
    ("controlnet", ("controlnet_cond_embedding.",)),
    ("controlnet", ("controlnet_blocks.0.",)),
    ("vae", ("encoder.conv_in.weight", "decoder.conv_in.weight")),
    ("vae", ("decoder.conv_in.weight", "post_quant_conv.weight")),
    ("vae", ("encoder.conv1.weight", "decoder.middle.0.")),
    ("upscaler", ("conv_first.weight", "body.0.")),
    ("upscaler", ("model.0.weight", "model.1.sub.0.")),
    ("llm", ("model.layers.0.", "model.embed_tokens.")),
    ("llm", ("model.language_model.layers.0.",)),
    ("llm", ("token_embd.weight", "blk.0.")),
    ("text-encoder", ("text_model.encoder.layers.0.",)),
    ("text-encoder", ("encoder.block.0.layer.0.SelfAttention.",)),
    ("text-encoder", ("enc.blk.0.",)),
)
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sd-3", ("joint_blocks.0.context_block.attn.qkv.weight",)),
    ("chroma", ("distilled_guidance_layer.",)),
    ("hunyuan-video", ("txt_in.individual_token_refiner.",)),
    ("hunyuan-video", ("context_embedder.token_refiner.",)),
    ("flux.1", ("double_blocks.0.img_attn.norm.key_norm.", "double_blocks.0.img_mod.lin.")),
    ("flux.1", ("single_transformer_blocks.0.proj_mlp.", "time_text_embed.text_embedder.")),
    ("wan", ("head.modulation", "blocks.0.cross_attn.q.weight")),
    ("qwen-image", ("txt_norm.weight", "transformer_blocks.0.img_mod.1.weight")),
    ("ltx-video", ("patchify_proj.", "adaln_single.")),
    ("aura-flow", ("double_layers.0.attn.w1q.weight",)),
    ("hidream", ("double_stream_blocks.0.block.", "caption_projection.0.")),
)
# What a U-Net's cross-attention takes from the text encoder, and how wide the blocks of the others are.
_UNETS = {768: "sd-1", 1024: "sd-2", 2048: "sdxl", 1280: "sdxl-refiner"}
_FLUX_2 = {6144: "flux.2-dev", 4096: "flux.2-klein-9b"}
_LUMINA = {3840: "z-image", 2304: "lumina-2"}
# Tensors, the axis to measure, and the family for each width of it.
_WIDTHS = (
    (re.compile(r"^double_stream_modulation_img\.lin(ear)?\.weight$"), 1, _FLUX_2 | {3072: "flux.2-klein-4b"}),
    (re.compile(r"^cap_embedder\.1\.weight$"), 0, _LUMINA),
    (re.compile(r"^(control_model\.)?(input|down)_blocks\..*\.attn2\.to_k\.weight$"), 1, _UNETS),
)

# A LoRA's tensor: the layer that it is for, and which part of it this is.
_PART = re.compile(
    r"^(?:base_model\.model\.|diffusion_model\.|transformer\.|unet\.|lora_unet_|lora_transformer_|lycoris_)?(?P<layer>.+?)"
    r"(?:\.weight)?[._](?P<part>lora_down|lora_up|lora_mid|lora_[ABab]|lora\.down|lora\.up|lora_magnitude_vector"
    r"|dora_scale|hada_[wt]\d(?:_[ab])?|lokr_[wt]\d(?:_[ab])?|oft_blocks|oft_diag|diff_b|diff)(?:\.default)?(?:\.weight)?$"
)
_INWARD = {"lora_down", "lora_A", "lora_a", "lora.down"}
_RANKED = _INWARD | {"hada_w1_b", "lokr_w1_b", "lokr_w2_b"}
_NETWORKS = (("dora", "dora"), ("lora_magnitude", "dora"), ("hada", "loha"), ("lokr", "lokr"), ("oft", "oft"))
# Layers, with `_` for the dots, and the family: of all such layers, or by how many numbers go into one.
_LORAS: tuple[tuple[re.Pattern[str], str | dict[int, str]], ...] = tuple(
    (re.compile(pattern), families)
    for pattern, families in (
        (r"^(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_.*attn2_to_[kv]$", _UNETS),
        (r"^joint_blocks_\d+_(context|x)_block_", "sd-3"),
        (r"^transformer_blocks_\d+_attn_add_[qkv]_proj$", {1536: "sd-3", 2432: "sd-3"}),
        (
            r"_img_mlp_fc1$|_img_mod_linear$|token_refiner|^double_blocks_19_|^single(_transformer)?_blocks_3[89]_",
            "hunyuan-video",
        ),
        (r"^(double|single|single_transformer)_blocks_\d+_.*(qkv|to_[qkv]|linear1|to_qkv_mlp_proj)$", _FLUX_2),
        (r"^single_transformer_blocks_\d+_attn_to_qkv_mlp_proj$", {3072: "flux.2-klein-4b"}),
        (
            r"^double_blocks_([5-9]|1\d)_|^single(_transformer)?_blocks_[23]\d_|^single_transformer_blocks_\d+_proj_mlp$",
            {3072: "flux.1"},
        ),
        (
            r"^transformer_blocks_\d+_(img_mod_1|img_mlp_net|txt_mlp_net)|^transformer_blocks_[2-5]\d_attn_add_[qkv]_proj$",
            "qwen-image",
        ),
        (r"^blocks_\d+_(self_attn|cross_attn)_[qkvo]$", "wan"),
        (r"^layers_\d+_(attention_(qkv|to_[qkv])|feed_forward_w[13])$", _LUMINA),
        (r"^transformer_blocks_\d+_attn2_to_q$", {2048: "ltx-video"}),
        (r"^(double|single)_stream_blocks_\d+_block_", "hidream"),
    )
)


def look(tensors: Mapping[str, Tensor]) -> Look:
    """What the tensors tell."""
    known = {name: tensor.shape for name, tensor in tensors.items() if len(name) <= MOST_NAME}
    parts = [(match["layer"], match["part"], shape) for name, shape in known.items() if (match := _PART.match(name))]
    if parts:
        return _lora(parts)
    if known and known.keys() <= _EMBEDDING:
        return Look("embedding")
    shapes = {_PREFIX.sub("", name): shape for name, shape in known.items()}
    role: FileRole = next((role for role, signs in _ROLES if _has(shapes, signs)), "unknown")
    family = _family(shapes)
    return Look("checkpoint" if family and role != "controlnet" else role, family)


def _has(shapes: Shapes, signs: tuple[str, ...]) -> bool:
    return all(any(name.startswith(sign) for name in shapes) for sign in signs)


def _family(shapes: Shapes) -> str | None:
    for pattern, axis, families in _WIDTHS:
        for name, shape in shapes.items():
            if len(shape) > axis and shape[axis] in families and pattern.match(name):
                return families[shape[axis]]
    return next((family for family, signs in _FAMILIES if _has(shapes, signs)), None)


def _lora(parts: list[tuple[str, str, tuple[int, ...]]]) -> Look:
    ranks = Counter(shape[0] for _, part, shape in parts if part in _RANKED and shape)
    layers = dict.fromkeys((layer.replace(".", "_") for layer, _, _ in parts), 0)
    layers |= {layer.replace(".", "_"): shape[1] for layer, part, shape in parts if part in _INWARD and len(shape) > 1}
    kinds = {part for _, part, _ in parts}
    network = next((name for start, name in _NETWORKS if any(kind.startswith(start) for kind in kinds)), "lora")
    return Look("lora", _lora_family(layers), network, max(ranks, key=ranks.__getitem__, default=None))


def _lora_family(layers: Mapping[str, int]) -> str | None:
    for pattern, families in _LORAS:
        for layer, width in layers.items():
            family = families if isinstance(families, str) else families.get(width)
            if family and pattern.search(layer):
                return family
    return None
