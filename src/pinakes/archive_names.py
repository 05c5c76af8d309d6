"""What the files in an archive are called: a template with tokens, made safe for every system that may unpack it.

The rules of the template are those of `fileNameTemplate` in the hosted service's client. Whatever is in a prompt, a
description or a template, a path stays below the folder it is unpacked in, and no two are the same to a system that
does not tell upper case from lower.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST_FILE = 128
"""Characters of a file's name, ending included."""
MOST_FOLDER = 64
_MOST_BYTES = 240  # file systems take 255, of which a copy may add some
_MOST_WORDS = 8
_MOST_READ = 4_000  # characters of a text that words are looked for in

_TOKENS = ("seed", "num", "prompt", "generator", "id", "description")
_TOKEN = re.compile(rf"([-_.,+~ /]*)<({'|'.join(_TOKENS)})>")
_SHORTENED = ("prompt", "description")
_MARKUP = re.compile(r"<[^<>]{0,200}>|:\d+(?:\.\d+)?")  # `<lora:name:0.8>` and `(word:1.2)` in prompts
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_UNSAFE = re.compile(r'[\\/:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_LITTLE = """
    a about above after again all also am an and any are as at be been before being below between both but by can could
    did do does doing down during each few for from further had has have having he her here hers him his how i if in
    into is it its itself just me more most my no nor not of off on once only or other our ours out over own per she
    should so some such than that the their theirs them then there these they this those through to too under until up
    upon us very via was we were what when where which while who whom why will with within without would you your yours
    """
_FUNCTION_WORDS = frozenset(_LITTLE.split())


class Named(NamedTuple):
    """What an asset puts in the place of tokens. `ending` is that of its real format."""

    id: str
    ending: str
    seed: str = ""
    prompt: str = ""
    generator: str = ""
    description: str = ""


def paths(template: str, assets: Iterable[Named], is_flat: bool = False) -> Iterator[str]:
    """A path for each asset, each once. `<num>` counts them from 1. `is_flat` keeps the last part of the template."""
    wanted = list(_without_repeats(template.rpartition("/")[2] if is_flat else template))
    taken: dict[str, int] = {}
    for number, asset in enumerate(assets, 1):
        yield _unique(_path(wanted, asset, number), taken)


def slug(text: str) -> str:
    """Up to eight words of a text in lower case, without function words unless there are no others."""
    words = [word.lower() for word in _WORD.findall(_MARKUP.sub(" ", text[:_MOST_READ]))]
    chosen = [word for word in words if word not in _FUNCTION_WORDS] or words
    return "_".join(chosen[:_MOST_WORDS])


def safe(name: str, most: int = MOST_FILE) -> str:
    """A part of a path that every system takes as what it is: no folders, controls, reserved names. May be empty."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(" " if char in "\t\r\n" else char for char in name if unicodedata.category(char)[0] != "C")
    name = _cut(_UNSAFE.sub("_", name).strip(" ._-~"), most)
    return _cut(f"_{name}", most) if _RESERVED.fullmatch(name) else name


def _without_repeats(template: str) -> Iterator[tuple[str, str]]:
    """Plain text and the token after it. A token that was there before goes, with the separator before it."""
    seen, at, kept = set(), 0, ""
    for match in _TOKEN.finditer(template):
        kept += template[at : match.start()]
        at = match.end()
        if match[2] not in seen:
            seen.add(match[2])
            yield kept + match[1], match[2]
            kept = ""
    yield kept + template[at:], ""


def _path(template: list[tuple[str, str]], asset: Named, number: int) -> str:
    """Folders have no dot and files have one, so that none is taken for the other."""
    *folders, last = _parts(template, asset, number)
    ending = f".{asset.ending}"
    named = [safe(_fit(folder, MOST_FOLDER).replace(".", "_"), MOST_FOLDER) for folder in folders]
    stem = safe(_fit(last, MOST_FILE - len(ending)), MOST_FILE - len(ending)) or asset.id
    return "/".join([*filter(None, named), stem + ending])


def _parts(template: list[tuple[str, str]], asset: Named, number: int) -> list[list[tuple[str, bool]]]:
    """Folders and file, each as pieces and whether one may be shortened. A token without a value takes its separator
    along."""
    parts: list[list[tuple[str, bool]]] = [[]]
    for plain, token in template:
        value = _value(token, asset, number)
        is_missing = token != "" and not value
        for place, piece in enumerate((plain.rstrip("-_.,+~ ") if is_missing else plain).split("/")):
            if place:
                parts.append([])
            parts[-1].append((piece, False))
        parts[-1].append((value, token in _SHORTENED))
    return parts


def _value(token: str, asset: Named, number: int) -> str:
    values = {"": "", "num": str(number)}
    value = values[token] if token in values else str(getattr(asset, token))
    return slug(value) if token in _SHORTENED else _UNSAFE.sub("_", value[:_MOST_READ])


def _fit(pieces: list[tuple[str, bool]], most: int) -> str:
    """Prompt and description give way first."""
    over = sum(len(piece) for piece, _ in pieces) - most
    texts = []
    for piece, is_shortened in pieces:
        is_cut = is_shortened and over > 0
        texts.append(piece[: max(len(piece) - over, 0)].rstrip("_") if is_cut else piece)
        over -= len(piece) - len(texts[-1])
    return "".join(texts)


def _cut(text: str, most: int) -> str:
    return text[:most].encode()[:_MOST_BYTES].decode(errors="ignore").rstrip(" ._-~")


def _unique(path: str, taken: dict[str, int]) -> str:
    """The path, or with `-2`, `-3`, … at the end of the name when there is one like it."""
    folder, slash, name = path.rpartition("/")
    stem, _, ending = name.rpartition(".")
    key = _same(path)
    count, found = taken.get(key, 0), path
    while _same(found) in taken:
        count += 1
        mark = f"-{count + 1}.{ending}"
        found = f"{folder}{slash}{_cut(stem, MOST_FILE - len(mark))}{mark}"
    taken[key] = count
    taken.setdefault(_same(found), 0)
    return found


def _same(path: str) -> str:
    """Equal for paths that some file system takes for one."""
    return unicodedata.normalize("NFKC", path.casefold())
