"""How pictures were made, by ComfyUI's nodes and those of its extensions."""

import json
from typing import Any

import generated as made
import pytest
from generated import node
from msgspec import UNSET

from pinakes.asset_types import Generation
from pinakes.media.probers import generation

CHECKPOINT, VAE = node("CheckpointLoaderSimple", ckpt_name="m.safetensors"), node("VAEDecode", samples=["s", 0])
ENCODED = node("CLIPTextEncode", text="a fox", clip=["c", 1])
REFUSED = node("CLIPTextEncode", text="a dog", clip=["c", 1])
LATENT = node("EmptyLatentImage", width=512, height=640, batch_size=1)


def sampler(**inputs: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "seed": 1,
        "steps": 20,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
        "model": ["c", 0],
        "positive": ["p", 0],
        "negative": ["n", 0],
        "latent_image": ["l", 0],
    }
    return node("KSampler", **(plain | inputs))


def of(**nodes: dict[str, Any]) -> Generation:
    """Of a plain graph with these nodes besides, or instead of its own."""
    plain = {"c": CHECKPOINT, "p": ENCODED, "n": REFUSED, "l": LATENT, "s": sampler(), "v": VAE}
    graph = {**plain, **nodes, "out": node("SaveImage", images=["v", 0])}
    found = generation.of_texts({"prompt": json.dumps(graph)})
    assert found is not None
    return found


def weights(found: Generation, role: str = "lora") -> dict[str, object]:
    return {one.name: one.weight for one in found.ingredients if one.role == role}


def test_a_plain_graph() -> None:
    found = of()
    assert (found.prompt, found.negative_prompt, found.seed, found.guidance) == ("a fox", "a dog", "1", 7.0)
    assert (found.scheduler, found.strength, found.target_width, found.target_height) == ("euler normal", 1.0, 512, 640)


def test_the_first_of_two_samplers_counts() -> None:
    larger = node("LatentUpscaleBy", samples=["s", 0], scale_by=1.5)
    second = sampler(seed=2, steps=8, denoise=0.4, latent_image=["u", 0])
    found = of(u=larger, s2=second, v=node("VAEDecode", samples=["s2", 0]))
    assert (found.seed, found.num_inference_steps, found.strength) == ("1", 20, 1.0)


