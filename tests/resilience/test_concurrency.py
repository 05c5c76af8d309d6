"""Many clients at once: nothing is lost, nothing counted twice, and each sees what it wrote."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import OpenDatabase
from servers import Place, Server, findings, make_place, new_collection, ok, serving, walk_members

THREADS = 32
OWN = 12
SHARED = 49
ROUNDS = 30
LARGEST = 49


@pytest.fixture
def place(tmp_path: Path, open_database: OpenDatabase) -> Iterator[Place]:
    with open_database() as url:
        yield make_place(tmp_path, THREADS * OWN + SHARED, database_url=url)


@pytest.fixture
def server(place: Place) -> Iterator[Server]:
    with serving(place, access_log="false") as server:
        yield server


def at_once(server: Server, work: Callable[[httpx.Client, int], None]) -> None:
    """Do the work on as many threads, each with a connection of its own."""

    def run(number: int) -> None:
        with server.client() as client:
            work(client, number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


def collections_of(client: httpx.Client, ids: list[str]) -> dict[str, list[str]]:
    """The collections of each of those assets that live."""
    return {
        one["id"]: one["collectionIds"] for one in ok(client.post("/assets/get-bulk", json={"assetIds": ids}))["assets"]
    }


def count(client: httpx.Client, collection_id: str) -> int:
    return int(ok(client.get(f"/collections/{collection_id}"))["collection"]["assetCount"])


def test_what_was_answered_is_there_for_whoever_asks_next(server: Server) -> None:
    """Also while others read all the time, with whom a request may share what it sees."""

    def write_and_read(client: httpx.Client, number: int) -> None:
        for turn in range(ROUNDS):
            id = new_collection(client, f"{number}, {turn}")
            ok(client.get(f"/collections/{id}"))
            ok(client.put(f"/collections/{id}", json={"name": "again"}))
            assert ok(client.get(f"/collections/{id}"))["collection"]["name"] == "again"
            ok(client.delete(f"/collections/{id}"))
            assert client.get(f"/collections/{id}").status_code == 404

    at_once(server, write_and_read)


def test_overlapping_adds(server: Server) -> None:
    added: list[str] = []
    with server.client() as client:
        collection_id = new_collection(client)

    def add(client: httpx.Client, number: int) -> None:
        chance = random.Random(number)
        for _ in range(ROUNDS):
            ids = chance.sample(server.place.asset_ids, chance.randint(1, LARGEST))
            answer = ok(client.put(f"/collections/{collection_id}/assets", json={"assetIds": ids}))
            assert sorted(answer["report"]["added"] + answer["report"]["unchanged"]) == sorted(ids)
            added.extend(answer["report"]["added"])
            assert count(client, collection_id) >= answer["collection"]["assetCount"]
            assert collections_of(client, ids) == {id: [collection_id] for id in ids}

    at_once(server, add)
    with server.client() as client:
        members = walk_members(client, collection_id)
        assert len(added) == len(set(added))  # each was told to exactly one client
        assert sorted(members) == sorted(added)
        assert count(client, collection_id) == len(members)
    assert findings(server.place) == []


def test_adds_removes_and_the_trash(server: Server) -> None:
    """Each thread owns some assets, whose state it knows, and adds and removes others that all share."""
    shared = server.place.asset_ids[-SHARED:]
    with server.client() as client:
        collection_id = new_collection(client)
    path = f"/collections/{collection_id}/assets"
    members: list[str] = []

    def change(client: httpx.Client, number: int) -> None:
        chance = random.Random(number)
        own = server.place.asset_ids[number * OWN :][:OWN]
        live, inside = set(own), set[str]()
        for _ in range(ROUNDS):
            some = chance.sample(own, chance.randint(1, OWN))
            others = chance.sample(shared, chance.randint(1, LARGEST - OWN))
            verb = chance.choice(["add", "remove", "trash", "restore"])
            if verb == "add":
                is_whole = set(some) <= live
                answer = client.put(path, json={"assetIds": some + others})
                assert answer.status_code == (200 if is_whole else 404), answer.text
                inside |= set(some) if is_whole else set()
            elif verb == "remove":
                ok(client.request("DELETE", path, json={"assetIds": some + others}))
                inside -= set(some)  # also what is in the trash, and would come back as a member
            elif verb == "trash":
                ok(client.request("DELETE", "/assets", json={"assetIds": some}))
                live -= set(some)
            else:
                answer = ok(client.post("/assets/restore", json={"assetIds": some}))
                assert set(answer["restoredAssetIds"]) == set(some) - live
                live |= set(some)
            seen = collections_of(client, own)
            assert seen == {id: [collection_id] if id in inside else [] for id in own if id in live}, verb
        members.extend(inside & live)

    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(findings, server.place)
        at_once(server, change)
        assert found.result() == []  # what changes meanwhile is no finding
    with server.client() as client:
        walked = walk_members(client, collection_id)
        assert sorted(id for id in walked if id not in shared) == sorted(members)
        assert count(client, collection_id) == len(walked) == len(set(walked))
    assert findings(server.place) == []
