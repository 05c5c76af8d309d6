"""How pictures were made: every generator, in every container it writes."""

import json
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generated as made
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from pinakes.asset_types import Generation, Ingredient, Role
from pinakes.media import Media
from pinakes.media.probers import generation


def used(role: Role, name: str, hash: str = "", weight: float | None = None) -> Ingredient:
    return Ingredient(role, name, hash, UNSET if weight is None else weight)


A1111 = Generation(
    generator="AUTOMATIC1111",
    prompt=made.PROMPT,
    negative_prompt=made.NEGATIVE,
    seed="18446744073709551615",
    num_inference_steps=28,
    guidance=6.5,
    scheduler="DPM++ 2M Karras",
    clip_skip=2,
    target_width=832,
    target_height=1216,
    ingredients=[
        used("checkpoint", "animagine_v3.1", "e3c47aedb0"),
        used("vae", "sdxl_vae", "63aeecb90f"),
        used("lora", "fox_style_v1.5", "0123456789ab", 0.8),
        used("lora", "snow", "ba9876543210", 1.0),
        used("embedding", "EasyNegative", "c74b4e810b03"),
    ],
)
COMFYUI = Generation(
    generator="ComfyUI",
    prompt="a fox\nin the snow",
    negative_prompt="bad hands, embedding:EasyNegative:1.1",
    seed="12345678901234567890",
    num_inference_steps=20,
    guidance=8.0,
    scheduler="dpmpp_2m karras",
    strength=0.9,
    clip_skip=2,
    target_width=832,
    target_height=1216,
    ingredients=[
        used("lora", "fox", "", 0.7),
        used("lora", "snow", "", 0.5),
        used("checkpoint", "animagine_v3.1"),
        used("vae", "sdxl_vae"),
        used("embedding", "EasyNegative", "", 1.1),
    ],
)
FLUX = Generation(
    generator="ComfyUI",
    prompt="a clay mug",
    seed="42",
    num_inference_steps=20,
    guidance=3.5,
    scheduler="euler simple",
    strength=1.0,
    target_width=832,
    target_height=1024,
    ingredients=[used("lora", "clay", "", 1.5), used("checkpoint", "flux1-dev"), used("vae", "ae")],
)
DRAWING = Generation(generator="ComfyUI", ingredients=[used("checkpoint", "b"), used("lora", "fox", "", 0.6)])
INVOKEAI = Generation(
    generator="InvokeAI",
    prompt="cozy cabin",
    negative_prompt="blurry",
    seed="2718281828",
    num_inference_steps=30,
    guidance=7.5,
    scheduler="dpmpp_2m_sde_k",
    strength=0.6,
    target_width=1024,
    target_height=768,
    ingredients=[
        used("checkpoint", "juggernautXL_v9", "ab12" * 16),
        used("vae", "sdxl-vae-fp16-fix", "ddeeff"),
        used("lora", "add-detail-xl", "cd34" * 16, 0.6),
        used("controlnet", "canny-xl", "aabbcc", 0.5),
    ],
)
FOOOCUS = Generation(
    generator="Fooocus",
    prompt="a forest",
    negative_prompt="blurry",
    seed="3141592653589793238",
    num_inference_steps=30,
    guidance=4.0,
    scheduler="dpmpp_2m_sde_gpu karras",
    clip_skip=2,
    target_width=1152,
    target_height=896,
    ingredients=[
        used("checkpoint", "juggernautXL_v8Rundiffusion", "aeb7e9e689"),
        used("lora", "sd_xl_offset_example-lora_1.0", "4852686128", 0.1),
    ],
)
FOOOCUS_A1111 = replace(
    FOOOCUS,
    prompt='a forest, with "quotes"',
    scheduler="DPM++ 2M SDE Karras",
    ingredients=[FOOOCUS.ingredients[0], used("lora", "sd_xl_offset", "4852686128", 0.1)],
)
NOVELAI = Generation(
    generator="NovelAI",
    prompt="1girl, fox ears, caf\u00e9, \u96ea\ngirl, red hair",
    negative_prompt="lowres\nhat",
    seed="2460183377",
    num_inference_steps=28,
    guidance=5.0,
    scheduler="k_euler_ancestral karras",
    strength=0.7,
    target_width=832,
    target_height=1216,
    ingredients=[used("checkpoint", "NovelAI Diffusion V4.5", "4bde2a90")],
)
DRAW_THINGS = Generation(
    generator="Draw Things",
    prompt='a lighthouse & "sea" <calm>',
    negative_prompt="blurry",
    seed="424242",
    num_inference_steps=8,
    guidance=3.5,
    scheduler="Euler A Trailing",
    strength=0.85,
    clip_skip=1,
    target_width=1024,
    target_height=768,
    ingredients=[used("checkpoint", "flux_1_dev_q8p"), used("lora", "film_grain_lora_f16", "", 0.4)],
)
SWARMUI = Generation(
    generator="SwarmUI",
    prompt="a mug",
    negative_prompt="chips",
    seed="2042464333",
    num_inference_steps=25,
    guidance=3.5,
    scheduler="euler simple",
    target_width=512,
    target_height=768,
    ingredients=[used("checkpoint", "flux1-dev-fp8", "abcdef0123456789"), used("lora", "clay", "", 0.9)],
)

