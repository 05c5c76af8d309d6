"""Reads on the event loop that share one moment, and what that moment is."""

import asyncio

import pytest

from pinakes import collections
from pinakes.access import Actor
from pinakes.api.call import Threads
from pinakes.collections import NewCollection
from pinakes.library import Library

pytestmark = pytest.mark.engine("sqlite")  # where the event loop reads itself


def test_what_was_told_of_after_a_read_is_seen_by_the_next_turn(library: Library, admin: Actor) -> None:
    async def turns() -> None:
        threads = Threads(library)
        threads.share()
        assert names() == []
        create("a")
        assert names() == []
        with library.store.read() as tx:
            assert tx.collections.page(admin.owner, None, 10) == []
        threads.share()
        assert names() == []
        await asyncio.sleep(0)
        assert names() == ["a"]
        create("b")
        assert names() == ["b", "a"]
        threads.share()
        assert names() == ["b", "a"]
        create("c")
        assert names() == ["b", "a"]
        await asyncio.sleep(0)
        threads.share()
        assert names() == ["c", "b", "a"]
        await asyncio.sleep(0)
        threads.close()

    def create(name: str) -> None:
        collections.create(library, admin, NewCollection(name))

    def names() -> list[str]:
        return [one.name for one in collections.get_page(library, admin).items]

    asyncio.run(turns())


def test_a_read_that_fails_leaves_the_next_alone(library: Library, admin: Actor) -> None:
    async def turns() -> None:
        threads = Threads(library)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await threads.look(fail)
            assert await threads.look(lambda: collections.get_page(library, admin).items) == []
            await asyncio.sleep(0)
        threads.close()

    def fail() -> None:
        with library.store.read():
            raise RuntimeError

    asyncio.run(turns())
