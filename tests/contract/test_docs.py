"""The documents say what there is, and the page at `/docs` needs nothing but the server."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import api_tables
import msgspec
import pytest
from contract_server import Server, serving

from pinakes import assets, collections, mlmodels, tags, text
from pinakes.api.app import ROUTES
from pinakes.api.assets import MOST_TAGS
from pinakes.config import SETTINGS
from pinakes.download_types import MOST_ARCHIVED

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("contract")) as running:
        yield running


@pytest.fixture
def page() -> str:
    return api_tables.PAGE.read_text()


def test_every_call_is_listed(page: str) -> None:
    assert api_tables.part(page, "calls") == api_tables.calls(), "run: python tests/contract/api_tables.py"


def test_every_error_is_listed(page: str) -> None:
    assert api_tables.errors(page) == api_tables.known_errors()


def test_every_open_path_is_listed(page: str, server: Server) -> None:
    described = {path for path in server.send("GET", "/openapi.json").json["paths"] if not path.startswith("/v1/")}
    listed = set(re.findall(r"^\| `GET (/(?!v1)\S*)` \|", page, re.MULTILINE))
    assert described <= listed
    for path in listed - {"/files/{projectId}/{assetId}/{variant}"}:
        assert server.send("GET", path).status == 200


def test_page_sizes_are_as_listed(page: str) -> None:
    listed: dict[str, tuple[int, int]] = {}
    for paths, usual, most in re.findall(r"^\| (`/.*?`) \| (\d+) \| (\d+) \|$", page, re.MULTILINE):
        listed |= {path: (int(usual), int(most)) for path in re.findall(r"`(/\w+)`", paths)}
    assert listed == {
        route.path: (field.default, field.type.le)
        for route in ROUTES
        for field in msgspec.inspect.type_info(route.query).fields  # type: ignore[attr-defined]
        if field.name == "page_size"
    }


def test_limits_are_as_listed(page: str) -> None:
    most = [collections.MOST_MEMBERS, assets.MOST_DELETED, assets.MOST_BULK, MOST_ARCHIVED, mlmodels.MOST_EXAMPLES]
    assert mlmodels.MOST_BULK == assets.MOST_BULK
    listed = re.findall(r"^\| [a-z].* \| ([\d,; ]+) \| 400 \|$", page, re.MULTILINE)
    texts = "; ".join(f"{number:,}" for number in (text.MAX_NAME, text.MAX_TAG, text.MAX_DESCRIPTION))
    assert listed == [*(f"{number:,}" for number in most), f"{tags.MOST_TAGS}; {MOST_TAGS}", texts]


def test_settings_that_are_named_exist(page: str) -> None:
    words = re.findall(r"`([a-z]+_[a-z_]+)`", page)
    assert words
    assert set(words) <= set(SETTINGS)


@pytest.mark.parametrize("document", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, target


class _Resources(HTMLParser):
    """What a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name in ("src", "href", "srcset", "data") if (value := given.get(name))]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in given:
            self.inline.append(tag)


def test_the_page_of_the_api_loads_nothing_from_elsewhere(server: Server) -> None:
    shown = server.send("GET", "/docs")
    parser = _Resources()
    parser.feed(shown.body.decode())
    assert parser.inline == []
    assert len(parser.found) == 4
    for resource in [urljoin("/docs", found) for found in parser.found]:
        answer = server.send("GET", resource)
        assert (answer.status, len(answer.body) > 100) == (200, True), resource
        if resource.endswith("start.js"):
            assert b"//" not in answer.body
        if resource.endswith(".css"):
            assert not re.findall(rb"url\((?!['\"]?(data:|#))|@import", answer.body)
    assert b"//" not in shown.body
    assert re.findall(r'url: "([^"]+)"', server.send("GET", "/docs/start.js").body.decode()) == ["/openapi.json"]


def test_a_browser_is_told_to_load_nothing_from_elsewhere(server: Server) -> None:
    policy = server.send("GET", "/docs").headers["content-security-policy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives["default-src"] == "'none'"
    sources = {source for name, sources in directives.items() if name.endswith("-src") for source in sources.split()}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert "'unsafe-inline'" not in directives["script-src"]
