"""A server in a process of its own, and talking to it in plain HTTP."""

import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pinakes.api.http import STATUS

SECONDS = 30
ERROR_TYPES = {
    "status": str,
    "statusCode": int,
    "code": str,
    "name": str,
    "error": str,
    "reason": str,
    "message": str,
    "details": dict,
    "traceId": str,
}


class Key(NamedTuple):
    """Who asks: an API key and the project it belongs to."""

    id: str
    secret: str
    project_id: str

    @property
    def authorization(self) -> str:
        return basic(f"{self.id}:{self.secret}")


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server(NamedTuple):
    """Where it listens, and the admin keys of two projects that know nothing of each other."""

    host: str
    port: int
    ours: Key
    theirs: Key

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def send(
        self,
        method: str,
        path: str,
        key: Key | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. A body of bytes is sent as it is, any other as JSON."""
        sent = {} if key is None else {"Authorization": key.authorization}
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, key: Key | None = None) -> Any:
        """What a call that must succeed answers, by default for the admin of the first project."""
        answer = self.send(method, f"/v1{path}", key or self.ours, body)
        assert answer.status == 200, answer
        return answer.json

    def new_key(self, role: str) -> Key:
        """A key of the first project."""
        made = self.ask("POST", f"/projects/{self.ours.project_id}/api-keys", {"name": role, "role": role})
        return Key(made["id"], made["secret"], self.ours.project_id)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Server]:
    """A server of a new library in the folder, stopped at the end. It may not have logged a bug."""
    script = Path(__file__).with_name("serve_contract.py")
    log = folder / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, script, folder / "data", json.dumps(settings)], stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            told = json.loads(line)
            where = urlsplit(told["url"])
            yield Server(str(where.hostname), int(where.port or 0), *(Key(*key) for key in told["keys"]))
        finally:
            process.terminate()
            status = process.wait(SECONDS)
            process.stdout.close()
    assert status in (0, -15), log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def assert_error(answer: Answer, code: str) -> dict[str, Any]:
    """The answer is this error, in the one shape that errors have; its body."""
    assert (answer.status, answer.headers["content-type"]) == (STATUS[code][0], "application/json"), answer  # type: ignore[index]
    error: dict[str, Any] = answer.json
    assert {name: type(value) for name, value in error.items()} == ERROR_TYPES
    told = (error["status"], error["statusCode"], error["code"], error["name"], error["error"])
    assert told == ("error", answer.status, code, *STATUS[code][1:])  # type: ignore[index]
    assert error["reason"] == error["message"] != ""
    assert error["traceId"] == answer.headers["x-trace-id"] != ""
    return error
