"""What one process answered holds in the others: keys, links, pages, files on their way, and counts."""

import hashlib
import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import ENGINES
from crews import Crew, at, two_processes, wait_for, worker_of
from servers import findings, new_collection, ok, walk_members


@pytest.fixture(params=ENGINES)
def crew(request: pytest.FixtureRequest) -> Iterator[Crew]:
    with two_processes(request.param, request, assets=200) as crew:
        yield crew


def new_key(client: httpx.Client, project_id: str) -> tuple[str, str]:
    key = ok(client.post(f"/projects/{project_id}/api-keys", json={"name": "Another", "role": "editor"}))
    return key["id"], key["secret"]


def seconds_until(client: httpx.Client, status: int) -> float:
    return wait_for(lambda: client.get("/collections").status_code == status, 5)


def test_a_revoked_key_is_dead_everywhere_within_a_second(crew: Crew) -> None:
    """Made by one, used through both, revoked through one: seldom does the other answer once more."""
    project = crew.place.project_id
    took: list[float] = []
    with crew.clients() as (here, there):
        for admin in (here, there, here, there):
            key = new_key(admin, project)
            with crew.clients(key) as both:
                for client in both:
                    ok(client.get("/collections"))
                ok(admin.delete(f"/projects/{project}/api-keys/{key[0]}"))
                took += [seconds_until(client, 401) for client in both]
                assert all(client.post("/collections", json={"name": "late"}).status_code == 401 for client in both)
    print(f"revoked keys were dead after at most {max(took):.3f} s")
    assert sorted(took)[-2] < 1  # the machine itself may stop for once


def test_a_deleted_project_is_gone_everywhere_within_a_second(crew: Crew) -> None:
    with crew.clients() as (here, there):
        project = ok(here.post("/projects", json={"name": "Short"}))["project"]["id"]
        key = new_key(there, project)
        with crew.clients(key) as both:
            for client in both:
                ok(client.get("/collections"))
            ok(there.delete(f"/projects/{project}"))
            assert max(seconds_until(client, 401) for client in both) < 3  # a second, and two for a machine that stops
        assert here.get("/collections", params={"projectId": project}).status_code == 403


def test_each_sees_at_once_what_the_other_wrote(crew: Crew) -> None:
    with crew.clients() as both:
        turns = itertools.cycle(both)
        for number in range(50):
            made = ok(next(turns).post("/collections", json={"name": f"c{number}"}))["collection"]
            there = next(turns)
            assert ok(there.get(f"/collections/{made['id']}"))["collection"] == made
            assert ok(there.get("/collections"))["collections"][0] == made
            next(turns)


def test_pages_go_on_in_another_process(crew: Crew) -> None:
    with crew.clients() as both:
        turns = itertools.cycle(both)
        seen, token = [], ""
        while True:
            page = ok(next(turns).get("/assets", params={"pageSize": "7", "paginationToken": token}))
            seen += [asset["id"] for asset in page["assets"]]
            token = page.get("nextPaginationToken", "")
            if not token:
                break
    assert seen == sorted(crew.place.asset_ids, reverse=True)


def test_links_lead_somewhere_in_every_process(crew: Crew) -> None:
    with crew.clients() as (here, there):
        asset = ok(here.get(f"/assets/{crew.place.asset_ids[0]}"))["asset"]
        assert ok(there.get(f"/assets/{crew.place.asset_ids[0]}"))["asset"].keys() == asset.keys()
        for link in (asset["url"], asset["thumbnail"]["url"]):
            answers = [client.get(at(client, link), auth=None) for client in (here, there)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert len({answer.content for answer in answers}) == 1
            assert len({worker_of(answer) for answer in answers}) == 2


def test_parts_of_a_file_arrive_through_both(crew: Crew) -> None:
    parts = [random.Random(number).randbytes(70_000) for number in range(4)]
    new = {"fileName": "a.bin", "fileSize": 280_000, "kind": "asset", "parts": 4}
    with crew.clients() as both:
        turns = itertools.cycle(both)
        upload = ok(next(turns).post("/uploads", json=new))["upload"]
        for part, data in zip(upload["parts"], parts, strict=True):
            client = next(turns)
            ok(httpx.put(at(client, part["url"]), content=data))
        next(turns)
        ok(next(turns).post(f"/uploads/{upload['id']}/action", json={"action": "complete"}))

        def look() -> dict[str, str]:
            found: dict[str, str] = ok(next(turns).get(f"/uploads/{upload['id']}"))["upload"]
            return found

        wait_for(lambda: look()["status"] == "imported")
        client = next(turns)
        asset = ok(client.get(f"/assets/{look()['entityId']}"))["asset"]
        served = client.get(at(client, asset["url"]), auth=None).content
    assert hashlib.sha256(served).digest() == hashlib.sha256(b"".join(parts)).digest()


@pytest.mark.timeout(300)
def test_counts_are_exact_under_many_writers(crew: Crew) -> None:
    """64 at once, half through each, on one collection."""
    with crew.clients() as (here, _):
        collection_id = new_collection(here)
    added: list[str] = []
    removed: list[str] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        server = crew.servers[number % len(crew.servers)]
        with server.client() as client:
            for _ in range(6):
                ids = chance.sample(crew.place.asset_ids, 20)
                path = f"/collections/{collection_id}/assets"
                added.extend(ok(client.put(path, json={"assetIds": ids}))["report"]["added"])
                gone = ok(client.request("DELETE", path, json={"assetIds": ids[:5]}))["report"]["removed"]
                removed.extend(gone)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(write, range(64)))
    with crew.clients() as both:
        for client in both:
            members = walk_members(client, collection_id)
            found = ok(client.get(f"/collections/{collection_id}"))["collection"]["assetCount"]
            assert found == len(members) == len(added) - len(removed)
    assert findings(crew.place, **crew.settings) == []
