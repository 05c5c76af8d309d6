"""python -m bench.mixed: import a mixed folder with `pinakes upload`, and compare pictures with libvips alone.

Prints files a second for each kind of file, and for pictures the share of what libvips does when it decodes the same
ones and makes the same three thumbnails in as many processes, and nothing else.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from bench import mixed_files, services
from bench.services import Service

PROCESSES = 2
"""As many as a server decodes with."""


class Import(NamedTuple):
    """Seconds at which the files of each folder were imported, CPU seconds of all that took part, and failures."""

    times: dict[str, list[float]]
    server_cpu_s: float
    decoders_cpu_s: float
    client_cpu_s: float
    failures: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mixed", description=__doc__)
    parser.add_argument("--files", type=int, default=2_000, help="files to import (2,000)")
    parser.add_argument("--jobs", type=int, default=4, help="files sent at a time (4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixed-") as folder:
        made = mixed_files.make(Path(folder, "files"), options.files)
        alone_s, alone_cpu_s = libvips_alone(made["pictures"])
        service = services.pinakes(Path(folder))
        with service.running(core=None):
            found = import_all(service, Path(folder, "files"), options.jobs)
        figures = _figures(made, found, alone_s, alone_cpu_s)
    print(json.dumps(figures, indent=2) if options.json else _told(figures))
    sys.exit(1 if found.failures else 0)


def libvips_alone(pictures: Sequence[Path]) -> tuple[float, float]:
    """Seconds, and CPU seconds, to decode pictures and make thumbnails, in processes that are there already."""
    # Spawned, because libvips has threads in this process already, and a fork of those hangs.
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        list(pool.map(_thumbnails, map(str, pictures[: PROCESSES * 4])))
        begun = time.perf_counter()
        cpu_s = sum(pool.map(_thumbnails, map(str, pictures), chunksize=4))
        return time.perf_counter() - begun, cpu_s


def _thumbnails(path: str) -> float:
    """As a program does it that does nothing else, with the encoder's settings of the server; its CPU seconds."""
    import pyvips

    pyvips.cache_set_max(0)
    pyvips.concurrency_set(2)
    begun = time.process_time()
    image = pyvips.Image.new_from_file(path, access="sequential", fail_on="error")
    large = image.thumbnail_image(1024, height=1024, size="down").copy_memory()
    for size in (1024, 512, 256):
        large.thumbnail_image(size, height=size, size="down").webpsave_buffer(Q=80, effort=2, keep="none")
    return time.process_time() - begun


def import_all(service: Service, files: Path, jobs: int) -> Import:
    """Send the folders one after another."""
    program = str(Path(sys.executable).parent / "pinakes")
    given = {
        "SCENARIO_BASE_URL": service.url,
        "SCENARIO_SDK_API_KEY": service.key["apiKey"],
        "SCENARIO_SDK_API_SECRET": service.key["apiSecret"],
        "XDG_STATE_HOME": str(files.parent / "state"),
    }
    folders = [str(files / name) for name in mixed_files.FOLDERS]
    times: dict[str, list[float]] = {name: [] for name in mixed_files.FOLDERS}
    failures = []
    before, client_before, begun = _cpu_s(service.pid), _children_cpu_s(), 0.0
    with subprocess.Popen(
        [program, "upload", *folders, "--jobs", str(jobs), "--json"],
        env=os.environ | given,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            begun = begun or now  # the interpreter and the SDK take a second to load, and that is not of interest
            outcome = json.loads(line)
            times[Path(outcome["path"]).parent.name].append(now - begun)
            failures += [f"{outcome['path']}: {outcome['error']}"] if outcome["error"] else []
    own, children = (now - then for now, then in zip(_cpu_s(service.pid), before, strict=True))
    return Import(times, own, children, _children_cpu_s() - client_before, failures)


def _children_cpu_s() -> float:
    """CPU seconds of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children, those that have ended too."""
    own, ended = _times(pid)
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return own, ended + sum(sum(_times(child)) for child in children)


def _times(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of those of its children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, waited_user, waited_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, waited_user + waited_system


def _figures(made: dict[str, list[Path]], found: Import, alone_s: float, alone_cpu_s: float) -> dict[str, Any]:
    pictures = len(made["pictures"])
    rates = {name: (len(times) - 1) / (times[-1] - times[0]) for name, times in found.times.items()}
    files = sum(map(len, found.times.values()))
    seconds = max(times[-1] for times in found.times.values())
    return {
        "files": files,
        "megabytes": sum(path.stat().st_size for paths in made.values() for path in paths) / 1e6,
        "seconds": seconds,
        "filesPerSecond": files / seconds,
        "perSecond": rates,
        "libvipsPicturesPerSecond": pictures / alone_s,
        "shareOfLibvips": rates["pictures"] * alone_s / pictures,
        "cpuMsPerFile": {
            "server": found.server_cpu_s / files * 1e3,
            "decoders": found.decoders_cpu_s / files * 1e3,
            "client": found.client_cpu_s / files * 1e3,
        },
        "libvipsCpuMsPerPicture": alone_cpu_s / pictures * 1e3,
        "failures": found.failures,
        "load": os.getloadavg()[0],
    }


def _told(found: dict[str, Any]) -> str:
    """The same for people."""
    cpu = ", ".join(f"{who} {ms:.1f}" for who, ms in found["cpuMsPerFile"].items())
    rows = [f"{name:10} {rate:7.1f} files/s" for name, rate in found["perSecond"].items()]
    return "\n".join(
        [
            f"{found['files']:,} files, {found['megabytes']:,.0f} MB, in {found['seconds']:.1f} s:"
            f" {found['filesPerSecond']:.1f} files/s (load average {found['load']:.1f})",
            *rows,
            f"libvips    {found['libvipsPicturesPerSecond']:7.1f} pictures/s alone, so that pictures are imported at"
            f" {found['shareOfLibvips']:.0%} of its speed",
            f"CPU ms a file: {cpu}; libvips alone {found['libvipsCpuMsPerPicture']:.1f} a picture",
            *found["failures"],
        ]
    )


if __name__ == "__main__":
    main()
