"""Downloads through the official client, curl and unzip: right names, right bytes, whole or visibly not."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pyvips
import safetensors.numpy
import scenario_sdk
from conftest import make_png
from pictures import picture

from api.clients import Key, Sdk, open_http
from api.conftest import Server, StartServer
from pinakes import access, assets
from pinakes.asset_types import Bytes
from pinakes.assets import NewAsset
from pinakes.blob_urls import open_blobs
from pinakes.blobs import blob_key
from pinakes.config import Config

STORES = ["local", "s3"]
Upload = Callable[..., dict[str, Any]]
MIB = 1 << 20


@pytest.fixture
def anyone(url: str) -> Iterator[httpx.Client]:
    """Somebody without credentials."""
    with open_http(url) as client:
        yield client


def ask(http: httpx.Client, ids: list[str], template: str = "<id>", **options: object) -> str:
    """The link to an archive."""
    body = {"query": {"assetIds": ids}, "options": {"fileNameTemplate": template, **options}}
    answer = http.post("/assets/download", json=body)
    assert answer.status_code == 200, answer.text
    status = http.get(f"/assets/download/{answer.json()['jobId']}").json()
    assert (status["jobStatus"], status["jobId"]) == ("success", answer.json()["jobId"])
    link: str = status["downloadUrl"]
    return link


def import_model(http: httpx.Client, anyone: httpx.Client, data: bytes, name: str) -> str:
    """The id of a new model with this file."""
    new = {"kind": "model", "fileName": name, "fileSize": len(data), "parts": 1}
    upload = http.post("/uploads", json=new).json()["upload"]
    anyone.put(upload["parts"][0]["url"], content=data).raise_for_status()
    http.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
    until = time.monotonic() + 20
    while upload["status"] != "imported" and time.monotonic() < until:
        time.sleep(0.05)
        upload = http.get(f"/uploads/{upload['id']}").json()["upload"]
    assert upload["status"] == "imported", upload
    id: str = upload["entityId"]
    return id


@pytest.mark.calls("assets.download.request", "assets.download.request_batch", "assets.download.get_status")
def test_assets_through_the_sdk(sdk: Sdk, anyone: httpx.Client) -> None:
    image = base64.b64encode(picture("jpeg", 300, 200)).decode()
    ids = [sdk.assets.upload(name=f"{n}.jpg", image=image).asset.id for n in range(2)]
    one = sdk.assets.download.request(ids[0])
    assert one.mime_type == "image/jpeg"
    answer = anyone.get(one.url)
    assert answer.content == base64.b64decode(image)
    assert answer.headers["content-disposition"].startswith('attachment; filename="0.jpg"')
    other = sdk.assets.download.request(ids[0], target_format="png")
    answer = anyone.get(other.url)
    assert (other.mime_type, answer.headers["content-type"]) == ("image/png", "image/png")
    assert answer.headers["content-disposition"].startswith('attachment; filename="0.png"')
    assert pyvips.Image.pngload_buffer(answer.content).width == 300
    job = sdk.assets.download.request_batch(
        options={"file_name_template": "all/<num>", "archive_name": "Two", "flat": False, "prefer_original": True},
        query={"asset_ids": ids, "inference_ids": ["inf_1"], "model_ids": []},
        dry_run="true",
    )
    status = sdk.assets.download.get_status(job.job_id)
    assert (status.job_id, status.job_status) == (job.job_id, "success")
    answer = anyone.get(status.download_url)
    assert answer.headers["content-disposition"].startswith('attachment; filename="Two.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["all/1.jpg", "all/2.jpg"]
        assert archive.read("all/2.jpg") == base64.b64decode(image)


@pytest.mark.calls("models.download", "assets.download.get_status")
def test_a_model_through_the_sdk(sdk: Sdk, http: httpx.Client, anyone: httpx.Client) -> None:
    data = safetensors.numpy.save({"lora_up.weight": np.ones((64, 64), np.float32)})
    empty = sdk.models.create(name="Empty").model
    with pytest.raises(scenario_sdk.NotFoundError, match="has no file"):
        sdk.models.download(empty.id)
    id = import_model(http, anyone, data, "flux 1.safetensors")
    with pytest.raises(scenario_sdk.BadRequestError, match="modelEpoch"):
        sdk.models.download(id, model_epoch="e1")
    status = sdk.assets.download.get_status(sdk.models.download(id, dry_run="api").job_id)
    answer = anyone.get(status.download_url)
    assert answer.content == data
    assert answer.headers["content-disposition"].startswith('attachment; filename="flux 1.safetensors"')
    part = anyone.get(status.download_url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    sdk.models.delete(id)
    assert anyone.get(status.download_url).status_code == 404


def test_names_and_errors_are_those_of_the_api(http: httpx.Client, upload: Upload) -> None:
    id = upload(make_png(), "a.png")["id"]
    for target in ("docx", "mp4", None):
        answer = http.post(f"/assets/{id}/download", json={"targetFormat": target})
        assert (answer.status_code, answer.json()["reason"].partition(":")[0]) == (400, "targetFormat")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"query": {"assetIds": [id]}}, "options"),
        ({"query": {"assetIds": [id]}, "options": {}}, "options.fileNameTemplate"),
        ({"options": {"fileNameTemplate": "<id>"}}, "query"),
        ({"query": {"assetIds": [id] * 1_001}, "options": {"fileNameTemplate": ""}}, "query.assetIds"),
        ({"query": {"assetIds": []}, "options": {"fileNameTemplate": ""}}, "query"),
    ]
    for body, field in wrong:
        answer = http.post("/assets/download", json=body)
        assert (answer.status_code, answer.json()["reason"].partition(":")[0]) == (400, field)
    assert http.post(f"/assets/{id}/download").status_code == 200
    assert http.get("/assets/download/job_none").status_code == 404


def test_a_damaged_file_is_not_half_converted(http: httpx.Client, server: Server, upload: Upload) -> None:
    asset = upload(picture("jpeg", 640, 480), "a.jpg")
    sha256 = hashlib.sha256(picture("jpeg", 640, 480)).hexdigest()
    blobs, key = open_blobs(server.config.blobs_url), blob_key(sha256)
    whole = blobs.read(key)
    blobs.write(key, whole[:-2000])
    try:
        answer = http.post(f"/assets/{asset['id']}/download", json={"targetFormat": "avif"})
    finally:
        blobs.write(key, whole)
    assert answer.status_code == 400
    assert answer.json()["reason"].startswith("targetFormat: the JPEG ")
    assert f"{sha256}.avif" not in server.keys("thumbnails")
    assert http.post(f"/assets/{asset['id']}/download", json={"targetFormat": "avif"}).status_code == 200


def test_unzip_and_curl(http: httpx.Client, upload: Upload, tmp_path: Path) -> None:
    """What people have at hand: curl saves it under its name and goes on where it was cut off, unzip finds no fault."""
    data = {name: hashlib.sha256(name.encode()).digest() * 40_000 for name in ("森の💚.txt", "b.txt", "c.txt")}
    ids = [upload(body, name)["id"] for name, body in data.items()]
    http.put(f"/assets/{ids[0]}", json={"description": "森の中, at night"})
    link = ask(http, ids, "<description>/<num>", archiveName="../Ü: 1")
    curl = ["curl", "-sS", "--fail", "-OJ", link]
    subprocess.run(curl, cwd=tmp_path, check=True)
    (saved,) = tmp_path.iterdir()
    assert saved.name.endswith(".zip")
    tested = subprocess.run(["unzip", "-t", str(saved)], capture_output=True, text=True)
    assert (tested.returncode, "No errors" in tested.stdout) == (0, True), tested.stdout + tested.stderr
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["森の中_night/1.txt", "2.txt", "3.txt"]
        assert [archive.read(name) for name in archive.namelist()] == list(data.values())
    whole = saved.read_bytes()
    (tmp_path / "part.zip").write_bytes(whole[:2_000_000])
    subprocess.run(["curl", "-sS", "--fail", "-C", "-", "-o", "part.zip", link], cwd=tmp_path, check=True)
    assert (tmp_path / "part.zip").read_bytes() == whole


def test_an_archive_answers_head_ranges_and_etags(http: httpx.Client, anyone: httpx.Client, upload: Upload) -> None:
    ids = [upload(bytes([n]) * 300_000, f"{n}.bin")["id"] for n in range(3)]
    link = ask(http, ids)
    whole, head = anyone.get(link), anyone.head(link)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "content-disposition"):
        assert head.headers[name] == whole.headers[name]
    assert whole.headers["content-type"] == "application/zip"
    assert int(whole.headers["content-length"]) == len(whole.content)
    for start, end in ((0, 9), (299_990, 600_500), (900_000, len(whole.content) - 1)):
        part = anyone.get(link, headers={"Range": f"bytes={start}-{end}"})
        assert (part.status_code, part.content) == (206, whole.content[start : end + 1])
    assert anyone.get(link, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    http.request("DELETE", "/assets", json={"assetIds": ids[:1]})
    fewer = anyone.get(link, headers={"Range": "bytes=5-", "If-Range": whole.headers["etag"]})
    assert (fewer.status_code, fewer.headers["etag"] == whole.headers["etag"]) == (200, False)
    with zipfile.ZipFile(io.BytesIO(fewer.content)) as archive:
        assert archive.namelist() == [f"{id}.bin" for id in ids[1:]]
    http.request("DELETE", "/assets", json={"assetIds": ids})
    assert anyone.get(link).status_code == 404


def test_links_lead_to_what_they_were_made_for(http: httpx.Client, anyone: httpx.Client, upload: Upload) -> None:
    id = upload(make_png(), "a.png")["id"]
    link = ask(http, [id])
    for wrong in (link.replace("/archive", "/original"), link.replace("/archive", "/model"), link[:-1]):
        assert anyone.get(wrong).status_code == 403
    one = http.post(f"/assets/{id}/download", json={}).json()["url"]
    assert anyone.get(one.replace("/download?", "/png?")).status_code == 403
    assert anyone.post(link).status_code == 405


def ingest(server: Server, sizes: list[int]) -> list[str]:
    """Files of zeros and a few other bytes, stored beside the server. Their ids."""
    library = server.library
    try:
        actor = access.authenticate(library, server.admin.id, access.hash_secret(server.admin.secret), None)
        ids = []
        for n, size in enumerate(sizes):
            stored = Bytes(library.blobs.put(bytes([n]) * size), size, "video", "video/mp4", "mp4", None, None, 1)
            ids.append(assets.create(library, actor, NewAsset("long.mp4", ""), stored).id)
        return ids
    finally:
        library.close()


def test_memory_stays_flat_whatever_the_size(fresh: Server, tmp_path: Path) -> None:
    ids = ingest(fresh, [100 * MIB] * 5)
    with open_http(fresh.url, fresh.admin) as http:
        link = ask(http, ids)
        before, most, at = fresh.rss_mb(), 0.0, 0
        with (tmp_path / "large.zip").open("wb") as file, http.stream("GET", link) as answer:
            for chunk in answer.iter_bytes(MIB):
                file.write(chunk)
                at += len(chunk)
                if at % (50 * MIB) < len(chunk):
                    most = max(most, fresh.rss_mb())
    assert most < before + 30
    tested = subprocess.run(["unzip", "-tq", str(tmp_path / "large.zip")], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout


def test_nothing_is_read_for_who_is_gone(start_server: StartServer) -> None:
    server = start_server()
    ids = ingest(server, [100 * MIB] * 5)
    with open_http(server.url, server.admin) as http:
        link = ask(http, ids)
        before = _read_by(server)
        for headers in ({}, {"Range": "bytes=520000000-"}):
            with httpx.stream("GET", link, headers=headers) as answer:
                assert answer.status_code == (206 if headers else 200)
        time.sleep(2)
        assert _read_by(server) - before < 250 * MIB
        assert http.get("/assets").status_code == 200


def _read_by(server: Server) -> int:
    return int(Path(f"/proc/{server.pid}/io").read_text().split()[1])


def test_an_archive_that_cannot_be_whole_breaks(tmp_path: Path) -> None:
    """The server logs why, so it is one of its own."""
    with _serving(tmp_path) as server:
        ids = ingest(server, [3 * MIB] * 3)
        (lost,) = [path for path in server.blobs() if path.read_bytes()[:1] == b"\1"]
        with open_http(server.url, server.admin) as http:
            link = ask(http, ids)
            lost.write_bytes(bytes(MIB))
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    http.get(link)
                lost.unlink(missing_ok=True)
            first = ask(http, ids[1:])
            assert http.get(first).json()["code"] == "NOT_FOUND"
            assert http.get(ask(http, [ids[0], ids[2]])).status_code == 200


@contextmanager
def _serving(folder: Path) -> Iterator[Server]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PINAKES_")}
    env |= {"PINAKES_DATA": str(folder / "data"), "PINAKES_PORT": "0"}
    command = [sys.executable, "-m", "pinakes", "serve", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        key = Key(first["apiKey"], first["apiSecret"], first["projectId"])
        yield Server(first["url"], process.pid, Config(data=str(folder / "data")), key)
        process.terminate()
        assert process.wait(30) == 0
