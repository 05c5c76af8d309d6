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
from pathlib import Path
from typing import Any, NamedTuple

from bench import libvips, mixed_files, services, usage
from bench.services import Service


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
        service = services.pinakes(Path(folder))
        alone_s, alone_cpu_s = libvips.alone(made["pictures"], service.config.decode_processes)
        with service.running(core=None):
            found = import_all(service, Path(folder, "files"), options.jobs)
        figures = _figures(made, found, alone_s, alone_cpu_s)
    print(json.dumps(figures, indent=2) if options.json else _told(figures))
    sys.exit(1 if found.failures else 0)


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
    before, client_before, begun = usage.cpu_s(service.pid), _children_cpu_s(), 0.0
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
    own, children = (now - then for now, then in zip(usage.cpu_s(service.pid), before, strict=True))
    return Import(times, own, children, _children_cpu_s() - client_before, failures)


def _children_cpu_s() -> float:
    """CPU seconds of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
