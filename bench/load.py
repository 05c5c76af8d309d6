"""The load: wrk on a core of its own, one operation at a time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.services import Service

OPERATIONS = {"get": "get one", "list": "list 100", "create": "create", "add": "add 49"}
CONNECTIONS = 32
SERVER_CORE, LOAD_CORE = 0, 1
SCRIPT = Path(__file__).parent / "wrk.lua"


class Sample(NamedTuple):
    """One run. Latencies are milliseconds, CPU time is the server's, and its share is that of one core."""

    per_second: float
    p50: float
    p99: float
    cpu_us: float
    cpu_share: float


def require_tools() -> None:
    """Stop with one line when this machine cannot run the benchmark."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk: apt-get install wrk")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("The benchmark needs two cores, one for the server and one for wrk.")


def measure(service: Service, operation: str, seconds: int, seed: int) -> Sample:
    """Run one operation against a running service. A request that failed stops the benchmark."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    arguments = [service.authorization, str(seed), operation, str(service.ids)]
    cpu_before = service.cpu_seconds()
    run = subprocess.run(
        [*command, "-s", str(SCRIPT), service.url, "--", *arguments], capture_output=True, text=True, check=False
    )
    cpu = service.cpu_seconds() - cpu_before
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not lines:
        sys.exit(f"wrk failed on {service.name}, {operation}:\n{run.stdout}{run.stderr}")
    seen = json.loads(lines[-1])
    if seen["failed"] or not seen["requests"]:
        sys.exit(f"{service.name} failed {seen['failed']} of {seen['requests']} requests of {operation}; {service.log}")
    per_second = seen["requests"] * 1e6 / seen["duration"]
    return Sample(per_second, seen["p50"] / 1000, seen["p99"] / 1000, cpu * 1e6 / seen["requests"], cpu / seconds)
