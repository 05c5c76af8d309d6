"""One request on its way to a verb."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from pinakes import access
from pinakes.access import Actor
from pinakes.background import stand_back

if TYPE_CHECKING:
    from pinakes.api.http import Headers
    from pinakes.library import Library

Q = TypeVar("Q")
B = TypeVar("B")
T = TypeVar("T")


_SCANS = 6
"""Searches and the like at a time: each takes a core for as long as it lasts."""


class Threads:
    """Runs verbs off the event loop: on the store's writer, with one wake-up for each commit, or on upload threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.replica = msgspec.structs.replace(library, store=library.store.replica())
        """The library for reads that may take long."""
        self._loop = asyncio.get_running_loop()
        self._done = self._deliver
        # Threads of their own: uploads that wait for a decoder must not keep lists and health checks waiting.
        self._uploads = ThreadPoolExecutor(library.config.decode_processes + 2, "upload", stand_back)
        self._parts = ThreadPoolExecutor(library.parts.at_once, "part", stand_back)
        self._looks = ThreadPoolExecutor(library.config.database_connections, thread_name_prefix="look")
        self._scans = ThreadPoolExecutor(_SCANS, thread_name_prefix="scan")
        self._shared: AbstractContextManager[object] | None = None
        self.looks = 0
        """How often something was read on the event loop so far."""

    def share(self) -> None:
        """On the embedded engine: let all reads that wait on the event loop by now be of one moment, that of the first.

        To begin and end to read costs more than most reads. The loop does what it was told first in, first out, so all
        that runs before the end was received before the moment, and nothing that was answered before is missing in it.
        """
        self.looks += 1
        if self._shared is None:
            self._loop.call_soon(self._end_sharing)  # before it begins, or something could come in between
            shared = self._library.store.read()
            shared.__enter__()
            self._shared = shared

    def _end_sharing(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.__exit__(None, None, None)

    async def upload(self, verb: Callable[[], T]) -> T:
        """The result of the slow half of an upload."""
        return await self._loop.run_in_executor(self._uploads, verb)

    async def part(self, do: Callable[..., T], *args: Any) -> T:
        """The result of storing bytes that come in."""
        return await self._loop.run_in_executor(self._parts, do, *args)

    async def look(self, verb: Callable[[], T]) -> T:
        """The result of a bounded read; on the embedded engine here and now, which costs a tenth of a thread hop."""
        if self._library.store.is_embedded:
            self.share()
            return verb()
        return await self._loop.run_in_executor(self._looks, self._library.store.attempt, verb)

    async def scan(self, verb: Callable[[], T]) -> T:
        """The result of a read that may take long."""
        return await self._loop.run_in_executor(self._scans, self._library.store.attempt, verb)

    def close(self) -> None:
        """End the threads."""
        for threads in (self._uploads, self._parts, self._looks, self._scans):
            threads.shutdown()

    async def write(self, verb: Callable[[], T], subject: tuple[str, ...] = ()) -> T:
        """The verb's result, once it is durable."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._library.store.submit(verb, future, self._done, subject)
        return await future

    def _deliver(self, outcomes: list[tuple[Any, Any, BaseException | None]]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[tuple[Any, Any, BaseException | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue  # the client went away; what it asked for is done all the same
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _confirmed(verb: Callable[..., T], library: Library, actor: Actor, *args: Any, **kwargs: Any) -> T:
    """The verb, unless its actor lost the key while the change waited for its turn."""
    with library.store.transaction() as tx:
        access.confirm(tx, actor)
        return verb(library, actor, *args, **kwargs)


class Call(Generic[Q, B]):
    """Everything a handler needs: who, path parameters, query, body; and how to call a verb."""

    query: Q
    body: B

    __slots__ = ("actor", "body", "headers", "library", "params", "query", "reply_headers", "reply_status", "threads")

    def __init__(
        self,
        library: Library,
        threads: Threads,
        actor: Actor,
        params: list[str],
        headers: dict[bytes, bytes],
    ) -> None:
        self.library = library
        self.threads = threads
        self.actor = actor
        self.params = params
        self.headers = headers
        self.reply_headers: Headers = []
        self.reply_status = 200

    async def read(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """A bounded read."""
        if self.library.store.is_embedded:
            self.threads.share()
            return verb(self.library, self.actor, *args, **kwargs)
        return await self.threads.look(partial(verb, self.library, self.actor, *args, **kwargs))

    async def scan(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Anything that may take long, in a thread; from a replica where there is one."""
        return await self.threads.scan(partial(verb, self.threads.replica, self.actor, *args, **kwargs))

    async def upload(self, verb: Callable[..., T], *args: Any) -> T:
        """The slow half of an upload, of which few run at a time."""
        return await self.threads.upload(partial(verb, self.library, self.actor, *args))

    async def write(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """A change, answered once it is durable."""
        confirmed = partial(_confirmed, verb, self.library, self.actor, *args, **kwargs)
        return await self.threads.write(confirmed, tuple(self.params))

    @property
    def is_repeat(self) -> bool:
        """Whether the SDK says that this is a further try of a request whose answer it did not get."""
        return self.headers.get(b"x-stainless-retry-count", b"0") not in (b"0", b"")

    @property
    def if_match(self) -> str | None:
        """The condition of a change, if the client made one."""
        value = self.headers.get(b"if-match")
        return None if value is None else value.decode("latin-1").strip()
