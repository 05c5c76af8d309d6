"""The programs in docs/uploading.md do what the page says, pasted as they are."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.append(str(Path(__file__).parents[1] / "resilience"))

from servers import Server, make_place, ok, serving

PAGE = (Path(__file__).parents[2] / "docs/uploading.md").read_text()
PROGRAMS = {"python": [sys.executable, "-c"], "bash": ["bash", "-c"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(make_place(tmp_path_factory.mktemp("uploading"))) as server:
        yield server


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_programs_work(server: Server, tmp_path: Path, language: str) -> None:
    data = os.urandom((32 << 20) + 7)
    (tmp_path / "large.bin").write_bytes(data)
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    given = {
        "SCENARIO_BASE_URL": f"{server.url}/v1",
        "SCENARIO_SDK_API_KEY": server.place.key_id,
        "SCENARIO_SDK_API_SECRET": server.place.secret,
    }
    done = subprocess.run(
        [*PROGRAMS[language], program], cwd=tmp_path, env=os.environ | given, capture_output=True, text=True
    )
    status, _, id = done.stdout.strip().partition(" ")
    assert (done.stderr, status) == ("", "imported")
    with server.client() as client:
        asset = ok(client.get(f"/assets/{id}"))["asset"]
    assert httpx.get(asset["url"]).content == data
