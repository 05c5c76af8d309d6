"""The tour of the README, taken for real.

`python tests/docs/tour.py` takes it and writes what it showed into the README, and its picture into docs/tour.svg.
"""

import code
import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"

_BLOCK = re.compile(r"```(console|python)\n(.*?)```(?:\n\n```text\n.*?```)?", re.DOTALL)
_TOUR = re.compile(r"(?<=\n## A tour of five minutes\n).*?(?=\n## )", re.DOTALL)
_KEY = re.compile(r"API key +(\S+)\n +API secret +(\S+)")
_START_S = 30.0


class Guide:
    """Takes steps in a folder, as someone with a shell and a Python prompt would. `taken` is what was seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here = f"127.0.0.1:{_free_port()}"
        self._environment = {**os.environ, "PYTHONWARNINGS": "", "NO_COLOR": "1"}
        self._server: subprocess.Popen[bytes] | None = None
        self.prompt = code.InteractiveConsole()
        self.taken: list[tuple[str, str, str]] = []
        (folder / ".venv").symlink_to(sys.prefix)

    def retell(self, readme: str) -> str:
        """The README with what its tour shows this time."""
        return _TOUR.sub(lambda tour: _BLOCK.sub(self._step, tour[0]), readme)

    def _step(self, block: re.Match[str]) -> str:
        language, text = block[1], block[2]
        if language == "python":
            shown = self._seen("python", text, self._paste(text))
            return f"```python\n{text}```" + (f"\n\n```text\n{shown}```" if shown else "")
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        shown = "".join(f"$ {command}\n{self._seen('console', command, self._run(command))}" for command in commands)
        return f"```console\n{shown}```"

    def _seen(self, language: str, text: str, output: str) -> str:
        output = output.replace(self._here, "127.0.0.1:8420")
        self.taken.append((language, text, output))
        return output

    def _paste(self, text: str) -> str:
        """Lines at the prompt, which is stricter about blank lines than a file is; what it prints, errors too."""
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), contextlib.chdir(self._folder):
            for line in [*text.replace("127.0.0.1:8420", self._here).splitlines(), ""]:
                self.prompt.push(line)
        return shown.getvalue()

    def _run(self, command: str) -> str:
        if command == "make serve":
            return self._serve()
        if command.startswith("export "):
            return ""  # what it would set, `_serve` has set to the real key
        command = command.replace("127.0.0.1:8420", self._here)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def _serve(self) -> str:
        """Start what `make serve` starts, on a port that is free."""
        told = self._folder / "told"
        with told.open("wb") as out, (self._folder / "log").open("wb") as log:
            port = self._here.rpartition(":")[2]
            self._server = subprocess.Popen(
                [self._folder / ".venv/bin/pinakes", "serve", "--port", port],
                cwd=self._folder, env=self._environment, stdout=out, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while (key := _KEY.search(told.read_text())) is None:
            assert self._server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.05)
        names = {"SCENARIO_SDK_API_KEY": key[1], "SCENARIO_SDK_API_SECRET": key[2]}
        where = {"SCENARIO_BASE_URL": f"http://{self._here}/v1", "XDG_STATE_HOME": str(self._folder / "state")}
        self._environment.update(names | where)
        os.environ.update(names)
        return told.read_text().rstrip("\n") + "\n"

    def leave(self) -> int | None:
        """Close the client and stop the server; its exit status."""
        if client := self.prompt.locals.get("client"):
            client.close()
        if self._server is None:
            return None
        self._server.terminate()
        return self._server.wait(timeout=30)


@contextlib.contextmanager
def guide(folder: Path) -> Iterator[Guide]:
    """A guide, and the environment as it was afterwards."""
    before = dict(os.environ)
    one = Guide(folder)
    try:
        yield one
    finally:
        one.leave()
        os.environ.clear()
        os.environ.update(before)


def same_each_time(text: str) -> str:
    """Without what differs from run to run: ids, secrets, links, times and sizes."""
    for pattern, name in (
        (r"\b(col|asset|model|key|proj)_[0-9A-Za-z]{22}\b", r"\1_…"),
        (r"(API secret  |_SECRET=)[\w-]{43}", r"\1…"),
        (r"expires=\d+&signature=[0-9a-f]+", "expires=…&signature=…"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "…"),
        (r"(\] )[\w-]{14,}\n", r"\1…\n"),
        (r"[\d.]+ KiB", "… KiB"),
    ):
        text = re.sub(pattern, name, text)
    return text


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    import picture  # which needs this module

    with tempfile.TemporaryDirectory() as folder, guide(Path(folder)) as one:
        README.write_text(one.retell(README.read_text()))
        picture.draw(one, ROOT / "docs" / "tour.svg")


if __name__ == "__main__":
    main()
