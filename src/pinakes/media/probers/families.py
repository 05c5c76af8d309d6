"""Which model a file belongs to, by the words that trainers and converters use. Imported in a child process only.

Sources: `determine_architecture` in kohya-ss/sd-scripts' library/sai_model_spec.py, the constants of musubi-tuner's
utils/sai_model_spec.py, Stability AI's ModelSpec, `general.architecture` in city96/ComfyUI-GGUF's tools/convert.py.
"""

import re
from collections.abc import Iterable

from pinakes.model_types import FileRole, ModelType

# The first that is found wins. Words are in lower case, and only letters and digits are left of them.
_WORDS = (
    ("xlv1refiner", "sdxl-refiner"),
    ("stablediffusionxl", "sdxl"), ("sdxl", "sdxl"),
    ("stablediffusion3", "sd-3"), ("stablediffusionv3", "sd-3"), ("sd3", "sd-3"),
    ("stablediffusionv2", "sd-2"), ("sdv2", "sd-2"), ("sd2", "sd-2"),
    ("stablediffusionv1", "sd-1"), ("sdv1", "sd-1"), ("sd1", "sd-1"),
    ("chroma", "chroma"),
    ("flux2klein4b", "flux.2-klein-4b"), ("flux2kleinbase4b", "flux.2-klein-4b"),
    ("flux2klein9b", "flux.2-klein-9b"), ("flux2kleinbase9b", "flux.2-klein-9b"),
    ("flux2klein", ""), ("flux2", "flux.2-dev"), ("flux", "flux.1"),
    ("qwenimage", "qwen-image"), ("zimage", "z-image"),
    ("wan", "wan"), ("hunyuanvideo", "hunyuan-video"), ("hyvid", "hunyuan-video"), ("ltxv", "ltx-video"),
    ("hidream", "hidream"), ("lumina2", "lumina-2"), ("auraflow", "aura-flow"),
)  # fmt: skip
# The hosted service's types of a family, each with a word that has to be there. Without a plain one (`""`) at the end,
# the file has to name the variant: the tensors are the same, and none is the usual one.
_LORAS: dict[str, tuple[tuple[str, ModelType], ...]] = {
    "flux.1": (("kontext", "flux.1-kontext-lora"), ("krea", "flux.1-krea-lora"), ("", "flux.1-lora")),
    "flux.2-dev": (("", "flux.2-dev-lora"),),
    "flux.2-klein-4b": (("kleinbase4b", "flux.2-klein-base-4b-lora"), ("klein4b", "flux.2-klein-4b-lora")),
    "flux.2-klein-9b": (("kleinbase9b", "flux.2-klein-base-9b-lora"), ("klein9b", "flux.2-klein-9b-lora")),
    "qwen-image": (
        ("edit2511", "qwen-image-edit-2511-lora"),
        ("edit2509", "qwen-image-edit-2509-lora"),
        ("editplus", "qwen-image-edit-2509-lora"),
        ("qwenimageedit", "qwen-image-edit-lora"),
        ("qwenimagelayered", "custom"),
        ("image2512", "qwen-image-2512-lora"),
        ("", "qwen-image-lora"),
    ),
    "z-image": (
        ("deturbo", "zimage-de-turbo-lora"),
        ("zimageturbo", "zimage-turbo-lora"),
        ("zimage", "zimage-lora"),
    ),
}
_CHECKPOINTS: dict[str, tuple[tuple[str, ModelType], ...]] = {
    "flux.1": (("kontext", "flux.1-kontext-dev"), ("krea", "flux.1-krea-dev"), ("", "flux.1")),
}


def of_words(words: Iterable[str]) -> str | None:
    """The family that the first of these texts names which names one."""
    named = (next((family for word, family in _WORDS if word in plain(text)), None) for text in words)
    return next((family for family in named if family), None)


def settle(told: str | None, said: str | None) -> str | None:
    """The family by the tensors, unless they fit what the words name as well."""
    return said if told is None or (told, said) == ("flux.1", "chroma") else told


def type_of(role: FileRole, family: str | None, words: Iterable[str]) -> ModelType:
    """The hosted service's type for it, `custom` when it has none or the words leave open which it is."""
    types = {"lora": _LORAS, "checkpoint": _CHECKPOINTS}.get(role, {}).get(family or "", ())
    text = " ".join(plain(word) for word in words)
    return next((type for word, type in types if word in text), "custom")


def plain(text: str) -> str:
    """Lower case, and only its letters and digits."""
    return re.sub(r"[^a-z0-9]", "", text.lower())
