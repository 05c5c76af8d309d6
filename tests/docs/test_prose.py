"""The documentation is whole: links lead somewhere, and tables name what there is."""

import inspect
import re
from pathlib import Path

import pytest

from bench.operations import OPERATIONS as MEASURED
from pinakes import __version__, upkeep
from pinakes.api.observe import Observer
from pinakes.library import Library
from pinakes.store.contradictions import CONTRADICTIONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
OPERATIONS = (ROOT / "docs/operations.md").read_text()

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|TBD|lorem ipsum|coming soon)\b", re.IGNORECASE)


def test_the_chart_shows_every_operation_of_the_benchmark() -> None:
    drawn = (ROOT / "docs/benchmark.svg").read_text().replace("&#160;", " ")
    assert [label for label in MEASURED.values() if label not in drawn] == []


def _table(heading: str, text: str = OPERATIONS) -> set[str]:
    """What stands in code in the first column of the table under a heading."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return set(re.findall(r"`([^`]+)`", " ".join(firsts)))


def _anchors(path: Path) -> set[str]:
    """Headings as GitHub makes them into anchors."""
    headings = _HEADING.findall(_FENCED.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", path.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT), f"{link}: outside the project"
        assert not anchor or anchor in _anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unfinished(path: Path) -> None:
    assert not _UNFINISHED.findall(path.read_text())


def test_every_document_is_found_from_the_readme() -> None:
    found, new = set[Path](), {ROOT / "README.md"}
    while new:
        found |= new
        linked = {
            (path.parent / link.partition("#")[0]).resolve() for path in new for link in _LINK.findall(path.read_text())
        }
        new = {path for path in linked if path.suffix == ".md" and path.exists()} - found
    assert {path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")} <= found


def test_metrics(library: Library) -> None:
    observer = Observer(library)
    observer.saw("GET", "/", 200, 0.0, "trace")
    families = set(re.findall(r"^# TYPE (\S+)", observer.metrics().decode(), re.MULTILINE))
    assert _table("Metrics") == {name for name in families if not name.endswith("_created")}


def test_findings() -> None:
    codes = {code for statement in CONTRADICTIONS for code in re.findall(r"SELECT '([a-z-]+)'", statement)}
    codes |= set(re.findall(r'"((?:blob|thumbnail|preview|upload)-[a-z-]+|database)"', inspect.getsource(upkeep)))
    assert len(codes) > 10
    assert _table("Check") == codes


def test_log_events() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src/pinakes").rglob("*.py"))
    events = set(re.findall(r"(?:_log\.\w+|_warning)\(\s*\"([^\"]+)\"", sources))
    assert events
    section = OPERATIONS.split("\n## Logs\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` ", section, re.MULTILINE)) - {"event"} == events


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
