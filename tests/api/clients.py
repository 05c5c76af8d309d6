"""Clients of a server: the official SDK, sync and async alike, and curl."""

import asyncio
import inspect
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import scenario_sdk


class Key(NamedTuple):
    """An API key of a project."""

    id: str
    secret: str
    project_id: str

    @property
    def auth(self) -> tuple[str, str]:
        return self.id, self.secret


def open_http(url: str, key: Key | None = None) -> httpx.Client:
    """A plain client, without credentials unless given. There is no TLS here, and loading its certificates is slow."""
    return httpx.Client(base_url=f"{url}/v1", auth=key and key.auth, timeout=60, verify=False)


class Sdk:
    """The SDK's client, sync or async, called in one way: an answer that has to be awaited is awaited.

    `called` names every call made, such as `collections.assets.add`.
    """

    def __init__(self, target: Any, runner: asyncio.Runner, called: set[str], name: str = "") -> None:
        self._target = target
        self._runner = runner
        self._name = name
        self.called = called

    def __getattr__(self, name: str) -> "Sdk":
        path = f"{self._name}.{name}" if self._name else name
        return Sdk(getattr(self._target, name), self._runner, self.called, path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The answer; of a list its first page."""
        self.called.add(self._name)
        answer = self._target(*args, **kwargs)
        return self._runner.run(_one(answer)) if inspect.isawaitable(answer) else answer

    def walk(self, **kwargs: Any) -> list[Any]:
        """All of a list, page after page as the client itself asks for them."""
        self.called.add(self._name)
        answer = self._target(**kwargs)
        return self._runner.run(_all(answer)) if hasattr(answer, "__aiter__") else list(answer)


async def _one(answer: Any) -> Any:
    return await answer


async def _all(pages: Any) -> list[Any]:
    return [item async for item in pages]


@contextmanager
def open_sdk(kind: str, url: str, key: Key | None, **options: Any) -> Iterator[Sdk]:
    """A `sync` or `async` client that checks every answer against its own types."""
    make: Any = scenario_sdk.Scenario if kind == "sync" else scenario_sdk.AsyncScenario
    http: Any = scenario_sdk.DefaultHttpxClient if kind == "sync" else scenario_sdk.DefaultAsyncHttpxClient
    options = {"base_url": f"{url}/v1", "max_retries": 0, "_strict_response_validation": True, **options}
    with asyncio.Runner() as runner:
        id, secret = key.auth if key else (None, None)
        client = make(api_key=id, api_secret=secret, http_client=http(verify=False), **options)
        sdk = Sdk(client, runner, set())
        try:
            yield sdk
        finally:
            sdk.close()


class Answer(NamedTuple):
    """What curl got. Header names are lower case."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Curl:
    """Runs curl, which sends exactly what it is told to. Redirects are not followed."""

    def __init__(self, url: str, key: Key) -> None:
        self.url = url
        self.key = key

    def __call__(self, path: str, *options: str, data: bytes | None = None, user: str | None = None) -> Answer:
        """`user` "" sends no credentials. `data` is what curl reads on its standard input."""
        user = ":".join(self.key.auth) if user is None else user
        command = ["curl", "-sS", "-i", "--globoff", "--path-as-is", "--max-time", "30"]
        command += ["-u", user] if user else []
        done = subprocess.run([*command, *options, self.url + path], input=data or b"", capture_output=True)
        assert done.returncode == 0, done.stderr
        return _answer(done.stdout)


def _answer(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    if head.split()[1] == b"100":
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = httpx.Headers([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])
    return Answer(int(first.split()[1]), headers, body)