def test_advanced_sampler() -> None:
    inputs = {"noise_seed": ["seed", 0], "steps": 30, "cfg": 5, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
    links = {"model": ["c", 0], "positive": ["p", 0], "negative": ["n", 0], "latent_image": ["l", 0]}
    found = of(s=node("KSamplerAdvanced", **inputs, **links), seed=node("PrimitiveInt", value=99))
    assert (found.seed, found.num_inference_steps, found.guidance, found.strength) == ("99", 30, 5.0, UNSET)


def test_custom_sampler() -> None:
    links = {"model": ["c", 0], "positive": ["p", 0], "negative": ["n", 0], "latent_image": ["l", 0]}
    custom = node("SamplerCustom", noise_seed=5, cfg=2, sampler=["k", 0], sigmas=["g", 0], **links)
    steps = node("KarrasScheduler", steps=12, sigma_max=14.6)
    found = of(s=custom, k=node("KSamplerSelect", sampler_name="lcm"), g=steps)
    assert (found.seed, found.num_inference_steps, found.guidance, found.scheduler) == ("5", 12, 2.0, "lcm")


def test_a_guider_with_both_prompts() -> None:
    guider = node("CFGGuider", cfg=4.5, model=["c", 0], positive=["p", 0], negative=["n", 0])
    links = {"noise": ["r", 0], "guider": ["g", 0], "sampler": ["k", 0], "sigmas": ["b", 0], "latent_image": ["l", 0]}
    found = of(
        s=node("SamplerCustomAdvanced", **links),
        g=guider,
        r=node("RandomNoise", noise_seed=8),
        k=node("KSamplerSelect", sampler_name="euler"),
        b=node("BasicScheduler", steps=4, scheduler="beta", denoise=0.7, model=["c", 0]),
    )
    assert (found.prompt, found.negative_prompt, found.guidance, found.seed) == ("a fox", "a dog", 4.5, "8")
    assert (found.scheduler, found.strength, found.target_width) == ("euler beta", 0.7, 512)


def test_a_negative_that_is_zeroed_out() -> None:
    found = of(n=node("ConditioningZeroOut", conditioning=["p", 0]))
    assert (found.prompt, found.negative_prompt) == ("a fox", UNSET)


def test_controlnet_in_between() -> None:
    applied = {"positive": ["p", 0], "negative": ["n", 0], "control_net": ["cn", 0], "image": ["i", 0], "strength": 0.6}
    found = of(
        a=node("ControlNetApplyAdvanced", **applied),
        cn=node("ControlNetLoader", control_net_name="canny.pth"),
        i=node("LoadImage", image="a photo.png"),
        s=sampler(positive=["a", 0], negative=["a", 1]),
    )
    assert (found.prompt, found.negative_prompt) == ("a fox", "a dog")
    assert weights(found, "controlnet") == {"canny": 0.6}


def test_prompts_put_together() -> None:
    found = of(
        p=node("ConditioningCombine", conditioning_1=["a", 0], conditioning_2=["b", 0]),
        a=node("CLIPTextEncodeSDXL", text_g="one", text_l="two", width=1024, clip=["c", 1]),
        b=node("CLIPTextEncode", text=["w", 0], clip=["c", 1]),
        w=node("ImpactWildcardProcessor", wildcard_text="__x__", populated_text="three", mode="populate", seed=4),
    )
    assert found.prompt == "one\ntwo\nthree"


def test_a_styler_with_both_prompts() -> None:
    styler = node("SDXLPromptStyler", text_positive="styled", text_negative="unstyled", style="base", log_prompt="No")
    found = of(
        y=styler,
        p=node("CLIPTextEncode", text=["y", 0], clip=["c", 1]),
        n=node("CLIPTextEncode", text=["y", 1], clip=["c", 1]),
    )
    assert (found.prompt, found.negative_prompt) == ("styled", "unstyled")


def test_a_loader_that_has_all() -> None:
    inputs = {"ckpt_name": "e.safetensors", "vae_name": "Baked VAE", "clip_skip": -2, "lora_name": "None"}
    inputs |= {"empty_latent_width": 768, "empty_latent_height": 512, "lora_stack": ["ls", 0]}
    stack = {"input_mode": "simple", "lora_count": 2, "lora_name_1": "a.safetensors", "lora_wt_1": 0.5}
    stack |= {"lora_name_2": "b.safetensors", "lora_wt_2": 0.25, "lora_name_3": "c.safetensors", "lora_wt_3": 1.0}
    found = of(
        e=node("Efficient Loader", positive="eff pos", negative="eff neg", **inputs),
        ls=node("LoRA Stacker", **stack),
        s=sampler(model=["e", 0], positive=["e", 1], negative=["e", 2], latent_image=["e", 3]),
    )
    assert (found.prompt, found.negative_prompt, found.clip_skip) == ("eff pos", "eff neg", 2)
    assert (found.target_width, found.target_height) == (768, 512)
    assert (weights(found), weights(found, "checkpoint"), weights(found, "vae")) == (
        {"a": 0.5, "b": 0.25},
        {"e": UNSET},
        {},
    )


MANAGED = [{"name": "a", "strength": "0.7", "active": True}, {"name": "b", "strength": 1, "active": False}]


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (node("LoraLoader", lora_name="x\\a.safetensors", strength_model=0.5, strength_clip=1), {"a": 0.5}),
        (node("LoraLoader", lora_name="a.safetensors", strength_model=0, strength_clip=0), {}),
        (node("CR LoRA Stack", switch_1="On", lora_name_1="a", model_weight_1=0.3), {"a": 0.3}),
        (node("CR LoRA Stack", switch_1="Off", lora_name_1="a", model_weight_1=0.3), {}),
        (node("Lora Loader Stack (rgthree)", lora_01="a.safetensors", strength_01=0.2, lora_02="None"), {"a": 0.2}),
        (node("easy loraStack", num_loras=1, lora_1_name="a", lora_1_strength=0.4, lora_2_name="b"), {"a": 0.4}),
        (node("WanVideoLoraSelect", lora="a.safetensors", strength=0.9), {"a": 0.9}),
        (node("Lora Loader (LoraManager)", loras={"__value__": MANAGED}), {"a": 0.7}),
        (node("Power Lora Loader (rgthree)", Lora_1={"on": True, "lora": "a.pt", "strength": 1.1}), {"a": 1.1}),
    ],
)
def test_lora_loaders(loader: dict[str, Any], expected: dict[str, object]) -> None:
    loader["inputs"]["model"] = ["c", 0]
    found = of(lora=loader, s=sampler(model=["lora", 0]))
    assert weights(found) == expected
    assert weights(found, "checkpoint") == {"m": UNSET}


