"""Two servers on one database, as on two machines behind a balancer, also with a PgBouncer between: as good as one."""

import base64
import itertools
import json
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import make_png, new_database
from servers import (
    Place,
    Server,
    command,
    environment,
    findings,
    make_place,
    new_collection,
    ok,
    serving,
    walk,
    walk_members,
)

from local.postgres import PostgresServer, wait_until

WRITERS = 64
OWN = 6
SHARED = 40
ROUNDS = 6


class Pair(NamedTuple):
    """Two servers, and where their database is."""

    place: Place
    url: str
    servers: tuple[Server, Server]

    @contextmanager
    def clients(self, auth: tuple[str, str] | None = None) -> Iterator[tuple[httpx.Client, httpx.Client]]:
        """One of each."""
        with self.servers[0].client(auth) as here, self.servers[1].client(auth) as there:
            yield here, there

    def findings(self) -> list[Any]:
        return findings(self.place, database_url=self.url)


@pytest.fixture(params=["postgres", "pgbouncer"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    asset_count = WRITERS * OWN + SHARED if request.node.originalname == "test_counts_under_64_writers" else 0
    with new_database(request.param, request) as url, ExitStack() as stack:
        place = make_place(tmp_path, asset_count, database_url=url)
        one, another = (stack.enter_context(serving(place, access_log="false", database_url=url)) for _ in range(2))
        yield Pair(place, url, (one, another))
        assert "Traceback" not in place.log.read_text()


def body_of(client: httpx.Client, method: str, path: str, body: object = None) -> Any:
    return ok(client.request(method, path, json=body) if body is not None else client.request(method, path))


def search(client: httpx.Client, noun: str, query: str) -> list[str]:
    return [hit["id"] for hit in body_of(client, "POST", f"/search/{noun}", {"query": query})["hits"]]


def test_what_one_wrote_the_other_reads(pair: Pair) -> None:
    """Every noun, by id, in lists and in searches, at once and in both directions."""
    project = pair.place.project_id
    with pair.clients() as both:
        for number, (here, there) in enumerate([both, both[::-1]] * 5):
            word = f"heron{number}"
            id = new_collection(here, word)
            assert body_of(there, "GET", f"/collections/{id}")["collection"]["name"] == word
            assert body_of(there, "GET", "/collections")["collections"][0]["id"] == id

            image = base64.b64encode(make_png(2, 2, number)).decode()
            new = {"name": word, "image": image, "collectionIds": [id]}
            asset = body_of(here, "POST", "/assets", new)["asset"]
            assert body_of(there, "GET", f"/assets/{asset['id']}")["asset"]["collectionIds"] == [id]
            assert walk_members(there, id) == [asset["id"]]
            assert body_of(there, "GET", f"/collections/{id}")["collection"]["assetCount"] == 1
            assert search(there, "assets", word) == [asset["id"]]

            body_of(there, "PUT", f"/assets/{asset['id']}/tags", {"add": [word]})
            assert [one["id"] for one in walk(here, "assets", tags=word)] == [asset["id"]]
            assert {tag["tagName"]: tag["itemCount"] for tag in walk(here, "tags")}[word] == 1

            body_of(there, "DELETE", "/assets", {"assetIds": [asset["id"]]})
            assert here.get(f"/assets/{asset['id']}").status_code == 404
            assert walk_members(here, id) == []
            assert search(here, "assets", word) == []
            body_of(here, "POST", "/assets/restore", {"assetIds": [asset["id"]]})
            assert walk_members(there, id) == [asset["id"]]

            model = body_of(here, "POST", "/models", {"name": word, "collectionIds": [id]})["model"]
            assert body_of(there, "GET", f"/models/{model['id']}")["model"]["collectionIds"] == [id]
            assert body_of(there, "GET", f"/collections/{id}")["collection"]["modelCount"] == 1
            assert search(there, "models", word) == [model["id"]]
            body_of(there, "DELETE", f"/models/{model['id']}")
            assert body_of(here, "GET", f"/collections/{id}")["collection"]["modelCount"] == 0

            upload = body_of(
                here, "POST", "/uploads", {"fileName": "a.bin", "fileSize": 3, "kind": "asset", "parts": 1}
            )
            assert body_of(there, "GET", f"/uploads/{upload['upload']['id']}")["upload"]["status"] == "pending"

            made = body_of(here, "POST", "/projects", {"name": word})["project"]["id"]
            assert body_of(there, "GET", f"/projects/{made}")["project"]["name"] == word
            key = body_of(there, "POST", f"/projects/{made}/api-keys", {"name": word, "role": "editor"})
            assert ok(here.get("/collections", auth=(key["id"], key["secret"])))["collections"] == []

            etag = here.get(f"/collections/{id}").headers["etag"]
            assert there.get(f"/collections/{id}").headers["etag"] == etag
            changed = there.put(f"/collections/{id}", json={"name": "new"}, headers={"If-Match": etag})
            assert ok(changed)["collection"]["name"] == "new"
            assert here.put(f"/collections/{id}", json={"name": "x"}, headers={"If-Match": etag}).status_code == 412
            body_of(here, "DELETE", f"/collections/{id}")
            assert there.get(f"/collections/{id}").status_code == 404
        assert {one["id"] for one in walk(both[0], "projects")} >= {project}
    assert pair.findings() == []


@pytest.mark.timeout(300)
def test_counts_under_64_writers(pair: Pair) -> None:
    """Each owns some assets, whose state it knows; all go through both servers in turn, and meet in one collection."""
    ids = pair.place.asset_ids
    shared = ids[-SHARED:]
    with pair.clients() as (here, _):
        collection_id = new_collection(here)
    path = f"/collections/{collection_id}/assets"
    members: list[str] = []
    tagged: list[str] = []

    def change(number: int) -> None:
        chance = random.Random(number)
        own = ids[number * OWN :][:OWN]
        live, inside, red = set(own), set[str](), set[str]()
        with pair.clients() as both:
            for round, client in zip(range(ROUNDS), itertools.cycle(both), strict=False):
                some = chance.sample(own, chance.randint(1, OWN))
                others = chance.sample(shared, chance.randint(1, 20))
                verb = "add" if round == 0 else chance.choice(["add", "remove", "trash", "restore", "tag"])
                if verb == "add":
                    answer = client.put(path, json={"assetIds": some + others})
                    assert answer.status_code == (200 if set(some) <= live else 404), answer.text
                    inside |= set(some) if set(some) <= live else set()
                elif verb == "remove":
                    body_of(client, "DELETE", path, {"assetIds": some + others})
                    inside -= set(some)
                elif verb == "trash":
                    body_of(client, "DELETE", "/assets", {"assetIds": some})
                    live -= set(some)
                elif verb == "restore":
                    answer = body_of(client, "POST", "/assets/restore", {"assetIds": some})
                    assert set(answer["restoredAssetIds"]) == set(some) - live
                    live |= set(some)
                elif live:
                    id = chance.choice(sorted(live))
                    body_of(client, "PUT", f"/assets/{id}/tags", {"add": ["red"], "strict": False})
                    red.add(id)
                seen = body_of(both[round % 2 - 1], "POST", "/assets/get-bulk", {"assetIds": own})["assets"]
                assert {one["id"]: one["collectionIds"] for one in seen} == {
                    id: [collection_id] if id in inside else [] for id in live
                }, verb
        members.extend(inside & live)
        tagged.extend(red & live)

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        beside = pool.submit(pair.findings)
        for one in [pool.submit(change, number) for number in range(WRITERS)]:
            one.result()
        assert beside.result() == []  # what changes meanwhile is no finding
    with pair.clients() as both:
        for client in both:
            walked = walk_members(client, collection_id)
            assert sorted(id for id in walked if id not in shared) == sorted(members)
            collection = body_of(client, "GET", f"/collections/{collection_id}")["collection"]
            assert collection["assetCount"] == len(walked) == len(set(walked))
            assert {tag["tagName"]: tag["itemCount"] for tag in walk(client, "tags")}.get("red", 0) == len(tagged)
    assert pair.findings() == []


def test_a_revoked_key_ends_in_both(pair: Pair) -> None:
    with pair.clients() as (here, there):
        keys = f"/projects/{pair.place.project_id}/api-keys"
        key = body_of(here, "POST", keys, {"name": "Short", "role": "editor"})
        with pair.clients((key["id"], key["secret"])) as own:
            for client in own:
                new_collection(client)
            body_of(here, "DELETE", f"{keys}/{key['id']}")
            revoked_at = time.monotonic()
            assert own[0].get("/collections").status_code == 401
            # A change looks again before it is done; what is only read may be answered for a moment.
            assert own[1].post("/collections", json={"name": "late"}).status_code == 401
            wait_until(lambda: own[1].get("/collections").status_code == 401, "the other server to know")
            took = time.monotonic() - revoked_at
        print(f"\nrevoked by one server, refused by the other after {took:.2f} s")
        assert took < 3  # a tenth of a second, unless the machine stops
        assert "late" not in [one["name"] for one in walk(there, "collections")]


def send_files(clients: tuple[httpx.Client, httpx.Client], count: int) -> list[str]:
    """Uploads of one part each, begun at one server and completed at the other; their ids."""
    uploads = []
    for number, client in zip(range(count), itertools.cycle(clients), strict=False):
        data = make_png(8, 8 + number)
        new = {"fileName": f"{number}.png", "fileSize": len(data), "kind": "image", "contentType": "image/png"}
        upload = body_of(client, "POST", "/uploads", new | {"parts": 1})["upload"]
        assert httpx.put(upload["parts"][0]["url"], content=data).status_code == 200
        uploads.append(upload["id"])
    for id, client in zip(uploads, itertools.cycle(clients[::-1]), strict=False):
        body_of(client, "POST", f"/uploads/{id}/action", {"action": "complete"})
    return uploads


def statuses(client: httpx.Client, uploads: list[str]) -> set[str]:
    return {body_of(client, "GET", f"/uploads/{id}")["upload"]["status"] for id in uploads}


def logged(place: Place, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in place.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_each_job_is_done_once(pair: Pair) -> None:
    with pair.clients() as clients:
        uploads = send_files(clients, 12)
        wait_until(lambda: statuses(clients[0], uploads) == {"imported"}, "the uploads")
        assert len(walk(clients[1], "assets")) == 12
    done = [line["subject"] for line in logged(pair.place, "job done") if line["job"] == "upload"]
    assert sorted(done) == sorted(uploads)
    assert pair.findings() == []


def test_jobs_of_a_killed_server_are_taken_up(pair: Pair) -> None:
    """By the other, when the lease has ended that nobody renews."""
    with pair.clients() as (here, there):
        uploads = send_files((here, there), 20)
        pair.servers[0].kill()
        killed_at = time.monotonic()
        wait_until(lambda: statuses(there, uploads) == {"imported"}, "the uploads")
    print(f"\nthe jobs of a killed server were done after {time.monotonic() - killed_at:.1f} s")
    done = [line["subject"] for line in logged(pair.place, "job done") if line["job"] == "upload"]
    assert len(done) == len(set(done))
    assert pair.findings() == []


def test_two_start_on_an_empty_database(postgres: PostgresServer, tmp_path: Path) -> None:
    """One makes the tables and the first key, and both serve."""
    for number in range(2):
        with postgres.fresh() as url:
            data = tmp_path / f"data{number}"
            settings = environment(database_url=url)
            processes = [
                subprocess.Popen(command(data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings)
                for _ in range(2)
            ]
            try:
                told = [json.loads(process.stdout.readline()) for process in processes if process.stdout is not None]
                keys = [one for one in told if "apiKey" in one]
                assert len(keys) == 1
                auth = (keys[0]["apiKey"], keys[0]["apiSecret"])
                for one in told:
                    assert ok(httpx.get(f"{one['url']}/v1/projects", auth=auth))["projects"][0]["name"] == "default"
                    assert len(ok(httpx.get(f"{one['url']}/v1/projects", auth=auth))["projects"]) == 1
            finally:
                for process in processes:
                    process.kill()
                    process.communicate()
