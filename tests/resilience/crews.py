"""Several processes that serve one library, and clients that know which of them they talk to."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import httpx
import psutil
import pytest
from conftest import new_database
from servers import Place, Server, make_place, serving

PATIENCE_S = 30.0

Settings = dict[str, object]


class Crew(NamedTuple):
    """Two processes on one library: two workers of a server, or two servers."""

    place: Place
    servers: list[Server]
    workers: int
    settings: Settings

    @contextmanager
    def clients(self, auth: tuple[str, str] | None = None) -> Iterator[list[httpx.Client]]:
        """One for each process, whose connection it keeps."""
        with ExitStack() as stack:
            each = [stack.enter_context(one_client_each(server, self.workers, auth)) for server in self.servers]
            yield [client for clients in each for client in clients]


@contextmanager
def two_processes(
    engine: str, request: pytest.FixtureRequest, *, assets: int = 0, **settings: object
) -> Iterator[Crew]:
    """On SQLite these are two servers on one folder, for it takes only one worker; on PostgreSQL two workers."""
    with new_database(engine, request) as url, ExitStack() as stack:
        where: Settings = {"database_url": url} if url else {}
        place = make_place(request.getfixturevalue("tmp_path"), assets, **where)
        count = 1 if url else 2
        together = settings | where | {"workers": 3 - count, "access_log": "false"}
        servers = [stack.enter_context(serving(place, **together)) for _ in range(count)]
        yield Crew(place, servers, 3 - count, where)


@contextmanager
def one_client_each(server: Server, count: int, auth: tuple[str, str] | None = None) -> Iterator[list[httpx.Client]]:
    """Clients of as many workers. The system chooses whom a connection leads to, so it takes a few."""
    found: dict[str, httpx.Client] = {}
    with ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(server.client(auth))
            found.setdefault(worker_of(client.get("/collections")), client)
            if len(found) == count:
                yield list(found.values())
                return
    raise AssertionError(f"of {count} workers only {len(found)} answer")


def worker_of(response: httpx.Response) -> str:
    """Which process answered: its part of trace ids."""
    return response.headers["x-trace-id"][:12]


def at(client: httpx.Client, link: str) -> str:
    """Where a link leads, at the process that a client talks to."""
    return str(client.base_url.join("/")).rstrip("/") + httpx.URL(link).raw_path.decode()


def workers(server: Server) -> list[psutil.Process]:
    """The processes that answer for a server of several."""
    return [child for child in psutil.Process(server.process.pid).children() if _listens(child)]


def _listens(process: psutil.Process) -> bool:
    try:
        return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False


def is_there(process: psutil.Process) -> bool:
    """Whether a process has not ended, even if nobody has taken note of its end."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def behind(response: httpx.Response, server: Server) -> psutil.Process:
    """The worker at the other end of the connection that a response came on."""
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    return next(
        worker
        for worker in workers(server)
        if any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp"))
    )


def wait_for(condition: Callable[[], bool], most_s: float = PATIENCE_S) -> float:
    """Until it is so; the seconds that took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + most_s
        time.sleep(0.01)
    return time.monotonic() - begun