@pytest.mark.parametrize(
    ("kind", "inputs", "role", "name"),
    [
        ("UnetLoaderGGUF", {"unet_name": "flux1-dev-Q8_0.gguf"}, "checkpoint", "flux1-dev-Q8_0"),
        ("WanVideoModelLoader", {"model": "wan/wan2.2.safetensors"}, "checkpoint", "wan2.2"),
        ("UpscaleModelLoader", {"model_name": "4x-UltraSharp.pth"}, "upscaler", "4x-UltraSharp"),
        ("WanVideoVAELoader", {"model_name": "wan_vae.safetensors"}, "vae", "wan_vae"),
        ("UltralyticsDetectorProvider", {"model_name": "face.pt"}, "checkpoint", None),
        ("CLIPLoader", {"clip_name": "t5.safetensors"}, "checkpoint", None),
    ],
)
def test_model_loaders(kind: str, inputs: dict[str, str], role: str, name: str | None) -> None:
    found = of(c=node(kind, **inputs))
    assert list(weights(found, role)) == ([name] if name else [])


def test_a_video() -> None:
    links = {"model": ["c", 0], "text_embeds": ["t", 0], "image_embeds": ["i", 0], "samples": None}
    found = of(
        s=node("WanVideoSampler", steps=6, cfg=1.0, seed=11, scheduler="unipc", shift=5.0, **links),
        t=node("WanVideoTextEncode", positive_prompt="a fox runs", negative_prompt="still", t5=["t5", 0]),
        i=node("WanVideoEmptyEmbeds", width=832, height=480, num_frames=81),
    )
    assert (found.prompt, found.negative_prompt, found.seed) == ("a fox runs", "still", "11")
    assert (found.num_inference_steps, found.scheduler, found.target_height) == (6, "unipc", 480)


def test_settings_passed_through_a_pipe() -> None:
    settings = {"steps": 9, "cfg": 3, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1, "seed": 21}
    found = of(
        e=node("easy fullLoader", ckpt_name="z.safetensors", positive="piped", negative="not piped"),
        pre=node("easy preSampling", pipe=["e", 0], **settings),
        s=node("easy kSampler", pipe=["pre", 0], image_output="Save"),
    )
    assert (found.prompt, found.negative_prompt, found.seed, found.num_inference_steps) == (
        "piped",
        "not piped",
        "21",
        9,
    )
    assert weights(found, "checkpoint") == {"z": UNSET}


def test_reroutes_and_switches() -> None:
    found = of(
        r=node("Reroute", **{"": ["p", 0]}),
        x=node("Any Switch (rgthree)", any_01=["r", 0]),
        num=node("Reroute", **{"": ["int", 0]}),
        int=node("INTConstant", value=33),
        s=sampler(positive=["x", 0], steps=["num", 0]),
    )
    assert (found.prompt, found.num_inference_steps) == ("a fox", 33)


def test_a_graph_without_a_sampler() -> None:
    found = generation.of_texts({"prompt": json.dumps({"1": node("FluxProImageNode", prompt="a pear", seed=6)})})
    assert found == Generation(generator="ComfyUI", prompt="a pear", seed="6")


def test_bypassed_nodes_of_a_drawing() -> None:
    found = generation.of_texts({"workflow": json.dumps(made.DRAWING)})
    assert found is not None
    assert weights(found) == {"fox": 0.6}
