"""`pinakes upload` against a real server: everything arrives, once, whoever is killed meanwhile."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import make_png
from typer.testing import CliRunner

from pinakes.cli import app

sys.path.append(str(Path(__file__).parent / "resilience"))

from servers import Place, Server, make_place, ok, serving, start, walk

MIB = 1 << 20
PATIENCE_S = 60


class Ran(NamedTuple):
    """How a command ended. `lines` is what it printed, as JSON."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(make_place(tmp_path_factory.mktemp("upload")), access_log="false") as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own to work in, and to keep notes in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SCENARIO_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", server.place.key_id)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", server.place.secret)


def run(*args: str) -> Ran:
    result = CliRunner().invoke(app, ["upload", *args])
    return Ran(result.exit_code, result.stdout, result.stderr)


def begin(*args: str) -> "subprocess.Popen[str]":
    """The command as a process of its own."""
    command = [sys.executable, "-m", "pinakes", "upload", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: "subprocess.Popen[str]") -> Ran:
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ran(process.returncode, out, err)


def notes(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state/pinakes/uploads").iterdir())


def make_files(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def stored_parts(server: Server) -> int:
    """How many parts the server has answered with 200 since it started."""
    metrics = httpx.get(f"{server.url}/metrics").text
    line = r'^pinakes_request_seconds_count\{method="PUT",route="/uploads",status="200"\} (\S+)$'
    return int(sum(float(found) for found in re.findall(line, metrics, re.MULTILINE)))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_folder_of_many_kinds(http: httpx.Client, tmp_path: Path) -> None:
    files = {
        "in/a.png": make_png(40, 30),
        "in/deep/er/b.json": b'{"a": 1}',
        "in/deep/c.txt": b"some words",
        "in/Sömmer – 森.bin": os.urandom(3 * MIB + 5),
        "in/twice.bin": bytes(2 * MIB),
    }
    make_files(files | {"in/.hidden": b"h", "in/.git/d.txt": b"h"})
    collection = ok(http.post("/collections", json={"name": "All"}))["collection"]["id"]
    ran = run("in", "in/a.png", "--json", "--collection", collection, "--hide", "--part-size", "1", "--jobs", "3")
    assert (ran.status, ran.err) == (0, "")
    assert {line["path"] for line in ran.lines} == set(files)
    assert {tuple(line) for line in ran.lines} == {("path", "uploadId", "assetId", "modelId", "status", "error")}
    for line in ran.lines:
        assert (line["status"], line["error"], line["modelId"]) == ("imported", None, None)
        asset = ok(http.get(f"/assets/{line['assetId']}"))["asset"]
        data = files[line["path"]]
        assert (asset["name"], asset["properties"]["size"]) == (Path(line["path"]).name, len(data))
        assert (asset["collectionIds"], asset["isHidden"], asset["status"]) == ([collection], True, "success")
        assert httpx.get(asset["url"]).content == data
        assert ok(http.get(f"/uploads/{line['uploadId']}"))["upload"]["entityId"] == asset["id"]
    assert ok(http.get(f"/collections/{collection}"))["collection"]["assetCount"] == len(files)
    assert notes(tmp_path) == []


def test_in_a_pipe_it_prints_what_was_made_and_nothing_else(http: httpx.Client) -> None:
    make_files({"a.png": make_png(41, 30)})
    parent = run("a.png").out.split("\t")[0]
    make_files({"b.png": make_png(42, 30)})
    ran = run("b.png", "--parent", parent)
    id, path = ran.out.removesuffix("\n").split("\t")
    assert (ran.status, path, ran.err) == (0, "b.png", "")
    assert ok(http.get(f"/assets/{id}"))["asset"]["metadata"]["parentId"] == parent


def test_models(http: httpx.Client) -> None:
    """They join collections too; what is for assets alone is of no account."""
    header = b'{"lora_unet_a.alpha":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}'
    make_files({"in/soft.safetensors": len(header).to_bytes(8, "little") + header + bytes(2), "in/a.txt": b"a"})
    collection = ok(http.post("/collections", json={"name": "Both"}))["collection"]["id"]
    ran = run("in", "--json", "--collection", collection, "--hide")
    asset, model = sorted(ran.lines, key=lambda line: str(line["path"]))
    assert (ran.status, asset["modelId"], model["assetId"]) == (0, None, None)
    found = ok(http.get(f"/models/{model['modelId']}"))["model"]
    assert (found["id"], found["collectionIds"]) == (model["modelId"], [collection])
    counts = ok(http.get(f"/collections/{collection}"))["collection"]
    assert (counts["assetCount"], counts["modelCount"]) == (1, 1)


def test_on_a_terminal_it_shows_how_far_it_is() -> None:
    make_files({"a.bin": os.urandom(2 * MIB)})
    command = f"{sys.executable} -m pinakes upload a.bin"
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert "of 1 files" in done.stdout
    assert "2.0/2.0 MiB" in done.stdout
    assert "Imported 1 of 1 files, 2.0 MiB" in done.stdout


def test_what_fails_is_told_and_the_others_go_through(http: httpx.Client, tmp_path: Path) -> None:
    make_files({"in/a.png": b"no picture", "in/b.txt": b"words of b", "in/empty": b"", "in/z.txt": b"words of z"})
    Path("in/gone").symlink_to("nowhere")
    ran = run("in", "missing.png", "--json")
    assert (ran.status, ran.err) == (1, "")
    errors = {line["path"]: line["error"] for line in ran.lines}
    assert errors.pop("in/a.png").startswith("file: the name says PNG but the bytes are not")
    assert errors == {
        "in/b.txt": None,
        "in/z.txt": None,
        "in/empty": "it is empty.",
        "in/gone": "there is no such file.",
        "missing.png": "there is no such file.",
    }
    made = {line["assetId"] for line in ran.lines} - {None}
    again = run("in")  # what was imported is not sent again as long as something has to be
    assert again.status == 1
    assert {line.split("\t")[0] for line in again.out.splitlines()} == made
    assert "pinakes: in/empty: it is empty.\n" in again.err
    Path("in/a.png").unlink()
    Path("in/empty").unlink()
    Path("in/gone").unlink()
    assert run("in").status == 0
    assert [asset["id"] for asset in walk(http, "assets") if asset["name"] in ("b.txt", "z.txt")] == sorted(made)[::-1]
    assert notes(tmp_path) == []


def test_only_missing_parts_are_sent_after_the_command_was_killed(http: httpx.Client, server: Server) -> None:
    data = os.urandom(60 * MIB + 1)
    make_files({"big.bin": data})
    args = ("big.bin", "--part-size", "1", "--jobs", "2", "--json")
    before = stored_parts(server)
    process = begin(*args)
    wait_for(lambda: stored_parts(server) >= before + 8)
    process.kill()
    assert end(process).out == ""
    there = stored_parts(server) - before
    assert 8 <= there < 61
    ran = end(begin(*args))
    assert ran.status == 0, ran.err
    assert stored_parts(server) - before == 61
    (line,) = ran.lines
    assert httpx.get(ok(http.get(f"/assets/{line['assetId']}"))["asset"]["url"]).content == data
    before = stored_parts(server)
    assert run("big.bin", "--part-size", "16").status == 0  # all is done, so this is another upload
    assert stored_parts(server) - before == 4


def test_parts_that_changed_on_the_server_are_sent_again(http: httpx.Client, server: Server, tmp_path: Path) -> None:
    """And one that somebody else has put there."""
    data = os.urandom(3 * MIB)
    make_files({"a.bin": data})
    new = {"fileName": "a.bin", "fileSize": len(data), "kind": "asset", "parts": 3}
    upload = ok(http.post("/uploads", json=new))["upload"]
    for part, piece in zip(upload["parts"], (data[:MIB], bytes(MIB)), strict=False):
        ok(httpx.put(part["url"], content=piece))
    process = begin("a.bin", "--part-size", "1")
    wait_for(lambda: (tmp_path / "state").exists() and bool(notes(tmp_path)))
    process.kill()
    end(process)
    (note,) = notes(tmp_path)
    note.write_text(json.dumps({"uploadId": upload["id"], "partSize": MIB}))
    before = stored_parts(server)
    ran = run("a.bin", "--json")
    assert (ran.status, ran.lines[0]["uploadId"], stored_parts(server) - before) == (0, upload["id"], 2)
    assert httpx.get(ok(http.get(f"/assets/{ran.lines[0]['assetId']}"))["asset"]["url"]).content == data


def test_links_to_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent MD5, which every store of parts knows."""
    place = make_place(tmp_path)
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", place.key_id)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", place.secret)
    data = os.urandom(3 * MIB)
    make_files({"a.bin": data})
    port = str(free_port())
    with serving(place, "--port", port, public_url=f"http://localhost:{port}", access_log="false") as server:
        ran = run("a.bin", "--url", f"http://127.0.0.1:{port}", "--part-size", "1", "--json")
        assert (ran.status, stored_parts(server)) == (0, 3)
        with server.client() as client:
            url = ok(client.get(f"/assets/{ran.lines[0]['assetId']}"))["asset"]["url"]
        assert url.startswith("http://localhost:")
        assert httpx.get(url).content == data


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_ctrl_c_says_that_it_can_go_on(server: Server, tmp_path: Path) -> None:
    make_files({"big.bin": os.urandom(60 * MIB)})
    args = ("big.bin", "--part-size", "1", "--jobs", "1")
    before = stored_parts(server)
    process = begin(*args)
    wait_for(lambda: stored_parts(server) >= before + 4)
    process.send_signal(signal.SIGINT)
    ran = end(process)
    assert (ran.status, ran.out) == (130, "")
    assert ran.err == "pinakes: Interrupted; the same command goes on from here.\n"
    assert len(notes(tmp_path)) == 1
    ran = run("big.bin", "--part-size", "2")  # the size of the parts is that of the upload
    assert (ran.status, stored_parts(server) - before) == (0, 60)


def test_a_server_that_is_killed_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_place(tmp_path)
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", place.key_id)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", place.secret)
    data = os.urandom(40 * MIB)
    make_files({"big.bin": data})
    with serving(place, access_log="false") as first:
        port = first.url.rpartition(":")[2]
        process = begin("big.bin", "--part-size", "1", "--jobs", "2", "--json", "--url", first.url)
        wait_for(lambda: stored_parts(first) >= 4)
    with serving(place, "--port", port, access_log="false") as second:
        ran = end(process)
        assert ran.status == 0, ran.err
        with second.client() as client:
            asset = ok(client.get(f"/assets/{ran.lines[0]['assetId']}"))["asset"]
        assert hashlib.sha256(httpx.get(asset["url"]).content).digest() == hashlib.sha256(data).digest()


def test_a_server_that_stays_away_is_told_with_what_can_be_done(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinakes.cli.sending._WAITS_S", (0.1, 0.1))
    place: Place = make_place(tmp_path)
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", place.key_id)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", place.secret)
    with Path("big.bin").open("wb") as file:
        file.truncate(400 * MIB)
    away = start(place, access_log="false")
    with subprocess.Popen([sys.executable, "-c", KILLER, str(away.process.pid), str(place.data)]):
        ran = run("big.bin", "--part-size", "1", "--jobs", "1", "--url", f"{away.url}/v1/")
    away.kill()
    assert (ran.status, ran.out) == (2, "")
    assert re.fullmatch(
        rf"pinakes: .*{re.escape(away.url.split('//')[1].split(':')[0])}.* does not answer any more.*\n", ran.err
    )
    assert ran.err.count("\n") == 1
    assert server.process.poll() is None


KILLER = """
import os, pathlib, signal, sys, time
while sum(1 for _ in pathlib.Path(sys.argv[2], "blobs/uploads").rglob("*-*")) < 3:
    time.sleep(0.01)
os.kill(int(sys.argv[1]), signal.SIGKILL)
"""


def test_what_cannot_be_right_is_told_before_anything_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files({"a.txt": b"a"})
    begun = time.monotonic()
    for args, status, said in (
        (("a.txt", "--url", "http://127.0.0.1:1/v1"), 2, "There is no server at http://127.0.0.1:1/v1: "),
        (("a.txt", "--url", "127.0.0.1:8420"), 2, "There is no server at 127.0.0.1:8420: "),
        (("a.txt", "--key", "key_wrong"), 4, "The API key or secret is wrong"),
        (("a.txt", "--collection", "col_x"), 3, "There is no collection 'col_x'"),
        (("a.txt", "--kind", "song"), 2, "--kind: expected one of 3d asset"),
        ((".",), 0, ""),
        (("..", "--jobs", "0"), 2, "Usage"),
    ):
        ran = run(*args)
        assert ran.status == status, ran.err
        assert said in ran.err
        assert ran.err.count("\n") <= 1 or said == "Usage"
    assert time.monotonic() - begun < PATIENCE_S
    Path("empty").mkdir()
    assert "There are no files to send" in run("empty").err
    monkeypatch.delenv("SCENARIO_SDK_API_SECRET")
    assert "SCENARIO_SDK_API_SECRET" in run("a.txt").err
    monkeypatch.delenv("SCENARIO_SDK_API_KEY")
    assert (run("a.txt").status, "SCENARIO_SDK_API_KEY" in run("a.txt").err) == (4, True)
    assert server.process.poll() is None


def test_a_reader_may_not(server: Server, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "reads", "role": "reader"}
    key = ok(http.post(f"/projects/{server.place.project_id}/api-keys", json=body))
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", key["id"])
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", key["secret"])
    make_files({"a.txt": b"a"})
    ran = run("a.txt")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("pinakes: a.txt: ")


def test_a_kind_that_the_file_is_not() -> None:
    make_files({"a.png": make_png(5, 6)})
    ran = run("a.png", "--kind", "video", "--json")
    assert (ran.status, ran.lines[0]["error"]) == (1, "kind: the file is image/png, which is no video")


def test_a_name_that_is_no_text(http: httpx.Client) -> None:
    Path(os.fsdecode(b"bad-\xff.txt")).write_bytes(b"bytes of a name that is no text")
    ran = run(os.fsdecode(b"bad-\xff.txt"), "--json")
    assert (ran.status, ran.lines[0]["path"]) == (0, "bad-\ufffd.txt")
    assert ok(http.get(f"/assets/{ran.lines[0]['assetId']}"))["asset"]["name"] == "bad-\ufffd.txt"
