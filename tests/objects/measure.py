"""How fast files come and go where a library keeps its bytes: `python tests/objects/measure.py --megabytes 500`.

A folder, an S3 server on this machine through the server, and past it. Parts are 16 MiB, four at a time.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    sys.path.append(str(Path(__file__).parents[1] / "resilience"))

from servers import Server, make_place, ok, serving
from stores import KEY, S3

MIB = 1 << 20
PART = 16 * MIB
PICTURES = 40


def measure(name: str, server: Server, size: int) -> None:
    with server.client(timeout=120) as client:
        before = _rss_mb(server)
        parts = -(-size // PART)
        new = {"fileName": "large.bin", "fileSize": size, "kind": "asset", "parts": parts}
        upload = ok(client.post("/uploads", json=new))["upload"]
        block = os.urandom(PART)
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: _send(part, block, size), upload["parts"]))
        sent_s, begun = time.monotonic() - begun, time.monotonic()
        ok(client.post(f"/uploads/{upload['id']}/action", json={"action": "complete"}))
        while (found := ok(client.get(f"/uploads/{upload['id']}"))["upload"])["status"] == "validating":
            time.sleep(0.05)
        joined_s = time.monotonic() - begun
        assert found["status"] == "imported", found
        url = ok(client.get(f"/assets/{found['entityId']}"))["asset"]["url"]
        begun = time.monotonic()
        with httpx.stream("GET", url, follow_redirects=True, timeout=120) as answer:
            assert sum(len(chunk) for chunk in answer.iter_raw(MIB)) == size
        read_s, begun = time.monotonic() - begun, time.monotonic()
        for _ in range(PICTURES):
            ok_bytes(client.get(url, headers={"Range": "bytes=0-99999"}, follow_redirects=True))
        small_s = time.monotonic() - begun
    rates = [size / 1e6 / seconds for seconds in (sent_s, joined_s, read_s)]
    print(
        f"{name:12}  sent {rates[0]:5.0f} MB/s  joined {rates[1]:5.0f} MB/s  read {rates[2]:5.0f} MB/s"
        f"  100 kB in {small_s / PICTURES * 1000:4.1f} ms  memory {before:.0f} -> {_peak_mb(server):.0f} MB"
    )


def ok_bytes(answer: httpx.Response) -> None:
    assert (answer.status_code, len(answer.content)) == (206, 100_000)


def _send(part: dict[str, Any], block: bytes, size: int) -> None:
    at = (part["number"] - 1) * PART
    body = part["number"].to_bytes(4, "big") + block[4 : min(PART, size - at)]
    httpx.put(part["url"], content=body, timeout=120).raise_for_status()


def _rss_mb(server: Server) -> float:
    return _status(server, "VmRSS")


def _peak_mb(server: Server) -> float:
    return _status(server, "VmHWM")


def _status(server: Server, name: str) -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    size = parser.parse_args().megabytes * 1_000_000
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY.id, "AWS_SECRET_ACCESS_KEY": KEY.secret}
    s3 = S3()
    direct = {"blob_url": s3.url(), "blob_links": "direct"}
    try:
        for name, settings in (("folder", {}), ("s3, proxied", {"blob_url": s3.url()}), ("s3, direct", direct)):
            with (
                tempfile.TemporaryDirectory(prefix="measure-") as folder,
                serving(make_place(Path(folder)), access_log="false", **settings) as server,
            ):
                measure(name, server, size)
    finally:
        s3.remove()


if __name__ == "__main__":
    main()
