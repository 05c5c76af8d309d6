"""The limit of taking in pictures: libvips in processes that do nothing else."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def alone(pictures: Sequence[Path], processes: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, to decode pictures and make thumbnails, in processes that are there already."""
    # Spawned, because libvips has threads in this process already, and a fork of those hangs.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(_thumbnails, map(str, pictures[: processes * 4])))
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
