"""Running the application: uvicorn on one event loop, or on one in each of several processes; stopping gracefully."""

import gc
import socket
from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import FrameType
from typing import Any, Literal, cast

import structlog
import uvicorn

from pinakes import __version__
from pinakes.api.app import build
from pinakes.api.observe import bury, configure_logs
from pinakes.api.protocol import Outbox, Protocol
from pinakes.api.supervisor import Supervisor
from pinakes.config import Config
from pinakes.errors import PinakesError, bad_request
from pinakes.library import Library, open_library

_GRACE_SECONDS = 10
_AT_ONCE = 8
"""Connections that are taken in one turn of the event loop."""


class _Server(uvicorn.Server):
    """Tells when it listens, and where: with port 0 only the system knows."""

    announce: Callable[[str], object]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # what there is by now stays, and to look through it for garbage takes long enough to be noticed
        if self.started:
            self.announce(_url((sockets or self.servers[0].sockets)[0]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # Once it has stopped, uvicorn raises anew what it noted here: that would end us before the library is closed.
        self._captured_signals.clear()


def run(library: Library, announce: Callable[[str], object], listener: socket.socket | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is under way; the exit status.

    `announce` is called once with the URL, when requests are accepted. UNAVAILABLE when the address cannot be taken.
    """
    config = library.config
    configure_logs(config)
    listener = listener or listen(config.host, config.port)
    log = structlog.get_logger("server")

    def announce_and_log(url: str) -> None:
        log.info("started", url=url, version=__version__, data=str(config.data))
        announce(url)

    try:
        return 0 if serve(build(library), listener, announce_and_log) else 1
    finally:
        library.close()
        log.info("stopped")


def serve(
    app: Any, listener: socket.socket, announce: Callable[[str], object], lifespan: Literal["on", "off"] = "on"
) -> bool:
    """Serve an ASGI application at a socket, which is closed then, as `run` does; whether it came to listen."""
    server = _Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=cast(type[Protocol], partial(Protocol, outbox=Outbox())),
            ws="none",
            lifespan=lifespan,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            backlog=2048,
        )
    )
    server.announce = announce
    try:
        # In each turn the loop takes one connection from each listening socket, and then answers everybody it has: to
        # take one at a time would keep the last of many that come together waiting for as many turns.
        server.run(sockets=[listener, *(listener.dup() for _ in range(_AT_ONCE - 1))])
    finally:
        listener.close()
    return server.started


def run_workers(config: Config, announce: Callable[[Library, str], None]) -> int:
    """Serve in as many processes as the configuration says; otherwise as `run`. `announce` gets a library to look into.

    Each process listens on a socket of its own, among which the system spreads connections; the parent keeps the
    address, and any other server from it, with one that never listens. BAD_REQUEST for what only one process can serve.
    """
    _refuse_workers(config)
    configure_logs(config)
    kept = listen(config.host, config.port)
    url, port = _url(kept), kept.getsockname()[1]

    def work(ready: Callable[[], object]) -> int:
        listener = listen(config.host, port, is_shared=True)
        kept.close()
        return run(open_library(config), lambda _: ready(), listener)

    def greet() -> int:
        with closing(open_library(config, create=False)) as library:
            announce(library, url)
        return 0

    return Supervisor(config.workers, work, greet, bury).run()


def _refuse_workers(config: Config) -> None:
    if not config.is_postgres:
        raise bad_request(
            "workers",
            "SQLite takes one writer at a time, so several processes would only wait for each other; "
            "use one worker, or PostgreSQL (database_url)",
        )
    if config.blobs_url.startswith("memory:"):
        raise bad_request(
            "workers",
            "each process would have a memory:// of its own and not find what another stored; "
            "use one worker, or a blob_url that all of them reach",
        )


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket at an address. Those that are `is_shared` may be several; one that is not keeps out all but them."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PinakesError("UNAVAILABLE", f"Cannot listen on {host}:{port}: {error.strerror}. Try --port.") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
