"""What an operator sees: structured logs, metrics, and which errors are ours."""

import asyncio
import logging
import sys
import time
from typing import Any, Literal

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from pinakes.config import Config
from pinakes.errors import PinakesError
from pinakes.library import Library

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_MEASURE_S = 1.0
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


def configure_logs(config: Config) -> None:
    """Logs go to standard error: lines for people on a terminal, else one JSON object a line."""
    is_console = config.log_format == "console" or (config.log_format == "auto" and sys.stderr.isatty())
    renderer: list[Any] = [_console()] if is_console else [_flat_error, structlog.processors.JSONRenderer(_dumps)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if is_console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


def _console() -> structlog.dev.ConsoleRenderer:
    """Tracebacks without the values of variables, which would be bodies and credentials."""
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


class _Forward(logging.Handler):
    """What libraries log, uvicorn above all, in the same form as the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _flat_error(logger: Any, name: str, event: Any) -> Any:
    return structlog.processors.format_exc_info(logger, name, event) if "exc_info" in event else event


def _dumps(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def bury(pid: int) -> None:
    """What a worker that died had at the moment no longer counts; what it had counted does."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Observer:
    """Counts and logs each request. Metrics are per route, never per id, so their number is bounded.

    Those of several workers lie together in files, so that each of them can answer for all.
    """

    def __init__(self, library: Library) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which says only when the server started
        self._log = structlog.get_logger("http")
        self._has_access_log = library.config.access_log
        self._registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self._seconds = Histogram(
            "pinakes_request_seconds", "Time to answer.", labels, buckets=_SECONDS, registry=self._registry
        )
        self._known: dict[tuple[str, str, int], Histogram] = {}
        self._has_workers = library.config.workers > 1
        self._store = library.store
        self._statements = self._gauge("pinakes_sql_statements", "SQL statements run so far.", "sum")
        self._replica_reads = self._gauge("pinakes_replica_reads", "Reads that the replica answered so far.", "sum")
        self._replica_misses = self._gauge(
            "pinakes_replica_misses", "Reads that the primary answered in its place so far.", "sum"
        )
        self._log_bytes = self._gauge("pinakes_log_bytes", "Size of the write-ahead log.", "livemax")

    def _gauge(self, name: str, help: str, mode: Literal["sum", "livemax"]) -> Gauge:
        return Gauge(name, help, registry=self._registry, multiprocess_mode=mode)

    def saw(self, method: str, route: str, status: int, started: float, trace_id: str, path: str = "") -> None:
        """One request answered. The path is logged where there is no route for it."""
        seconds = time.perf_counter() - started
        meter = self._known.get((method, route, status)) or self._meter(method, route, status)
        meter.observe(seconds)
        if self._has_access_log:
            facts: dict[str, Any] = {"route": route} if route else {"path": ascii(path)[1:-1][:200]}
            ms = round(seconds * 1000, 2)
            self._log.info("request", method=method, **facts, status=status, ms=ms, trace_id=trace_id)

    def _meter(self, method: str, route: str, status: int) -> Histogram:
        method = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} else "other"
        meter = self._seconds.labels(method, route, str(status))
        self._known[(method, route, status)] = meter
        return meter

    def as_ours(self, error: Exception, trace_id: str) -> PinakesError:
        """The error as the client may see it. What is not ours is a bug: logged whole, told by its trace id alone."""
        if isinstance(error, PinakesError):
            if error.code == "UNAVAILABLE":
                self._log.warning("unavailable", reason=error.message, trace_id=trace_id)
            return error
        self._log.error("bug", exc_info=error, trace_id=trace_id)
        return PinakesError("INTERNAL", f"The server failed; its log tells why under trace id {trace_id}.")

    def measure(self) -> None:
        """Note what is not counted as it happens."""
        self._statements.set(self._store.statements())
        reads, misses = self._store.replica_reads()
        self._replica_reads.set(reads)
        self._replica_misses.set(misses)
        self._log_bytes.set(self._store.log_bytes())

    async def measure_often(self) -> None:
        """For the other workers, which may be asked for the metrics of this one; until cancelled."""
        while self._has_workers:
            self.measure()
            await asyncio.sleep(_MEASURE_S)

    def metrics(self) -> bytes:
        """All metrics in the Prometheus text format, those of all workers summed up."""
        self.measure()
        registry = CollectorRegistry() if self._has_workers else self._registry
        if self._has_workers:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
