"""The picture of the tour: a terminal with its main steps as they went, and the collection's own thumbnails."""

import base64
import io
import re
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from tour import Guide

_WIDTH = 108
_LINE = 24.4  # height and width in the SVG of one character of Rich's
_CHARACTER = 12.2
_LEFT, _TOP = 9, 41  # of the first character
_SHOWN = ("client = Scenario", "assets.add(")
_ROWS = 9
_THEME = TerminalTheme(
    (22, 27, 34), (201, 209, 217),
    [(22, 27, 34), (255, 123, 114), (126, 231, 135), (210, 168, 105), (121, 192, 255), (210, 168, 255),
     (86, 212, 221), (201, 209, 217)],
)  # fmt: skip


def draw(one: Guide, path: Path) -> None:
    """Write the SVG. The server must still be running, for the thumbnails."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(_prompt("$ ", "make serve"), Text(_first_line(one)), "", sep="\n")
    for language, text, output in one.taken:
        if language == "python" and any(part in text for part in _SHOWN):
            console.print(Syntax(_body(text), "python", theme="github-dark", background_color="default"))
            console.print(Text(re.sub(r"\?expires.*", "", output), style="green"), no_wrap=True, crop=True)
    at = len(console.export_text(clear=False).splitlines())
    assets = one.prompt.locals["assets"]
    console.print("\n" * _ROWS)
    console.print("".join(f"{asset.name:^26}" for asset in reversed(assets)))
    svg = console.export_svg(title="Pinakes", theme=_THEME, unique_id="tour")
    pictures = "".join(_thumbnail(asset, at, n) for n, asset in enumerate(reversed(assets)))
    svg = re.sub(r"@font-face {.*?}\s*", "", svg, flags=re.DOTALL)  # an image on a page may not load fonts
    svg = svg.replace("Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace")
    path.write_text(svg.replace("</svg>", pictures + "</svg>"))


def _first_line(one: Guide) -> str:
    return next(output for _, text, output in one.taken if text == "make serve").splitlines()[0]


def _body(text: str) -> str:
    """Without imports, which say little."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("import", "from"))).strip("\n")


def _prompt(mark: str, command: str) -> Text:
    return Text.assemble((mark, "green"), (command, "bold"))


def _thumbnail(asset: Any, line: int, n: int) -> str:
    with urllib.request.urlopen(f"{asset.thumbnail.url}&size=256") as answer:
        data = base64.b64encode(answer.read()).decode()
    x, y = _LEFT + 18 + n * 26 * _CHARACTER, _TOP + (line + 0.6) * _LINE
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{_CHARACTER * 23:.1f}" height="{_CHARACTER * 23 * 0.75:.1f}" '
        f'href="data:image/webp;base64,{data}"/>'
    )
