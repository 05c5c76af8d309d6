"""A list costs the same number of SQL statements however many rows it shows: none is made for a row."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from conftest import OpenDatabase
from contract_server import Server, serving

from pinakes.api.app import ROUTES

SIZES = (1, 10, 100)
RUNS = 10
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

# Where what is found may take long, the key is looked for again in the end; else it is known, for nothing was written.
# Collection, tag and types of the queries hold all rows.
TABLE = """
    GET  /collections                                                             1
    GET  /assets                                                                  2
    GET  /assets?collectionId={collection}                                        3
    GET  /assets?tags=red                                                         3
    GET  /assets?tags=red,blue                                                    3
    GET  /assets?type=uploaded                                                    3
    GET  /assets?types=uploaded,txt2img                                           3
    GET  /assets?collectionId={collection}&tags=red&types=uploaded                4
    GET  /assets?sortBy=updatedAt&sortDirection=asc                               3
    GET  /assets?privacy=private&authorId={author}                                3
    GET  /assets?modelId={model}                                                  3
    GET  /assets?modelId={model}&collectionId={collection}                        4
    GET  /assets?deleted=true                                                     2
    POST /assets/get-bulk                                                         2
    GET  /models                                                                  2
    GET  /models?collectionId={collection}                                        4
    GET  /models?collectionIds={collection}&privacy=public                        3
    GET  /models?tags=red                                                         3
    GET  /models?types=custom,flux.1                                              3
    GET  /models?status=new&sortBy=updatedAt                                      3
    GET  /models?status=deleted                                                   2
    POST /models/get-bulk                                                         2
    GET  /models/{model}/examples                                                 3
    GET  /models/{model}/description                                              6
    GET  /tags                                                                    1
    POST /search/assets?for=words                                                 6
    POST /search/assets?for=tag                                                   6
    POST /search/models?for=words                                                 6
    POST /search/models?for=tag                                                   6
    GET  /projects                                                                2
    GET  /teams                                                                   4
