"""Clients that know what they were promised: the state that was confirmed, and the one a lost answer may have left.

What a worker finds afterwards must be one of the two, whole.
"""

import base64
import hashlib
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import httpx
from conftest import make_png
from servers import Server, new_collection, ok, walk, walk_members

State = frozenset[str]
Do = Callable[[], httpx.Response]


class Worker(ABC):
    """One client, writing until told to stop or the server is gone. `possible`: the state if its last write is done."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.chance = random.Random(number)
        self.confirmed: State = frozenset()
        self.possible: State = frozenset()
        self.writes = 0
        self.in_flight = 0
        self.collection_id = ""
        self.pool: list[str] = []
        self.served: dict[str, str] = {}

    def prepare(self, client: httpx.Client, asset_ids: list[str]) -> None:
        """Give it a collection and assets of its own, before anything goes wrong."""
        self.collection_id = new_collection(client)
        self.pool = asset_ids

    @abstractmethod
    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        """Some write, and the state after it."""

    @abstractmethod
    def observe(self, client: httpx.Client) -> State:
        """The state as the server tells it."""

    def run(self, server: Server, stop: threading.Event) -> None:
        """Write until `stop`; an answer that is lost ends it."""
        with server.client() as client:
            while not stop.is_set():
                try:
                    self.possible, write = self.choose(client)
                    response = write()
                except httpx.TransportError:
                    self.in_flight += 1
                    return
                ok(response)
                self.confirmed = self.possible
                self.writes += 1

    def compare(self, client: httpx.Client) -> None:
        """What was confirmed is there; what was under way is there whole or not at all. Goes on from what is there."""
        found = self.observe(client)
        assert found in (self.confirmed, self.possible), self.describe(found)
        self.confirmed = self.possible = found

    def describe(self, found: State) -> str:
        """What differs from what was confirmed."""
        gone, more = sorted(self.confirmed - found)[:5], sorted(found - self.confirmed)[:5]
        return f"{type(self).__name__} {self.number}: gone {gone}, more {more}"


class Members(Worker):
    """Adds and removes 49 assets at a time; state: the members."""

    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        path = f"/collections/{self.collection_id}/assets"
        some = self.chance.sample(self.pool, 49)
        if len(self.confirmed) < len(self.pool) / 2:
            return self.confirmed | set(some), lambda: client.put(path, json={"assetIds": some})
        return self.confirmed - set(some), lambda: client.request("DELETE", path, json={"assetIds": some})

    def observe(self, client: httpx.Client) -> State:
        members = walk_members(client, self.collection_id)
        collection = ok(client.get(f"/collections/{self.collection_id}"))["collection"]
        assert collection["assetCount"] == len(members) == len(set(members))
        return frozenset(members)


class Trash(Worker):
    """Moves assets to the trash and back; state: those that live. They are counted by a tag and a collection."""

    def prepare(self, client: httpx.Client, asset_ids: list[str]) -> None:
        super().prepare(client, asset_ids[:30])
        self.confirmed = frozenset(self.pool)
        ok(client.put(f"/collections/{self.collection_id}/assets", json={"assetIds": self.pool}))
        for id in self.pool:
            ok(client.put(f"/assets/{id}/tags", json={"add": [f"trash{self.number}"]}))

    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        some = self.chance.sample(self.pool, 15)
        if len(self.confirmed) > 15:
            return self.confirmed - set(some), lambda: client.request("DELETE", "/assets", json={"assetIds": some})
        return self.confirmed | set(some), lambda: client.post("/assets/restore", json={"assetIds": some})

    def observe(self, client: httpx.Client) -> State:
        live = ok(client.post("/assets/get-bulk", json={"assetIds": self.pool}))["assets"]
        assert all(one["tags"] == [f"trash{self.number}"] for one in live)
        ids = frozenset(one["id"] for one in live)
        assert frozenset(walk_members(client, self.collection_id)) == ids
        assert ok(client.get(f"/collections/{self.collection_id}"))["collection"]["assetCount"] == len(ids)
        return ids


class Tags(Worker):
    """Changes the tags of one asset, adding and deleting in one request; state: the tags."""

    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        names = set(self.chance.sample([f"t{n}" for n in range(12)], 4))
        change = {"add": sorted(names - self.confirmed), "delete": sorted(names & self.confirmed)}
        return self.confirmed ^ names, lambda: client.put(f"/assets/{self.pool[0]}/tags", json=change)

    def observe(self, client: httpx.Client) -> State:
        return frozenset(ok(client.get(f"/assets/{self.pool[0]}"))["asset"]["tags"])


class Names(Worker):
    """Creates, renames and deletes collections; state: the names of those there are, each used once."""

    made = 0

    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        self.made += 1
        name = f"c{self.number}-{self.made}"
        if len(self.confirmed) < 20:
            return self.confirmed | {name}, lambda: client.post("/collections", json={"name": name})
        old = self.chance.choice(sorted(self.confirmed))
        path = f"/collections/{self._id_of(client, old)}"
        if self.chance.random() < 0.5:
            return self.confirmed - {old} | {name}, lambda: client.put(path, json={"name": name})
        return self.confirmed - {old}, lambda: client.delete(path)

    def _id_of(self, client: httpx.Client, name: str) -> str:
        return str(next(one["id"] for one in walk(client, "collections") if one["name"] == name))

    def observe(self, client: httpx.Client) -> State:
        names = [one["name"] for one in walk(client, "collections") if one["name"].startswith(f"c{self.number}-")]
        assert len(names) == len(set(names))
        return frozenset(names)


class Uploads(Worker):
    """Uploads pictures, each other bytes, into a collection; state: the hashes of those that are served."""

    made = 0

    def choose(self, client: httpx.Client) -> tuple[State, Do]:
        self.made += 1
        data = make_png(1 + self.made, 20 + self.number)
        image = base64.b64encode(data).decode()
        body = {"name": "p.png", "image": image, "collectionIds": [self.collection_id]}
        return self.confirmed | {hashlib.sha256(data).hexdigest()}, lambda: client.post("/assets", json=body)

    def observe(self, client: httpx.Client) -> State:
        listed = walk(client, "assets", collectionId=self.collection_id)
        self.served |= {one["id"]: _served(client, one) for one in listed if one["id"] not in self.served}
        return frozenset(self.served[one["id"]] for one in listed)


def _served(client: httpx.Client, asset: dict[str, dict[str, str]]) -> str:
    """The hash of the bytes behind an asset's link; its thumbnails are there too."""
    for size in (256, 512, 1024):
        thumbnail = httpx.URL(asset["thumbnail"]["url"]).copy_merge_params({"size": str(size)})
        response = client.get(thumbnail, auth=None)
        assert response.status_code == 200, response.text
        assert response.content[8:12] == b"WEBP"
    original = client.get(str(asset["url"]), auth=None)
    assert original.status_code == 200, original.text
    return hashlib.sha256(original.content).hexdigest()
