"""Hundreds of damaged and hostile files through a real server, eight at a time: what it says, and what it keeps."""

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from clips import clip
from conftest import make_png
from hostile import Case, cases
from shapes import document, drawing, mesh

from api.clients import open_http
from api.conftest import Server, StartServer

pytestmark = pytest.mark.engine("sqlite")  # what decoders find is stored alike on every engine

SENDERS = 8
TIME_LIMIT_S = 8
DECODERS = 2
LONGEST_S = TIME_LIMIT_S * SENDERS / DECODERS + 5
"""All others may be before it, and take as long as they can; and a decoder has to be started."""
MEMORY = 1 << 30
MOST_GROWTH_MB = 30
POSTED_BYTES = 200_000


class Outcome(NamedTuple):
    """What became of a file: what it is now, if it is, or why it is not."""

    case: Case
    status: str
    entity_id: str | None
    reason: str
    seconds: float


class Sender:
    """Sends files to one project. `failures` are the answers that no client can be blamed for."""

    def __init__(self, http: httpx.Client, anyone: httpx.Client) -> None:
        self.http = http
        self.anyone = anyone
        self.failures: list[str] = []
        http.event_hooks["response"] = anyone.event_hooks["response"] = [self._look]

    def _look(self, answer: httpx.Response) -> None:
        if answer.status_code >= 500:
            self.failures.append(f"{answer.status_code} {answer.request.method} {answer.request.url}")

    def in_parts(self, case: Case) -> Outcome:
        data = case.make()
        count = min(3, len(data))
        new = {"fileName": case.name, "fileSize": len(data), "kind": "asset", "parts": count}
        upload = self._ok(self.http.post("/uploads", json=new))["upload"]
        ends = [len(data) * number // count for number in range(count + 1)]
        for part, start, end in zip(upload["parts"], ends, ends[1:], strict=False):
            self._ok(self.anyone.put(part["url"], content=data[start:end]))
        begun = time.monotonic()
        self._ok(self.http.post(f"/uploads/{upload['id']}/action", json={"action": "complete"}))
        while (upload := self._ok(self.http.get(f"/uploads/{upload['id']}"))["upload"])["status"] == "validating":
            time.sleep(0.1)
        seconds = time.monotonic() - begun
        return Outcome(case, upload["status"], upload.get("entityId"), upload.get("errorMessage", ""), seconds)

    def posted(self, case: Case) -> Outcome:
        """With `POST /assets`: pictures are refused at once, of other files an asset says what is wrong with it."""
        body = {"name": case.name, "image": base64.b64encode(case.make()).decode()}
        begun = time.monotonic()
        answer = self.http.post("/assets", json=body)
        if answer.status_code == 400:
            return Outcome(case, "failed", None, answer.json()["reason"], time.monotonic() - begun)
        asset = self._ok(answer)["asset"]
        while asset["status"] == "pending":
            time.sleep(0.1)
            asset = self._ok(self.http.get(f"/assets/{asset['id']}"))["asset"]
        status = "imported" if asset["status"] == "success" else "failed"
        return Outcome(case, status, asset["id"], asset.get("errorMessage", ""), time.monotonic() - begun)

    def _ok(self, answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None


def descendants(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = path.read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # a thread that ended while we looked
            found = []
        for child in found:
            yield int(child)
            yield from descendants(int(child))


def rss(pid: int) -> int:
    """Bytes; 0 for a process that is over."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Peaks:
    """The most memory that the server had, and each of its children."""

    server = 0
    child = 0


@contextmanager
def watched(pid: int) -> Iterator[Peaks]:
    peaks, is_over = Peaks(), threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            peaks.server = max(peaks.server, rss(pid))
            peaks.child = max(peaks.child, *map(rss, descendants(pid)), 0)

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        try:
            yield peaks
        finally:
            is_over.set()
            watching.result()


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Server:
    """With little time for each file."""
    return start_server(decode_time_limit_s=TIME_LIMIT_S, decode_processes=DECODERS, decode_memory_bytes=MEMORY)


@pytest.fixture
def sender(server: Server) -> Iterator[Sender]:
    with open_http(server.url, server.admin) as http, open_http(server.url) as anyone:
        yield Sender(http, anyone)


GOOD = [
    Case("a picture", "a.png", lambda: make_png(64, 48), None),
    Case("a film", "a.mp4", lambda: clip("mp4"), None),
    Case("a song", "a.mp3", lambda: clip("mp3"), None),
    Case("a mesh", "a.glb", lambda: mesh("glb"), None),
    Case("a drawing", "a.svg", lambda: drawing('<rect width="9" height="9"/>'), None),
    Case("a document", "a.pdf", document, None),
]


def problem(outcome: Outcome) -> str | None:
    """What is not as it should be."""
    case, status, _, reason, seconds = outcome
    if seconds > LONGEST_S:
        return f"{case.label}: took {seconds:.1f} s"
    is_right = status == "imported" if case.reason is None else status == "failed" and re.search(case.reason, reason)
    return None if is_right else f"{case.label}: {status} {reason!r}, not {case.reason}"


def ids(http: httpx.Client) -> set[str]:
    """Of all assets there are."""
    found, query = set(), {"pageSize": "100"}
    while True:
        page = http.get("/assets", params=query).json()
        found |= {asset["id"] for asset in page["assets"]}
        if "nextPaginationToken" not in page:
            return found
        query["paginationToken"] = page["nextPaginationToken"]


def check_sound(server: Server) -> None:
    assert [path for path in (server.data / "blobs" / "uploads").rglob("*") if path.is_file()] == []
    command = [sys.executable, "-m", "pinakes", "check", "--json", "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr


@pytest.mark.timeout(400)
def test_hostile_files_end_in_an_answer_and_leave_nothing(server: Server, sender: Sender) -> None:
    with ThreadPoolExecutor(SENDERS) as threads:
        outcomes = list(threads.map(sender.in_parts, GOOD * SENDERS))
        before, begun = rss(server.pid), time.monotonic()
        with watched(server.pid) as peaks:
            wanted = list(cases())
            outcomes += threads.map(sender.in_parts, wanted)
            small = [case for case in wanted if len(case.make()) < POSTED_BYTES]
            outcomes += threads.map(sender.posted, small[::4])
        after, seconds = rss(server.pid), time.monotonic() - begun
        outcomes += threads.map(sender.in_parts, GOOD * SENDERS)
    print(
        f"{len(wanted)} files, {len(outcomes)} times in {seconds:.0f} s, the longest "
        f"{max(outcome.seconds for outcome in outcomes):.1f} s; server {before >> 20} to {after >> 20} MiB, "
        f"at most {peaks.server >> 20}; a child at most {peaks.child >> 20} MiB"
    )
    problems = [found for outcome in outcomes if (found := problem(outcome))]
    assert not problems, "\n".join(problems)
    assert sender.failures == []
    assert len(wanted) >= 200
    assert ids(sender.http) == {outcome.entity_id for outcome in outcomes if outcome.entity_id}
    assert after - before < MOST_GROWTH_MB << 20
    assert peaks.child < MEMORY
    check_sound(server)


NAMES = {
    "up and out": "../../../../../../tmp/escaped.png",
    "up and out of Windows": "..\\..\\..\\escaped.png",
    "from the root": "/tmp/escaped.png",
    "of a device": "NUL.png",
    "hidden": ".htaccess",
    "two dots": "..",
    "turned around": "photo\u202egnp.exe",
    "another header": "a\r\nSet-Cookie: a=b\r\n\r\n<script>.png",
    "quotes": 'a";filename="b.html',
    "a page": "<img src=x onerror=alert(1)>.png",
    "a template": "{{7*7}}${7*7}%s%n.png",
    "SQL": "'; DROP TABLE asset; --.png",
    "not of this plane": "\U0010ffff\ufeff\u200b.png",
    "1,024 of four bytes": "\U0001f3a8" * 1020 + ".png",
}
REFUSED = {
    "nothing": '""',
    "white space": '" \\t\\n"',
    "a NUL": '"a\\u0000.png"',
    "4 kB": '"' + "a" * 4096 + '.png"',
    "half a character": '"\\ud83c.png"',
    "not UTF-8": '"\xff.png"',
}
"""As they stand in JSON, of Latin-1."""


@pytest.mark.parametrize("which", NAMES)
def test_a_hostile_name_is_a_name(server: Server, sender: Sender, which: str) -> None:
    """It is kept as it is, leads nowhere, and is no part of any header."""
    name, around = NAMES[which], {path.name for path in server.data.parent.iterdir()}
    case = Case(which, name, make_png, None)
    for outcome in (sender.in_parts(case), sender.posted(case)):
        assert problem(outcome) is None
        asset = sender.http.get(f"/assets/{outcome.entity_id}").json()["asset"]
        assert (asset["name"], asset["mimeType"]) == (name, "image/png")
        for url in (asset["url"], asset["thumbnail"]["url"]):
            answer = sender.anyone.get(url)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
            form = r"inline; filename=\"[A-Za-z0-9._ -]*\"; filename\*=UTF-8''[A-Za-z0-9._~%-]*"
            assert re.fullmatch(form, answer.headers["content-disposition"])
        assert sender.anyone.get(asset["url"]).content == make_png()
    assert {path.name for path in server.data.parent.iterdir()} == around
    assert not Path("/tmp/escaped.png").exists()
    assert sender.failures == []
    check_sound(server)


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_no_name_is_refused(sender: Sender, which: str) -> None:
    before, is_text = ids(sender.http), which not in ("half a character", "not UTF-8")
    image = base64.b64encode(make_png()).decode()
    for path, field, more in (
        ("/uploads", "fileName", '"fileSize": 70, "kind": "image", "parts": 1'),
        ("/assets", "name", f'"image": "{image}"'),
    ):
        body = f'{{"{field}": {REFUSED[which]}, {more}}}'.encode("latin-1")
        answer = sender.http.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
        assert answer.json()["details"]["field"] == (field if is_text else "body")
    assert ids(sender.http) == before
    assert sender.failures == []


def test_an_empty_file_is_refused(sender: Sender) -> None:
    new = {"fileName": "a.png", "fileSize": 0, "kind": "image", "parts": 1}
    for path, body in (("/uploads", new), ("/assets", {"name": "a.png", "image": ""})):
        answer = sender.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
