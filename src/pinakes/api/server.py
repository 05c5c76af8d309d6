"""Running the application: uvicorn on one event loop, stopping gracefully."""

import socket
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from pinakes import __version__
from pinakes.api.app import build
from pinakes.api.observe import configure_logs
from pinakes.api.protocol import Protocol
from pinakes.errors import PinakesError
from pinakes.library import Library

_GRACE_SECONDS = 10


class _Server(uvicorn.Server):
    """Tells when it listens, and where: with port 0 only the system knows."""

    announce: Callable[[str], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = (sockets or self.servers[0].sockets)[0].getsockname()[:2]
            self.announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # Once it has stopped, uvicorn raises anew what it noted here: that would end us before the library is closed.
        self._captured_signals.clear()


def run(library: Library, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is under way; the exit status.

    `announce` is called once with the URL, when requests are accepted. UNAVAILABLE when the address cannot be taken.
    """
    config = library.config
    configure_logs(config)
    listener = _listen(config.host, config.port)
    server = _Server(
        uvicorn.Config(
            build(library),
            loop="uvloop",
            http=Protocol,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            backlog=2048,
        )
    )
    log = structlog.get_logger("server")

    def announce_and_log(url: str) -> None:
        log.info("started", url=url, version=__version__, data=str(config.data))
        announce(url)

    server.announce = announce_and_log
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        library.close()
        log.info("stopped")
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PinakesError("UNAVAILABLE", f"Cannot listen on {host}:{port}: {error.strerror}. Try --port.") from error
    return listener
