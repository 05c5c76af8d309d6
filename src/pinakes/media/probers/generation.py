"""How a file was made, out of what its generator wrote into it.

The texts lie where the container has room for them (`textchunks`), and each generator writes its own dialect
(`generators`). All of it is hearsay: what is broken, absurd or too long is left out, and never an error.
"""

import re
from collections.abc import Callable, Mapping

from msgspec import UNSET, structs

from pinakes.asset_types import Generation
from pinakes.media.probers import textchunks
from pinakes.media.probers.generators import (
    a1111,
    comfyui,
    drawthings,
    fooocus,
    invokeai,
    midjourney,
    novelai,
    swarmui,
    values,
)
from pinakes.media.probers.textchunks import MAX_TEXT, MAX_TEXTS

# Fields that were made for something else, and hold anybody's metadata.
_ANYWHERE = ("usercomment", "comment", "imagedescription", "description", "model", "make", "documentname", "xpcomment")
_LABELLED = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)
_INNER = ("prompt", "workflow", "parameters", "comment", "software", "source", "description", "invokeai_metadata")
_READERS: tuple[Callable[[Mapping[str, str]], Generation | None], ...] = (
    invokeai.read,
    novelai.read,
    fooocus.read,
    drawthings.read,
    swarmui.read,
    a1111.read,
    comfyui.read,
    midjourney.read,
)


def of_picture(format: str, data: bytes) -> Generation | None:
    """From the texts in a picture's container. Reads the headers of its chunks, and the few that hold texts."""
    texts = textchunks.texts(format, data)
    return of_texts(texts) if texts else None


def of_texts(texts: Mapping[str, str]) -> Generation | None:
    """From texts by the name their container has for them, in whatever case; None when no generator wrote them."""
    named = _with_inner(_bounded(texts))
    found = [told for read in _READERS if (told := read(named)) and told != Generation(generator=told.generator)]
    if not found:
        return None
    made = found[0]
    for other in found[1:]:
        made = _filled(made, other)
    # A saving node of ComfyUI may write AUTOMATIC1111's text besides the graph.
    is_comfyui = any(told.generator == comfyui.NAME for told in found)
    return structs.replace(made, generator=comfyui.NAME) if is_comfyui else made


def _bounded(texts: Mapping[str, str]) -> dict[str, str]:
    kept, rest = dict[str, str](), MAX_TEXTS
    for name, text in texts.items():
        if len(text) <= min(MAX_TEXT, rest):
            kept.setdefault(name.lower(), text)
            rest -= len(text)
    return kept


def _with_inner(texts: dict[str, str]) -> dict[str, str]:
    """With the texts that lie in others: `prompt:{…}` in a camera's model, JSON of several in a comment."""
    found = dict(texts)
    for name in _ANYWHERE:
        text = texts.get(name, "")
        if match := _LABELLED.match(text):
            found.setdefault(match[1].lower(), text[match.end() :])
        elif text.lstrip()[:1] == "{":
            _add_json(found, text)
        elif "Steps:" in text:
            found.setdefault("parameters", text)
    return found


def _add_json(found: dict[str, str], text: str) -> None:
    for key, value in values.loads(text).items():
        if key.lower() in _INNER and isinstance(value, str | dict):
            found[key.lower()] = value if isinstance(value, str) else values.dumps(value)


def _filled(made: Generation, other: Generation) -> Generation:
    """What the first does not say, from the second."""
    gaps = [name for name in made.__struct_fields__ if getattr(made, name) in (UNSET, [])]
    return structs.replace(made, **{name: getattr(other, name) for name in gaps})
