"""Pictures as generators write them, put together with Pillow, which is what most of them use themselves."""

import io
import json
import struct
from typing import Any

import msgspec
from msgspec import UNSET
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pinakes.asset_types import Generation
from pinakes.media.probers.generators import values

PROMPT = "a red fox in the snow, (detailed:1.2) <lora:fox_style_v1.5:0.8> <lora:snow:1>\nsecond line: still, prompt"
NEGATIVE = "blurry, EasyNegative\ntext, watermark"
SETTINGS = (
    "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 832x1216,"
    " Model hash: E3C47AEDB0, Model: animagine_v3.1, VAE hash: 63aeecb90f, VAE: sdxl_vae.safetensors, Clip skip: 2,"
    ' Lora hashes: "fox_style_v1.5: 0123456789ab, snow: ba9876543210", TI hashes: "EasyNegative: c74b4e810b03"'
)
A1111 = f"{PROMPT}\nNegative prompt: {NEGATIVE}\n{SETTINGS}, Version: v1.10.1"

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:CreatorTool="Draw Things">
<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></exif:UserComment>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">a lighthouse
-blurry
Steps: 8, Sampler: Euler A Trailing, Guidance Scale: 3.5, Seed: 424242, Size: 1024x768, Model: flux_1_dev_q8p.ckpt
</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""

DRAW_THINGS = {
    "c": 'a lighthouse & "sea" <calm>',
    "uc": "blurry",
    "lang": "en",
    "lora": [{"model": "film_grain_lora_f16.ckpt", "weight": 0.4, "mode": "all"}],
    "model": "flux_1_dev_q8p.ckpt",
    "sampler": "Euler A Trailing",
    "scale": 3.5,
    "seed": 424242,
    "seed_mode": "Scale Alike",
    "shift": 3.16,
    "size": "1024x768",
    "steps": 8,
    "strength": 0.85,
    "v2": {"clipSkip": 1, "width": 1024, "height": 768, "loras": [{"file": "film_grain_lora_f16.ckpt", "weight": 0.4}]},
}

NOVELAI = {
    "Title": "NovelAI generated image",
    "Description": "1girl, fox ears, caf\u00e9, \u96ea",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4.5 4BDE2A90",
    "Generation time": "5.1",
    "Comment": json.dumps(
        {
            "prompt": "1girl, fox ears, caf\u00e9, \u96ea",
            "steps": 28,
            "height": 1216,
            "width": 832,
            "scale": 5.0,
            "cfg_rescale": 0.0,
            "seed": 2460183377,
            "noise_schedule": "karras",
            "sampler": "k_euler_ancestral",
            "uc": "lowres",
            "strength": 0.7,
            "v4_prompt": {
                "caption": {
                    "base_caption": "1girl, fox ears, caf\u00e9, \u96ea",
                    "char_captions": [{"char_caption": "girl, red hair", "centers": [{"x": 0.5, "y": 0.5}]}],
                }
            },
            "v4_negative_prompt": {"caption": {"base_caption": "lowres", "char_captions": [{"char_caption": "hat"}]}},
            "signed_hash": "x",
        }
    ),
}

INVOKEAI = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "cozy cabin",
    "negative_prompt": "blurry",
    "width": 1024,
    "height": 768,
    "seed": 2718281828,
    "rand_device": "cpu",
    "cfg_scale": 7.5,
    "steps": 30,
    "scheduler": "dpmpp_2m_sde_k",
    "clip_skip": 0,
    "strength": 0.6,
    "model": {
        "key": "6a1b",
        "hash": f"blake3:{'ab12' * 16}",
        "name": "juggernautXL_v9",
        "base": "sdxl",
        "type": "main",
    },
    "loras": [{"model": {"key": "9f", "hash": f"blake3:{'cd34' * 16}", "name": "add-detail-xl"}, "weight": 0.6}],
    "controlnets": [
        {"control_model": {"key": "c", "hash": "blake3:aabbcc", "name": "canny-xl"}, "control_weight": 0.5}
    ],
    "vae": {"key": "v", "hash": "blake3:ddeeff", "name": "sdxl-vae-fp16-fix", "base": "sdxl", "type": "vae"},
    "app_version": "5.4.2",
}

