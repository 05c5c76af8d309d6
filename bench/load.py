"""The load: wrk on a core of its own, one operation at a time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.services import Service

CONNECTIONS = 32
SERVER_CORE, LOAD_CORE = 0, 1
SCRIPT = Path(__file__).parent / "wrk.lua"


class Sample(NamedTuple):
    """One run. Latencies are milliseconds, CPU time is the server's and its share that of one core, memory is MB.

    `statements` are SQL statements a request, where the service tells.
    """

    per_second: float
    p50: float
    p99: float
    longest: float
    cpu_us: float
    cpu_share: float
    memory: float
    statements: float | None


def require_tools() -> None:
    """Stop with one line when this machine cannot run the benchmark."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk: apt-get install wrk")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmark needs two cores, one for the server and one for wrk.")


def measure(service: Service, operation: str, seconds: float, seed: int, clients: int = CONNECTIONS) -> Sample:
    """Run one operation against a running service. A request that failed stops the benchmark."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "10s"]
    arguments = [service.authorization, str(seed), operation, str(service.known), str(service.script)]
    cpu_before, ran_before = service.cpu_seconds(), service.statements()
    run = subprocess.run(
        [*command, "-s", str(SCRIPT), service.url, "--", *arguments], capture_output=True, text=True, check=False
    )
    cpu, ran = service.cpu_seconds() - cpu_before, service.statements()
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not lines:
        sys.exit(f"wrk failed on {service.name}, {operation}:\n{run.stdout}{run.stderr}")
    seen = json.loads(lines[-1])
    if seen["failed"] or not seen["requests"]:
        sys.exit(f"{service.name} failed {seen['failed']} of {seen['requests']} requests of {operation}; {service.log}")
    count = seen["requests"]
    return Sample(
        count * 1e6 / seen["duration"],
        *(seen[name] / 1000 for name in ("p50", "p99", "longest")),
        cpu * 1e6 / count,
        cpu / seconds,
        service.memory_mb(),
        None if ran is None or ran_before is None else (ran - ran_before) / count,
    )
