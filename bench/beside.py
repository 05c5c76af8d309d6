"""python -m bench.beside URL AUTHORIZATION FILE: upload large files one after another until ended.

The number of bytes sent so far is kept in FILE. All files have the same bytes, so that the disk does not fill; the
server does not know that before it has stored them again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx

from bench.load import LOAD_CORE
from bench.services import BENCH, Service

PART_BYTES, PARTS = 16 << 20, 4
"""As `pinakes upload` sends a file of 64 MiB."""
PIECE_BYTES = 1 << 20


@contextmanager
def uploading(service: Service) -> Iterator[None]:
    """Meanwhile somebody uploads to the service, which runs, if it is to be measured so; from the core of the load."""
    if service.uploads is None:
        yield
        return
    service.uploads.write_text("0")
    program = [sys.executable, "-m", "bench.beside", service.url, service.authorization, str(service.uploads)]
    with service.log.open("ab") as log:
        process = subprocess.Popen(["taskset", "-c", str(LOAD_CORE), *program], cwd=BENCH.parent, stderr=log)
    try:
        while not service.uploaded_mb() and process.poll() is None:
            time.sleep(0.01)
        yield
        if process.poll() is not None:
            sys.exit(f"uploading beside {service.name} failed; see {service.log}")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    url, authorization, told = sys.argv[1:]
    part = _noted(os.urandom(PART_BYTES), Path(told))
    with httpx.Client(base_url=f"{url}/v1", headers={"Authorization": authorization}, timeout=60) as client:
        while True:
            file = {"fileName": "large.bin", "fileSize": PART_BYTES * PARTS, "kind": "asset", "parts": PARTS}
            upload = _upload(client.post("/uploads", json=file))
            for place in upload["parts"]:
                length = {"Content-Length": str(PART_BYTES)}
                client.put(
                    place["url"], content=islice(part, PART_BYTES // PIECE_BYTES), headers=length
                ).raise_for_status()
            upload = _upload(client.post(f"/uploads/{upload['id']}/action", json={"action": "complete"}))
            while upload["status"] != "imported":
                time.sleep(0.05)
                upload = _upload(client.get(f"/uploads/{upload['id']}"))


def _noted(data: bytes, file: Path) -> Iterator[bytes]:
    """Pieces of the data, again and again. How many bytes were sent before each is in the file, for others to read."""
    new, pieces = file.with_suffix(".new"), [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    for count, piece in enumerate(cycle(pieces)):
        new.write_text(str(count * PIECE_BYTES))
        new.replace(file)
        yield piece


def _upload(answer: httpx.Response) -> dict[str, Any]:
    upload: dict[str, Any] = answer.raise_for_status().json()["upload"]
    if upload["status"] == "failed":
        sys.exit(f"the upload failed: {upload['errorMessage']}")
    return upload


if __name__ == "__main__":
    main()