INVOKEAI_2 = {
    "model": "stable diffusion",
    "model_weights": "stable-diffusion-1.5",
    "model_hash": "cc6cb27103417325ff94f52b7a5d2dde",
    "app_id": "invoke-ai/InvokeAI",
    "image": {"prompt": [{"prompt": "a robot [blurry]", "weight": 1.0}], "steps": 50, "seed": 16, "sampler": "k_lms"},
}
INVOKEAI_3 = {
    "positive_prompt": "a robot",
    "seed": 3,
    "model": {"model_name": "m", "base_model": "sd-1"},
    "loras": [{"lora": {"model_name": "l"}, "weight": 1}],
}
JOB = "Job ID: 01234567-89ab-cdef-0123-456789abcdef"

FOOOCUS: dict[str, Any] = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "base_model_hash": "aeb7e9e689",
    "clip_skip": 2,
    "full_negative_prompt": ["unrealistic", "blurry"],
    "full_prompt": ["cinematic still a forest", "35mm"],
    "guidance_scale": 4,
    "lora_combined_1": "sd_xl_offset_example-lora_1.0 : 0.1",
    "loras": [["sd_xl_offset_example-lora_1.0", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "blurry",
    "performance": "Speed",
    "prompt": "a forest",
    "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "3141592653589793238",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2']",
    "vae": "Default (model)",
    "version": "Fooocus v2.5.5",
}
FOOOCUS_A1111 = """cinematic still a forest, 35mm
Negative prompt: unrealistic, blurry
Steps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 3141592653589793238, Size: 1152x896, CFG scale: 4, Sharpness: 2, \
ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernautXL_v8Rundiffusion, Model hash: aeb7e9e689, Performance: Speed, \
Scheduler: karras, VAE: Default (model), Raw prompt: "a forest, with \\"quotes\\"", Raw negative prompt: blurry, \
Clip skip: 2, Lora hashes: sd_xl_offset: 4852686128, Lora weights: sd_xl_offset: 0.1, Version: Fooocus v2.5.5"""

SWARMUI = {
    "sui_image_params": {
        "prompt": "a mug",
        "negativeprompt": "chips",
        "model": "Flux/flux1-dev-fp8",
        "seed": 2042464333,
        "steps": 25,
        "cfgscale": 1.0,
        "fluxguidancescale": 3.5,
        "width": 512,
        "height": 768,
        "sampler": "euler",
        "scheduler": "simple",
        "loras": ["clay.safetensors"],
        "loraweights": ["0.9"],
    },
    "sui_models": [{"name": "Flux/flux1-dev-fp8.safetensors", "param": "model", "hash": "0xABCDEF0123456789"}],
}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


KSAMPLER = {
    "3": node(
        "KSampler",
        seed=["10", 0],
        steps=20,
        cfg=8.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        denoise=0.9,
        model=["11", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sdxl\\animagine_v3.1.safetensors"),
    "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
    "6": node("CLIPTextEncode", text=["20", 0], clip=["12", 0]),
    "7": node("CLIPTextEncode", text="bad hands, embedding:EasyNegative:1.1", clip=["12", 0]),
    "8": node("VAEDecode", samples=["3", 0], vae=["9", 0]),
    "9": node("VAELoader", vae_name="sdxl_vae.safetensors"),
    "10": node("Seed (rgthree)", seed=12345678901234567890),
    "11": node(
        "Power Lora Loader (rgthree)",
        PowerLoraLoaderHeaderWidget={"type": "PowerLoraLoaderHeaderWidget"},
        lora_1={"on": True, "lora": "styles/fox.safetensors", "strength": 0.7},
        lora_2={"on": False, "lora": "styles/off.safetensors", "strength": 1},
        model=["13", 0],
        clip=["4", 1],
    ),
    "12": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["11", 1]),
    "13": node("LoraLoader", lora_name="snow.safetensors", strength_model=0.5, strength_clip=1, model=["4", 0]),
    "20": node("Text Concatenate", delimiter=", ", clean_whitespace="true", text_a="a fox", text_b=["21", 0]),
    "21": node("PrimitiveString", value="in the snow"),
    "30": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
}
FLUX = {
    "1": node(
        "SamplerCustomAdvanced",
        noise=["2", 0],
        guider=["3", 0],
        sampler=["4", 0],
        sigmas=["5", 0],
        latent_image=["6", 0],
    ),
    "2": node("RandomNoise", noise_seed=42),
    "3": node("BasicGuider", model=["7", 0], conditioning=["8", 0]),
    "4": node("KSamplerSelect", sampler_name="euler"),
    "5": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0, model=["7", 0]),
    "6": node("EmptySD3LatentImage", width=["13", 0], height=1024, batch_size=1),
    "7": node("LoraLoaderModelOnly", lora_name="clay.safetensors", strength_model=1.5, model=["9", 0]),
    "8": node("FluxGuidance", guidance=3.5, conditioning=["10", 0]),
    "9": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
    "10": node("CLIPTextEncodeFlux", clip_l="a clay mug", t5xxl="a clay mug", guidance=9, clip=["11", 0]),
    "11": node("DualCLIPLoader", clip_name1="t5xxl.safetensors", clip_name2="clip_l.safetensors", type="flux"),
    "13": node("PrimitiveInt", value=832),
    "14": node("VAEDecode", samples=["1", 0], vae=["15", 0]),
    "15": node("VAELoader", vae_name="ae.safetensors"),
    "16": node("SaveImage", images=["14", 0], filename_prefix="flux"),
    "17": node("Note", text="unused", x=float("nan")),
}
DRAWING = {
    "nodes": [
        {"id": 1, "type": "CheckpointLoaderSimple", "mode": 0, "widgets_values": ["a/b.safetensors"]},
        {"id": 2, "type": "LoraLoader", "mode": 0, "widgets_values": ["fox.safetensors", 0.6, 1]},
        {"id": 3, "type": "LoraLoader", "mode": 4, "widgets_values": ["bypassed.safetensors", 1, 1]},
    ],
    "links": [[1, 1, 0, 2, 0, "MODEL"]],
    "version": 0.4,
}


def escaped(text: str) -> str:
    """For XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def saved(format: str, **options: Any) -> bytes:
    """A small picture, as Pillow writes it."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((64, 48)).save(file, format, **options)
    return file.getvalue()


def png(texts: dict[str, str], how: str = "tEXt") -> bytes:
    """With texts as Pillow chooses to write them, packed, or as UTF-8 (`iTXt`)."""
    info = PngInfo()
    for name, text in texts.items():
        if how == "iTXt":
            info.add_itxt(name, text, zip=len(text) > 500)
        else:
            info.add_text(name, text, zip=how == "zTXt")
    return saved("PNG", pnginfo=info)


def exif(fields: dict[int, bytes] | None = None, comment: bytes = b"", order: str = ">") -> bytes:
    """As piexif lays it out: a page of ASCII fields, and a page of its own for the user comment."""
    texts = {tag: value.ljust(4, b"\0") + b"\0" for tag, value in sorted((fields or {}).items())}
    count = len(texts) + bool(comment)
    page, body, at = struct.pack(order + "H", count), b"", 8 + 2 + 12 * count + 4
    for tag, value in texts.items():
        page += struct.pack(order + "HHII", tag, 2, len(value), at + len(body))
        body += value
    if comment:
        page += struct.pack(order + "HHII", 0x8769, 4, 1, at + len(body))
        start = at + len(body) + 2 + 12 + 4
        body += struct.pack(order + "HHHIII", 1, 0x9286, 7, len(comment), start, 0) + comment
    return b"Exif\0\0" + (b"MM\0*\0\0\0\x08" if order == ">" else b"II*\0\x08\0\0\0") + page + bytes(4) + body


def with_exif(format: str, exif: bytes) -> bytes:
    return saved(format.upper(), exif=exif)


def commented(format: str, text: str, encoding: str = "utf-16-be", order: str = ">") -> bytes:
    """With an EXIF user comment, as AUTOMATIC1111 has it."""
    code = b"ASCII\0\0\0" if encoding == "ascii" else b"UNICODE\0"
    return with_exif(format, exif(comment=code + text.encode(encoding), order=order))


def windows_exif(text: str) -> bytes:
    """With the comment that Windows shows among a file's properties."""
    return exif({0x9C9C: text.encode("utf-16-le")})


def check(found: Generation | None) -> None:
    """What is stored and sent: JSON of valid Unicode with numbers in it that are some, within bounds."""
    if found is None:
        return
    sent = msgspec.json.encode(found)
    assert msgspec.json.decode(sent, type=Generation) == found
    assert b"\\u0000" not in sent
    assert len(found.ingredients) <= values.MAX_INGREDIENTS
    assert all(len(one.name) <= values.MAX_NAME for one in found.ingredients)
    assert all(len(prompt.encode()) <= values.MAX_TEXT for prompt in (found.prompt, found.negative_prompt) if prompt)
    assert all(side is UNSET or 0 <= side < 2**31 for side in (found.target_width, found.target_height))
