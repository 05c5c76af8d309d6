"""The services that are measured, each a process on a core of its own, prepared alike.

`pinakes` is this package. `bare` sends what pinakes sent, and does nothing else; `static file` sends files. The others
are in `peers/`.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench import usage
from bench.operations import OPERATIONS
from pinakes import access, projects
from pinakes.config import Config
from pinakes.library import open_library

Key = dict[str, Any]
BENCH = Path(__file__).parent
SERVER_CORE = "0"
COLLECTIONS, ASSETS = 1_000, 10_000
UVICORN = ["-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]


@dataclass
class Service:
    """A service, how it is started (`{port}` is filled in), who asks, what it can do, and how that is sent.

    `script` is the Lua that makes requests, for `wrk.lua`; `root` is the path below which they are. One that is told
    the operation (`is_told`) is started for each. `log_file` is the write-ahead log of SQLite. With `uploads`, other
    clients upload large files to it while it is measured, and note there how many bytes they have sent. `may_fail`:
    the share of requests that may fail without an end of the run.
    """

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    cwd: Path = BENCH.parent
    key: Key = field(default_factory=dict)
    authorization: str = ""
    script: Path = BENCH / "operations.lua"
    root: str = "/v1"
    can: frozenset[str] = frozenset(OPERATIONS)
    is_told: bool = False
    tells_statements: bool = False
    may_fail: float = 0.0
    log_file: Path | None = None
    uploads: Path | None = None
    config: Config = field(default_factory=Config)
    port: int = 0
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def known(self) -> Path:
        return self.folder / "known"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def cpu_seconds(self) -> float:
        """CPU time of the running process and of those that it has started so far, in user and system mode."""
        return sum(usage.cpu_s(self.pid))

    def memory_mb(self) -> float:
        """Memory of the running process, without that of its children."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000

    def statements(self) -> float | None:
        """SQL statements run so far, where the service tells."""
        if not self.tells_statements:
            return None
        text = httpx.get(f"{self.url}/metrics").text
        return float(text.partition("\npinakes_sql_statements ")[2].partition("\n")[0])

    def uploaded_mb(self) -> float | None:
        """MB that were uploaded beside so far, where that is done."""
        return None if self.uploads is None else int(self.uploads.read_text()) / 1e6

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}{self.root}", headers={"Authorization": self.authorization}, timeout=60
        )

    @contextmanager
    def running(self, core: str | None = SERVER_CORE, **told: str) -> Iterator[None]:
        """The service as a process on a core, or on all of them; its output goes to `log`. `told` is environment."""
        self.port = _free_port()
        pinned = [] if core is None else ["taskset", "-c", core]
        command = [*pinned, *(part.format(port=self.port) for part in self.command)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.cwd, env=os.environ | self.environment | told, stdout=log, stderr=subprocess.STDOUT
            )
        self.pid = process.pid
        try:
            self._wait(process)
            yield
        finally:
            process.terminate()
            process.wait(30)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.005)
        sys.exit(f"{self.name} did not start:\n{self.log.read_text()}")


def pinakes(
    folder: Path, database_url: str = "", workers: int = 1, make: Callable[[Config], Key] | None = None
) -> Service:
    """A new library, which `make` makes for a key of its own, or the one that is there."""
    program = str(Path(sys.executable).parent / "pinakes")
    config = Config(data=str(folder / "data"), database_url=database_url, workers=workers)
    kept = folder / "key.json"
    if not kept.exists():
        kept.write_text(json.dumps((make or make_key)(config)))
    quiet = {"PINAKES_ACCESS_LOG": "false", "PINAKES_LOG_LEVEL": "warning", "PINAKES_DATABASE_URL": database_url}
    command = [program, "serve", "--data", config.data, "--port", "{port}", "--workers", str(workers)]
    key = json.loads(kept.read_text())
    who = basic(key["apiKey"], key["apiSecret"])
    return Service(
        "pinakes",
        command,
        folder,
        quiet,
        BENCH.parent,
        key,
        who,
        tells_statements=True,
        log_file=None if config.is_postgres else Path(f"{config.database_path}-wal"),
        config=config,
    )


def basic(user: str, password: str) -> str:
    """The header of Basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def make_key(config: Config) -> Key:
    """A library with nothing but a project and an admin's key."""
    with closing(open_library(config)) as library:
        project = projects.create_first(library, "Benchmark")
        made = access.create_first_key(library, project, access.NewApiKey("Benchmark", "admin"))
    return {"apiKey": made.id, "apiSecret": made.secret, "projectId": project}


def bare(folder: Path, like: Service, answers: dict[str, tuple[Any, bytes]]) -> Service:
    """Answers recorded from `like`, sent again."""
    recorded = folder / "answers.json"
    plain = {name: (headers, base64.b64encode(body).decode()) for name, (headers, body) in answers.items()}
    recorded.write_text(json.dumps(plain))
    (folder / "known").write_text(like.known.read_text())
    command = [sys.executable, "-m", "bench.serve", "bench.bare", "{port}"]
    environment = {"ANSWERS": str(recorded)}
    return Service(
        "bare", command, folder, environment, authorization=like.authorization, can=frozenset(answers), is_told=True
    )


def querying(folder: Path, like: Service, recorded: Service) -> Service:
    """The statement and JSON of a read without the rest, on the database of `like`."""
    (folder / "known").write_text(like.known.read_text())
    environment = recorded.environment | {"SQL": str(like.config.database_path), "PROJECT": like.key["projectId"]}
    can = frozenset({"get", "list"})
    return Service(
        "bare SQL", recorded.command, folder, environment, authorization=like.authorization, can=can, is_told=True
    )


def static(folder: Path, thumbnails: list[bytes]) -> Service:
    """The thumbnails of another as files."""
    names = [f"{number}.webp" for number in range(len(thumbnails))]
    files = folder / "files"
    files.mkdir()
    for name, data in zip(names, thumbnails, strict=True):
        (files / name).write_bytes(data)
    (folder / "known").write_text(f"thumbnails {' '.join(f'/{name}' for name in names)}\n")
    command = [sys.executable, "-m", "bench.serve", "bench.static", "{port}"]
    return Service("static file", command, folder, {"FILES": str(files)}, can=frozenset({"thumbnail"}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
