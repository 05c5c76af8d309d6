"""The load: wrk on a core of its own, one operation at a time."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from bench.services import Service
from bench.usage import watching

CONNECTIONS = 32
SERVER_CORE, LOAD_CORE = 0, 1
SCRIPT = Path(__file__).parent / "wrk.lua"


class Sample(NamedTuple):
    """One run. Latencies are ms, CPU time is the server's in µs a request, and its share that of one core.

    `memory` is that of the server's process in MB. `statements` are SQL statements a request, where the service tells.
    `failed` counts what was answered with an error. `log_mb` is the largest size that SQLite's write-ahead log had
    during the run, in MB; SQLite keeps the file, so that after writes it is as large as they made it. `uploaded` is MB
    a second that were uploaded beside.
    """

    per_second: float
    p50: float
    p99: float
    longest: float
    cpu_us: float
    cpu_share: float
    memory: float
    statements: float | None
    log_mb: float | None = None
    uploaded: float | None = None
    requests: int = 0
    failed: int = 0


def require_tools() -> None:
    """Stop with one line when this machine cannot run the benchmark."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk: apt-get install wrk")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmark needs two cores, one for the server and one for wrk.")


def measure(
    service: Service, operation: str, seconds: float, seed: int, clients: int = CONNECTIONS, most: int = 0
) -> Sample:
    """Run one operation against a running service, `most` times at most. Where more fail than may, the run ends."""
    _settle(service)
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "10s"]
    arguments = [service.authorization, str(seed), operation, str(service.known), str(service.script), str(most)]
    cpu_before, ran_before, uploaded_before = service.cpu_seconds(), service.statements(), service.uploaded_mb()
    with watching(service.log_file, LOAD_CORE) as log_mb:
        run = subprocess.run(
            [*command, "-s", str(SCRIPT), service.url, "--", *arguments], capture_output=True, text=True, check=False
        )
    cpu, ran, uploaded = service.cpu_seconds() - cpu_before, service.statements(), service.uploaded_mb()
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not lines:
        sys.exit(f"wrk failed on {service.name}, {operation}:\n{run.stdout}{run.stderr}")
    seen = json.loads(lines[-1])
    if seen["failed"] > seen["requests"] * service.may_fail or not seen["requests"]:
        sys.exit(f"{service.name} failed {seen['failed']} of {seen['requests']} requests of {operation}; {service.log}")
    count, took_s = seen["requests"], seen["duration"] / 1e6
    return Sample(
        per_second=count / took_s,
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
        longest=seen["longest"] / 1000,
        cpu_us=cpu * 1e6 / count,
        cpu_share=cpu / took_s,
        memory=service.memory_mb(),
        statements=_each(ran, ran_before, count),
        log_mb=log_mb(),
        uploaded=_each(uploaded, uploaded_before, took_s),
        requests=count,
        failed=seen["failed"],
    )


def _each(after: float | None, before: float | None, of: float) -> float | None:
    return None if after is None or before is None else (after - before) / of


def _settle(service: Service) -> None:
    """Wait while the service still works on what wrk, which has left, had sent in the run before; a minute at most."""
    for _ in range(0 if service.uploads else 300):
        before = service.cpu_seconds()
        time.sleep(0.2)
        if service.cpu_seconds() - before < 0.05:
            return
