"""A real S3 server for tests: SeaweedFS, which a wheel brings. Tests share one, each with a prefix of its own.

`AWS_ACCESS_KEY_ID` and the like are set for this process and those it starts, as they would be for a server.
"""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from obstore.store import S3Store

from pinakes.config import AwsKey
from pinakes.objects.presigned import Signer

KEY = AwsKey("AKIAPINAKESTESTS", "a/secret+that=nobody/may/see", "")
REGION = "eu-west-3"
START_LIMIT_S = 60
_PORTS = ("s3.port", "master.port", "volume.port", "filer.port")
_numbers = itertools.count(1)


class S3:
    """A server on 127.0.0.1 with one bucket. It may be ended and started again, with all that it holds."""

    bucket = "library"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pinakes-s3-"))
        _write_keys(self._folder / "keys.json")
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, prefix: str | None = None) -> str:
        """Where a library keeps its bytes, unlike any other unless a prefix is given."""
        place = f"{next(_numbers)}/a library" if prefix is None else prefix
        return f"s3://{self.bucket}/{quote(place)}?endpoint={self.endpoint}&region={REGION}"

    def sign(self, method: str, key: str, lifetime_s: int = 60) -> str:
        """A link to a key of the bucket."""
        config = {"endpoint": self.endpoint, "region": REGION, "access_key_id": KEY.id, "secret_access_key": KEY.secret}
        signer = Signer(S3Store(self.bucket, config=config, client_options={"allow_http": True}), KEY)  # type: ignore[arg-type]
        return signer.sign(method, key, int(time.time()), lifetime_s)

    def start(self) -> None:
        """On the port that it had before, if it had one."""
        for _ in range(5):
            ports = _free_ports(2 * len(_PORTS))
            self.port = self.port or ports[0]
            if self._try_to_start(dict(zip(_PORTS, [self.port, *ports[1:]], strict=False)), ports[len(_PORTS) :]):
                return
        raise AssertionError((self._folder / "log").read_text()[-4000:])

    def _try_to_start(self, ports: dict[str, int], more_ports: list[int]) -> bool:
        folder = self._folder
        options = [
            f"dir={folder} ip=127.0.0.1 ip.bind=127.0.0.1 filer=true s3=true",
            f"filer.localSocket={folder}/f s3.localSocket={folder}/s s3.config={folder}/keys.json s3.iam=false",
            "s3.autoCreateBucket=false s3.port.iceberg=0 s3.port.lance=0 master.telemetry=false",
            "master.volumeSizeLimitMB=1024 volume.max=64",
            *(f"{name}={port}" for name, port in ports.items()),
            *(f"{name}.grpc={port}" for name, port in zip(ports, more_ports, strict=True)),
        ]
        command = [str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server"]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(f"-{option}" for option in " ".join(options).split())],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        ends = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None and time.monotonic() < ends:
            if self._answers():
                return True
            time.sleep(0.1)
        self.stop()
        return False

    def _answers(self) -> bool:
        """Whether there is a bucket, and what is put into it comes out again."""
        try:
            is_made = httpx.put(self.sign("PUT", "")).status_code in (200, 409)
            return (
                is_made
                and httpx.put(self.sign("PUT", "answers"), content=b"yes").status_code == 200
                and httpx.get(self.sign("GET", "answers")).content == b"yes"
            )
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """At once, as if its machine had lost power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stall(self) -> None:
        """It takes connections, and answers nothing, until it goes on."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _write_keys(path: Path) -> None:
    credentials = [{"accessKey": KEY.id, "secretKey": KEY.secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    path.write_text(json.dumps({"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}))


def _free_ports(count: int) -> list[int]:
    """Ports below those that the system gives away, so that none is taken by a connection in between."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", random.randrange(12_000, 32_000)))
            except OSError:
                continue
            found.append(listener.getsockname()[1])
        return found


@pytest.fixture(scope="session")
def aws_environment() -> Iterator[None]:
    """The credentials of `S3`, where every process finds them."""
    given = {"AWS_ACCESS_KEY_ID": KEY.id, "AWS_SECRET_ACCESS_KEY": KEY.secret}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in given.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def s3(aws_environment: None) -> Iterator[S3]:  # noqa: ARG001
    """The server that tests share; whoever ends one starts one of their own."""
    server = S3()
    yield server
    server.remove()


@pytest.fixture
def own_s3(aws_environment: None) -> Iterator[S3]:  # noqa: ARG001
    """A server that the test may end."""
    server = S3()
    yield server
    server.remove()


@pytest.fixture
def blob_kind(request: pytest.FixtureRequest) -> str:
    """Where the library of a test keeps bytes: `local`, or `s3` for a test that asks for it."""
    return str(getattr(request, "param", "local"))


@pytest.fixture
def blob_url(request: pytest.FixtureRequest, blob_kind: str) -> str:
    """The setting for `blob_kind`."""
    if blob_kind == "local":
        return ""
    server: S3 = request.getfixturevalue("s3")
    return server.url()