"""
EMPTY = ("GET /models?collectionIds={collection}&privacy=public",)
"""Nothing in a library is public, so this query never shows a row."""


class Shelf(NamedTuple):
    """A server, and what is in it so far."""

    server: Server
    names: dict[str, str]
    assets: list[str]
    models: list[str]


def _rows() -> dict[str, int]:
    rows = (line.split() for line in TABLE.strip().splitlines())
    return {f"{method} {path}": int(statements) for method, path, statements in rows}


@pytest.fixture(scope="module")
def counted(
    tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase
) -> Iterator[dict[int, dict[str, tuple[int, int]]]]:
    """Statements and rows of each call, by the number of rows that there are."""
    with open_database() as url, serving(tmp_path_factory.mktemp("contract"), database_url=url) as server:
        shelf = _first(server)
        found = {}
        for size in SIZES:
            _fill(shelf, size)
            found[size] = {call: _measure(shelf, call, size) for call in _rows()}
        yield found


def _first(server: Server) -> Shelf:
    """What is not counted: a collection, a model with examples, and the bytes of all assets."""
    names = {
        "collection": server.ask("POST", "/collections", {"name": "c"})["collection"]["id"],
        "model": server.ask("POST", "/models", {"type": "flux.1"})["model"]["id"],
        "author": server.ours.id,
    }
    server.ask("POST", "/projects", {"name": "p"})
    asset = server.ask("POST", "/assets", {"name": "a", "image": PIXEL, "modelId": names["model"]})["asset"]["id"]
    return Shelf(server, names, [asset], [])


def _fill(shelf: Shelf, size: int) -> None:
    ask, collection = shelf.server.ask, shelf.names["collection"]
    while len(shelf.models) < size:
        number = len(shelf.models)
        shelf.models.append(ask("POST", "/models", {"collectionIds": [collection]})["model"]["id"])
        if len(shelf.assets) < size:
            shelf.assets.append(ask("POST", f"/assets/{shelf.assets[0]}/copy")["asset"]["id"])
        for noun, id in (("assets", shelf.assets[number]), ("models", shelf.models[number])):
            ask("PUT", f"/{noun}/{id}/tags", {"add": ["red", "blue", f"{noun}-{number}"], "strict": False})
        ask("PUT", f"/collections/{collection}/assets", {"assetIds": [shelf.assets[number]]})
        ask("POST", "/collections", {"name": "c"})
        ask("POST", "/projects", {"name": "p"})
        ask("DELETE", "/assets", {"assetIds": [ask("POST", f"/assets/{shelf.assets[0]}/copy")["asset"]["id"]]})
        ask("DELETE", f"/models/{ask('POST', '/models')['model']['id']}")
    ask("PUT", f"/models/{shelf.names['model']}/examples", {"assetIds": shelf.assets})
    mentions = {"description": " ".join([*shelf.assets, *shelf.models])}
    ask("PUT", f"/models/{shelf.names['model']}/description", mentions)


def _measure(shelf: Shelf, call: str, size: int) -> tuple[int, int]:
    """Statements and rows of a call. The least of some runs: whatever else the server does can only add statements."""
    method, path = call.format(**shelf.names).split(" ")
    body: dict[str, Any] = {
        "POST /assets/get-bulk": {"assetIds": shelf.assets},
        "POST /models/get-bulk": {"modelIds": shelf.models},
    }
    for noun in ("assets", "models"):
        body[f"POST /search/{noun}?for=words"] = {"query": "red blue", "limit": size}
        body[f"POST /search/{noun}?for=tag"] = {"filter": "tags = red AND createdAt > 2000-01-01", "limit": size}
    if method == "GET" and re.fullmatch(r"GET /(collections|assets|models|tags|projects)\b.*", call):
        path += ("&" if "?" in path else "?") + f"pageSize={size}"
    if call == "GET /models/{model}/examples" or call == "GET /models/{model}/description":
        path = path.partition("?")[0]
    counts, rows = [], 0
    for _ in range(RUNS):
        before = _statements(shelf.server)
        rows = _longest(shelf.server.ask(method, path, body.get(call)))
        counts.append(_statements(shelf.server) - before)
    return min(counts), rows


def _statements(server: Server) -> int:
    metrics = server.send("GET", "/metrics").body.decode()
    return int(float(re.findall(r"^pinakes_sql_statements (\S+)$", metrics, re.MULTILINE)[0]))


def _longest(answer: Any) -> int:
    """How many rows an answer shows: the length of its longest list of objects."""
    if isinstance(answer, dict):
        return max((_longest(part) for part in answer.values()), default=0)
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        return max(len(answer), *map(_longest, answer))
    return 0


def allowed(engine: str, statements: int) -> range:
    """On PostgreSQL the ends of a transaction count, while a key that was just looked at does not."""
    return range(statements, statements + 1) if engine == "sqlite" else range(statements - 2, statements + 3)


@pytest.mark.parametrize("call", _rows())
def test_the_number_of_statements_does_not_grow(
    engine: str, counted: dict[int, dict[str, tuple[int, int]]], call: str
) -> None:
    assert {size: counted[size][call][0] for size in SIZES} == dict.fromkeys(SIZES, counted[1][call][0])
    assert counted[1][call][0] in allowed(engine, _rows()[call])
    shown = [counted[size][call][1] for size in SIZES]
    assert shown == [0, 0, 0] if call in EMPTY else all(rows >= size for rows, size in zip(shown, SIZES, strict=True))


def test_every_list_is_in_the_table() -> None:
    tabled = {re.sub(r"\?.*", "", call) for call in _rows()}
    paged = {f"GET {route.path}" for route in ROUTES if "page_size" in route.query.__struct_fields__}
    bulk = {f"POST {route.path}" for route in ROUTES if route.path.endswith("/get-bulk") or "/search/" in route.path}
    assert paged | bulk <= tabled
