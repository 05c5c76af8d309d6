"""`python -m local`: one command for a complete set-up, which goes on with its data whatever ended it."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import make_png

from local.postgres import wait_until

ROOT = Path(__file__).parents[1]
PICTURE = make_png(31, 17)


@contextmanager
def running(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """The command, and what Pinakes said."""
    options = ["--port", "0", "--access-log", "false", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "--data", folder, "--", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert str(folder / "environment") in process.stdout.readline()
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def stop(process: "subprocess.Popen[str]") -> int:
    """As Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    return process.wait(60)


@pytest.mark.timeout(300)
def test_it_goes_on_where_it_was(server_folder: Path) -> None:
    folder = server_folder / "set-up"
    with running(folder) as (process, said):
        auth = (said["apiKey"], said["apiSecret"])
        with httpx.Client(base_url=f"{said['url']}/v1", auth=auth, timeout=60) as client:
            image = base64.b64encode(PICTURE).decode()
            asset = client.post("/assets", json={"name": "a.png", "image": image}).json()["asset"]
            assert client.get(asset["url"], auth=None).content == PICTURE
        wait_until(lambda: len(workers_of(process)) == 2, "the one that said so to end")
        everything = psutil.Process(process.pid).children(recursive=True)
        assert stop(process) == 0
        wait_until(lambda: not any(is_alive(one) for one in everything), "all servers to end")
    check(folder, auth, asset["id"])


def check(folder: Path, auth: tuple[str, str], id: str) -> None:
    """Start it again: what was there is there, and other commands find it. Then kill it, and once more."""
    for _ in range(2):
        with running(folder) as (process, said):
            assert list(said) == ["url"]
            asset = httpx.get(f"{said['url']}/v1/assets/{id}", auth=auth, timeout=60).json()["asset"]
            assert (answer := httpx.get(asset["url"])).content == PICTURE, answer.text
            found = subprocess.run(
                ["bash", "-c", f"source {folder}/environment; {sys.executable} -m pinakes check"],
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert found.returncode == 0, found.stdout + found.stderr
            everything = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            wait_until(lambda: not any(is_alive(one) for one in everything), "all servers to end")  # noqa: B023


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes of Pinakes below the one that watches them."""
    children = psutil.Process(process.pid).children()
    (parent,) = [one for one in children if {"pinakes", "serve"} <= words_of(one)]
    return [one for one in parent.children() if "serve" in words_of(one)]


def words_of(process: psutil.Process) -> set[str]:
    """Of its command; none when it has just ended."""
    try:
        return set(process.cmdline())
    except psutil.Error:
        return set()


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