SAVER = replace(A1111, generator="ComfyUI", strength=0.9)

GRAPH = {"prompt": json.dumps(made.KSAMPLER), "workflow": json.dumps(made.DRAWING)}
AS_FIELDS = {0x0110: f"prompt:{GRAPH['prompt']}".encode(), 0x010F: f"workflow:{GRAPH['workflow']}".encode()}
FOCUS = json.dumps(made.FOOOCUS)
FOOOCUS_EXIF = {0x9286: FOCUS.encode(), 0x0131: b"Fooocus v2.5.5", 0x927C: b"fooocus"}
SWARM, DRAWN, NOVEL = json.dumps(made.SWARMUI), json.dumps(made.DRAW_THINGS), json.dumps(made.NOVELAI)
PACKET = made.XMP.format(made.escaped(DRAWN))

CASES: dict[str, tuple[str, Callable[[], bytes], Generation]] = {
    "a1111 png": ("png", lambda: made.png({"parameters": made.A1111}), A1111),
    "a1111 png packed": ("png", lambda: made.png({"parameters": made.A1111}, "zTXt"), A1111),
    "a1111 png utf-8": ("png", lambda: made.png({"parameters": made.A1111}, "iTXt"), A1111),
    "a1111 jpeg": ("jpeg", lambda: made.commented("jpeg", made.A1111), A1111),
    "a1111 webp": ("webp", lambda: made.commented("webp", made.A1111), A1111),
    "a1111 avif": ("avif", lambda: made.commented("avif", made.A1111), A1111),
    "a1111 tiff": ("tiff", lambda: made.saved("TIFF", description=made.A1111), A1111),
    "a1111 tiff big": ("tiff", lambda: made.saved("TIFF", description=made.A1111, big_tiff=True), A1111),
    "a1111 gif": ("gif", lambda: made.saved("GIF", comment=made.A1111.encode()), A1111),
    "a1111 jpeg little endian": ("jpeg", lambda: made.commented("jpeg", made.A1111, "utf-16-le", "<"), A1111),
    "a1111 jpeg other endian": ("jpeg", lambda: made.commented("jpeg", made.A1111, "utf-16-be", "<"), A1111),
    "a1111 jpeg byte order mark": ("jpeg", lambda: made.commented("jpeg", made.A1111, "utf-16"), A1111),
    "a1111 jpeg unicode is utf-8": ("jpeg", lambda: made.commented("jpeg", made.A1111, "utf-8"), A1111),
    "a1111 jpeg ascii": ("jpeg", lambda: made.commented("jpeg", made.A1111, "ascii"), A1111),
    "a1111 jpeg comment": ("jpeg", lambda: made.saved("JPEG", comment=made.A1111.encode()), A1111),
    "a1111 jpeg windows": ("jpeg", lambda: made.with_exif("jpeg", made.windows_exif(made.A1111)), A1111),
    "a1111 png exif": ("png", lambda: made.saved("PNG", exif=made.exif({0x010E: made.A1111.encode()})), A1111),
    "comfyui png": ("png", lambda: made.png(GRAPH), COMFYUI),
    "comfyui webp": ("webp", lambda: made.with_exif("webp", made.exif(AS_FIELDS)), COMFYUI),
    "comfyui jpeg": ("jpeg", lambda: made.with_exif("jpeg", made.exif(AS_FIELDS)), COMFYUI),
    "comfyui avif": ("avif", lambda: made.with_exif("avif", made.exif(AS_FIELDS)), COMFYUI),
    "comfyui webp comment": ("webp", lambda: made.commented("webp", json.dumps(GRAPH)), COMFYUI),
    "comfyui webp objects": ("webp", lambda: made.commented("webp", json.dumps({"prompt": made.KSAMPLER})), COMFYUI),
    "comfyui flux png": ("png", lambda: made.png({"prompt": json.dumps(made.FLUX)}), FLUX),
    "comfyui drawing alone": ("png", lambda: made.png({"workflow": GRAPH["workflow"]}), DRAWING),
    "comfyui saver": ("png", lambda: made.png({"parameters": made.A1111, **GRAPH}), SAVER),
    "invokeai png": ("png", lambda: made.png({"invokeai_metadata": json.dumps(made.INVOKEAI)}), INVOKEAI),
    "invokeai png utf-8": ("png", lambda: made.png({"invokeai_metadata": json.dumps(made.INVOKEAI)}, "iTXt"), INVOKEAI),
    "fooocus png": ("png", lambda: made.png({"parameters": FOCUS, "fooocus_scheme": "fooocus"}), FOOOCUS),
    "fooocus jpeg": ("jpeg", lambda: made.with_exif("jpeg", made.exif(FOOOCUS_EXIF)), FOOOCUS),
    "fooocus webp": ("webp", lambda: made.with_exif("webp", made.exif(FOOOCUS_EXIF)), FOOOCUS),
    "fooocus a1111": ("png", lambda: made.png({"parameters": made.FOOOCUS_A1111}), FOOOCUS_A1111),
    "novelai png": ("png", lambda: made.png(made.NOVELAI), NOVELAI),
    "novelai webp": ("webp", lambda: made.commented("webp", NOVEL), NOVELAI),
    "draw things png": ("png", lambda: made.png({"XML:com.adobe.xmp": PACKET}, "iTXt"), DRAW_THINGS),
    "draw things jpeg": ("jpeg", lambda: made.saved("JPEG", xmp=PACKET.encode()), DRAW_THINGS),
    "draw things webp": ("webp", lambda: made.saved("WEBP", xmp=PACKET.encode()), DRAW_THINGS),
    "draw things avif": ("avif", lambda: made.saved("AVIF", xmp=PACKET.encode()), DRAW_THINGS),
    "draw things tiff": ("tiff", lambda: made.saved("TIFF", tiffinfo={700: PACKET.encode()}), DRAW_THINGS),
    "draw things jpeg exif": ("jpeg", lambda: made.commented("jpeg", DRAWN, "ascii"), DRAW_THINGS),
    "swarmui png": ("png", lambda: made.png({"parameters": SWARM}), SWARMUI),
    "swarmui jpeg": ("jpeg", lambda: made.commented("jpeg", SWARM), SWARMUI),
}  # fmt: skip


