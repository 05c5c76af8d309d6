"""The tables of docs/api.md. `python tests/contract/api_tables.py` writes those that follow from the code."""

import re
from pathlib import Path

from pinakes.api.app import PREFIX, ROUTES
from pinakes.api.http import STATUS

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def calls() -> str:
    """Every call: its method, path, scope and summary."""
    lines = ["| Call | Scope | What it does |", "|---|---|---|"]
    for route in ROUTES:
        summary = " ".join(route.summary.split()).replace("|", "\\|")
        lines.append(f"| `{route.method} {PREFIX}{route.path}` | `{route.scope}` | {summary} |")
    return "\n".join(lines)


def part(page: str, name: str) -> str:
    """What stands between the marks of a table."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert found is not None, name
    return found[1]


def errors(page: str) -> list[tuple[int, str]]:
    """Status and code of each row of the table of errors."""
    rows = re.findall(r"^\| (\d{3}) \| `([A-Z_]+)` \| \S.* \|$", part(page, "errors"), re.MULTILINE)
    return [(int(status), code) for status, code in rows]


def known_errors() -> list[tuple[int, str]]:
    """Status and code of every error there is."""
    return sorted((status, code) for code, (status, _, _) in STATUS.items())


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(page.replace(part(page, "calls"), calls()))
