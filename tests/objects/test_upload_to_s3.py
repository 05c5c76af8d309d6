"""`pinakes upload` to servers whose bytes are in S3: through them, and past them straight to the store."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import make_png
from stores import S3

sys.path.append(str(Path(__file__).parents[1] / "resilience"))

from servers import Server, make_place, ok, serving

MIB = 1 << 20
PATIENCE_S = 90


@pytest.fixture(scope="module", params=["proxied", "direct"])
def server(request: pytest.FixtureRequest, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = make_place(tmp_path_factory.mktemp("upload"))
    with serving(place, blob_url=s3.url(), blob_links=request.param, access_log="false") as server:
        yield server


@pytest.fixture(autouse=True)
def environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SCENARIO_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", server.place.key_id)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", server.place.secret)


def begin(*args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pinakes", "upload", "--json", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: "subprocess.Popen[str]") -> list[Any]:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def content(server: Server, asset_id: str) -> bytes:
    with server.client() as client:
        url = ok(client.get(f"/assets/{asset_id}"))["asset"]["url"]
    return httpx.get(url, follow_redirects=True, timeout=60).content


def pending(server: Server, upload_id: str) -> dict[int, dict[str, Any]]:
    """The parts of an upload that are there, and what is told of them."""
    with server.client() as client:
        parts = ok(client.get(f"/uploads/{upload_id}"))["upload"].get("parts", [])
    return {part["number"]: part for part in parts if "size" in part}


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_files_arrive(server: Server) -> None:
    header = b'{"lora_unet_a.alpha":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}'
    files = {
        "in/a.png": make_png(40, 30),
        "in/b.bin": os.urandom(5 * MIB + 5),
        "in/c.txt": b"some words",
        "in/soft.safetensors": len(header).to_bytes(8, "little") + header + bytes(2),
    }
    Path("in").mkdir()
    for name, data in files.items():
        Path(name).write_bytes(data)
    lines = end(begin("in", "--part-size", "1", "--jobs", "3"))
    assert {line["path"]: line["status"] for line in lines} == dict.fromkeys(files, "imported")
    for line in lines:
        if line["assetId"]:
            assert content(server, line["assetId"]) == files[line["path"]]
    (model,) = (line["modelId"] for line in lines if line["modelId"])
    with server.client() as client:
        job = ok(client.post(f"/models/{model}/download", json={}))["jobId"]
        link = ok(client.get(f"/assets/download/{job}"))["downloadUrl"]
    assert httpx.get(link, follow_redirects=True).content == files["in/soft.safetensors"]


def test_only_missing_parts_are_sent_after_the_command_was_killed(server: Server, tmp_path: Path) -> None:
    data = os.urandom(40 * MIB + 1)
    Path("big.bin").write_bytes(data)
    process = begin("big.bin", "--part-size", "1", "--jobs", "2")
    notes = tmp_path / "state/pinakes/uploads"
    wait_for(lambda: notes.is_dir() and any(notes.iterdir()))
    (note,) = notes.iterdir()
    wait_for(lambda: bool(note.read_bytes()))
    upload_id = json.loads(note.read_bytes())["uploadId"]
    wait_for(lambda: len(pending(server, upload_id)) >= 8)
    process.kill()
    process.communicate()
    time.sleep(0.5)
    there = pending(server, upload_id)
    assert 8 <= len(there) < 41
    for number, part in there.items():
        piece = data[(number - 1) * MIB : number * MIB]
        told = part.get("sha256") or part["etag"]
        assert told in (hashlib.sha256(piece).hexdigest(), hashlib.md5(piece).hexdigest())
    (line,) = end(begin("big.bin", "--part-size", "1", "--jobs", "2"))
    assert (line["uploadId"], line["status"]) == (upload_id, "imported")
    assert content(server, line["assetId"]) == data


def test_a_part_that_somebody_else_has_put_there_is_sent_again(server: Server, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB)
    Path("a.bin").write_bytes(data)
    with server.client() as client:
        new = {"fileName": "a.bin", "fileSize": len(data), "kind": "asset", "parts": 3}
        upload = ok(client.post("/uploads", json=new))["upload"]
    for part, piece in zip(upload["parts"], (data[:MIB], bytes(MIB)), strict=False):
        assert httpx.put(part["url"], content=piece).status_code == 200
    process = begin("a.bin", "--part-size", "1")
    notes = tmp_path / "state/pinakes/uploads"
    wait_for(lambda: notes.is_dir() and any(notes.iterdir()))
    process.kill()
    process.communicate()
    (note,) = notes.iterdir()
    note.write_text(json.dumps({"uploadId": upload["id"], "partSize": MIB}))
    (line,) = end(begin("a.bin", "--part-size", "1"))
    assert line["uploadId"] == upload["id"]
    assert content(server, line["assetId"]) == data