@pytest.mark.parametrize("which", CASES)
def test_each_generator_in_each_container(which: str) -> None:
    format, data, expected = CASES[which]
    assert generation.of_picture(format, data()) == expected


@pytest.mark.parametrize("which", CASES)
def test_files_that_are_not_in_memory(which: str, tmp_path: Path) -> None:
    format, data, expected = CASES[which]
    path = tmp_path / "picture"
    path.write_bytes(data())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert generation.of_picture(format, mapped) == expected  # type: ignore[arg-type]  # it reads as bytes


def test_through_the_whole_of_it() -> None:
    media = Media()
    try:
        for format, data, expected in CASES.values():
            examined = media.examine(data(), "")
            assert (examined.format, examined.generation) == (format, expected)
    finally:
        media.close()


@pytest.mark.parametrize(
    ("version", "generator"),
    [
        ("Version: v1.6.0", "AUTOMATIC1111"),
        ("Version: 1.10.1-RC", "AUTOMATIC1111"),
        ("Version: f2.0.1v1.10.1-previous-659-gc055f2d4", "Forge"),
        ("Version: f0.0.17v1.8.0rc-latest-276-g29be1da7", "Forge"),
        ("Version: neo", "Forge"),
        ("Version: 8ec1d0b, App: SD.Next", "SD.Next"),
        ("Version: ComfyUI", "ComfyUI"),
        ("Version: Fooocus v2.1.865", "Fooocus"),
        ("Created Date: 2024-05-01T10:00:00Z, Civitai resources: []", "Civitai"),
    ],
)
def test_who_writes_like_automatic1111(version: str, generator: str) -> None:
    found = generation.of_texts({"parameters": f"{made.PROMPT}\n{made.SETTINGS}, {version}"})
    assert found is not None
    assert (found.generator, found.seed, found.negative_prompt) == (generator, A1111.seed, UNSET)


def said(settings: str, prompt: str = "a fox") -> Generation:
    found = generation.of_texts({"parameters": f"{prompt}\n{settings}"})
    assert found is not None
    return found


PLAIN = "Steps: 20, Sampler: Euler a, Seed: 1, Size: 512x768"


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ("CFG scale: 1, Distilled CFG Scale: 3.5", "guidance", 3.5),
        ("Denoising strength: 0.45", "strength", 0.45),
        ("Schedule type: Automatic", "scheduler", "Euler a"),
        ("Schedule type: SGM Uniform", "scheduler", "Euler a SGM Uniform"),
        ("Hires upscale: 1.5, Hires steps: 10", "target_width", 768),
        ("Hires resize: 1024x1536", "target_height", 1536),
        ("Clip skip: two", "clip_skip", UNSET),
        ("Hires upscaler: 4x-UltraSharp", "ingredients", [used("upscaler", "4x-UltraSharp")]),
        ("Hires upscaler: Latent (nearest)", "ingredients", []),
        ("Module 1: ae, Module 2: clip_l, Module 3: t5xxl_fp16", "ingredients", [used("vae", "ae")]),
        ("Refiner: sd_xl_refiner [7440042bbd]", "ingredients", [used("checkpoint", "sd_xl_refiner", "7440042bbd")]),
        (
            'ControlNet 0: "Module: canny, Model: control_v11p [d14c016b], Weight: 0.7, Resize Mode: Crop"',
            "ingredients",
            [used("controlnet", "control_v11p", "d14c016b", 0.7)],
        ),
        (
            'Hashes: {"model": "ABCDEF1234", "vae": "1234567890", "lora:x": "aaaaaaaa", "embed:y": "bbbbbb"}, Model: m',
            "ingredients",
            [
                used("checkpoint", "m", "abcdef1234"),
                used("vae", "", "1234567890"),
                used("lora", "x", "aaaaaaaa"),
                used("embedding", "y", "bbbbbb"),
            ],
        ),
        (
            'Civitai resources: [{"type":"vae","modelName":"A, V6"},{"type":"lora","weight":0.5,"modelName":"L"}]',
            "ingredients",
            [used("vae", "A, V6"), used("lora", "L", "", 0.5)],
        ),
    ],
)
def test_a_setting(more: str, field: str, value: Any) -> None:
    assert getattr(said(f"{PLAIN}, {more}"), field) == value


def test_settings_before_other_lines() -> None:
    found = said(f"{PLAIN}\nTemplate: a __animal__\nNegative Template: x")
    assert (found.prompt, found.num_inference_steps) == ("a fox", 20)


def test_weights_in_prompts() -> None:
    prompt = "<lora:a:0.8> <lyco:b:1:0.5> <lora:c> <lora:a:0.2> <lora:folder/d.safetensors:-1>"
    weights = {one.name: one.weight for one in said(PLAIN, prompt).ingredients}
    assert weights == {"a": 0.8, "b": 1.0, "c": 1.0, "d": -1.0}


ELSEWHERE: dict[str, tuple[dict[str, str], Any, Any, Any]] = {
    "sd-metadata": ({"sd-metadata": json.dumps(made.INVOKEAI_2)}, "a robot", "blurry", "16"),
    "dream": ({"Dream": '"a robot [blurry] [text]" -s 50 -S 16 -W 512 -C 7.5'}, "a robot", "blurry, text", "16"),
    "invokeai 3": ({"invokeai_metadata": json.dumps(made.INVOKEAI_3)}, "a robot", UNSET, "3"),
    "midjourney": ({"Description": f"a fox --seed 77 {made.JOB}"}, "a fox --seed 77", UNSET, "77"),
    "a video's comment": ({"comment": json.dumps({"prompt": json.dumps(made.FLUX)})}, "a clay mug", UNSET, "42"),
    "a video's prompt": ({"PROMPT": json.dumps(made.FLUX), "encoder": "Lavf"}, "a clay mug", UNSET, "42"),
}


@pytest.mark.parametrize("which", ELSEWHERE)
def test_texts_of_other_places(which: str) -> None:
    texts, prompt, negative, seed = ELSEWHERE[which]
    found = generation.of_texts(texts)
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.seed) == (prompt, negative, seed)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"Comment": "Steps: 3 of the stairs"},
        {"Software": "Adobe Photoshop", "Description": "a fox"},
        {"prompt": "a fox", "workflow": "none"},
        {"comment": '{"a": 1}'},
        {"parameters": "a fox"},
        {"Make": "Canon", "Model": "Canon EOS R5", "ImageDescription": "prompt: a fox"},
    ],
)
def test_what_no_generator_wrote(texts: dict[str, str]) -> None:
    assert generation.of_texts(texts) is None
