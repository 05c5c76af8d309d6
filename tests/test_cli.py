"""The command line: what it prints, how it exits, and that docs/cli.md tells all of it."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import apsw
import httpx
import pytest
import typer
from conftest import OpenDatabase, make_png, new_actor
from scenario_sdk import Scenario
from typer.testing import CliRunner

from pinakes import __version__, assets, collections
from pinakes.access import Actor
from pinakes.asset_types import Bytes
from pinakes.assets import NewAsset
from pinakes.cli import EXITS, app, output
from pinakes.collections import NewCollection
from pinakes.config import SETTINGS, Config
from pinakes.errors import CODES
from pinakes.library import Library, open_library
from pinakes.upkeep import Finding

DOC = (Path(__file__).parent.parent / "docs" / "cli.md").read_text()
PINAKES = [sys.executable, "-m", "pinakes"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PINAKES_")]:
        monkeypatch.delenv(name)


def run(*args: str, status: int = 0) -> str:
    """What a command prints, on stderr when it fails with a status other than 1."""
    result = CliRunner().invoke(app, args)
    assert result.exit_code == status, result.output
    return result.stdout if status < 2 else result.stderr


def run_json(*args: str, status: int = 0) -> Any:
    return json.loads(run(*args, "--json", status=status))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(*args: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A server process, and what it prints."""
    with subprocess.Popen(
        [*PINAKES, "serve", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout
        finally:
            process.terminate()
            process.wait(20)


def test_every_error_has_an_exit_status_and_none_is_that_of_a_finding() -> None:
    assert set(EXITS) == set(CODES)
    assert set(EXITS.values()) == {int(row) for row in re.findall(r"^\| (\d+) \|", DOC, re.MULTILINE)} - {0, 1, 130}


def commands(group: Any, path: str = "pinakes") -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{path} {name}")
    if not hasattr(group, "commands"):
        yield path, group


def test_the_documentation_has_every_command_with_its_options_and_no_other() -> None:
    sections = {
        re.sub(r" [A-Z_]+$", "", title): text
        for title, text in re.findall(r"## `(.+?)`\n(.*?)(?=\n## |\Z)", DOC, re.DOTALL)
    }
    root = typer.main.get_command(app)
    tree = {"pinakes": root, **dict(commands(root))}
    assert set(sections) == set(tree)
    for name, command in tree.items():
        options = {o for parameter in command.params for o in parameter.opts if o.startswith("--")}
        assert set(re.findall(r"`(--[a-z-]+)[^`]*`", sections[name])) - {"--help", "--project"} == options - {
            "--help",
            "--project",
        }, name
        assert "--project" not in options or "--project" in sections[name]


def test_every_setting_is_an_option_of_serve() -> None:
    shown = run("serve", "--help")
    for setting in SETTINGS.values():
        assert setting.option in shown


def test_version_and_no_command() -> None:
    assert run("--version") == f"pinakes {__version__}\n"
    assert "Usage" in CliRunner().invoke(app, []).output


def test_keys_and_projects_before_the_first_start() -> None:
    key = run_json("key", "create")
    assert list(key) == ["apiKey", "apiSecret", "projectId"]
    (default,) = run_json("project", "list")
    assert (default["projectId"], default["name"]) == (key["projectId"], "default")
    art = run_json("key", "create", "--project", "Art", "--role", "reader", "--name", "screens")
    assert run_json("key", "create", "--project", "Art")["projectId"] == art["projectId"]
    assert run_json("key", "create", "--project", art["projectId"])["projectId"] == art["projectId"]
    assert run_json("key", "create")["projectId"] == key["projectId"]
    assert [project["name"] for project in run_json("project", "list")] == ["default", "Art"]
    listed = run_json("key", "list", "--project", "Art")
    assert [(one["name"], one["role"]) for one in listed] == [
        ("screens", "reader"), ("API key", "editor"), ("API key", "editor"),
    ]  # fmt: skip
    assert len(run_json("key", "list")) == 5
    assert run("key", "list", "--project", "Art").splitlines()[0].split("\t")[:2] == [art["apiKey"], "screens"]


def test_a_project_that_a_key_creates_is_told_of_and_a_mistyped_id_creates_none() -> None:
    said = [CliRunner().invoke(app, ["key", "create", "--json", *named]) for named in ([], ["--project", "Art"], [])]
    ids = [json.loads(one.stdout)["projectId"] for one in said]
    assert [one.stderr for one in said] == [
        f"Created project default ({ids[0]}).\n",
        f"Created project Art ({ids[1]}).\n",
        "",
    ]
    for wrong in ("proj_0000typo", "proj_", ids[0][:-1]):
        message = run("key", "create", "--project", wrong, status=3)
        assert message == f"pinakes: There is no project {wrong!r}.\n"
    assert len(run_json("project", "list")) == 2


def test_a_key_for_people_shows_the_secret() -> None:
    shown = run("key", "create")
    key_id, secret, project_id = (line.split()[-1] for line in shown.splitlines())
    assert (key_id[:4], project_id[:5], len(secret)) == ("key_", "proj_", 43)


def test_an_ambiguous_project_is_refused_with_the_ids() -> None:
    ids = [run("project", "create", "Twin").strip(), run_json("project", "create", "Twin")["projectId"]]
    message = run("key", "create", "--project", "Twin", status=2)
    assert all(id in message for id in ids)
    assert message.count("\n") == 1
    assert run("project", "list").count("Twin") == 2


def test_a_wrong_role_or_name_makes_nothing() -> None:
    assert "role" in run("key", "create", "--project", "New", "--role", "king", status=2)
    assert "name" in run("key", "create", "--project", "New", "--name", " ", status=2)
    assert "name" in run("project", "create", "", status=2)
    assert run_json("project", "list") == []
    assert run("project", "list") == ""


def test_revoked_keys_are_gone() -> None:
    key = run_json("key", "create")["apiKey"]
    assert key in run("key", "revoke", key)
    assert run_json("key", "list") == []
    assert key in run("key", "revoke", key, status=3)
    assert "Nowhere" in run("key", "list", "--project", "Nowhere", status=3)


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("sweep",),
        ("migrate",),
        ("key", "list"),
        ("project", "list"),
        ("key", "revoke", "k"),
        ("backup", "f"),
    ],
)
def test_without_a_library_there_is_one_clear_line(command: tuple[str, ...]) -> None:
    assert run(*command, status=2) == "pinakes: There is no library in data; `pinakes serve` makes one.\n"
    assert not Path("data").exists()


def test_settings_come_from_options_environment_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.toml").write_text('data = "of-file"')
    run("key", "create", "--config", "my.toml")
    monkeypatch.setenv("PINAKES_DATA", "of-environment")
    run("key", "create")
    run("key", "create", "--data", "of-option", "--database-url", "sqlite:///rows.db")
    assert {"of-file", "of-environment", "of-option", "rows.db"} <= {path.name for path in Path().iterdir()}
    assert run("sweep", "--trash-days", "many", status=2) == (
        "pinakes: --trash-days: expected an integer from 0 to 36500, got 'many'\n"
    )
    monkeypatch.setenv("PINAKES_PROT", "1")
    assert "did you mean PINAKES_PORT?" in run("check", status=2)


def test_check_exits_with_what_it_found() -> None:
    with closing(open_library(Config())) as library:
        collections.create(library, new_actor(library), NewCollection("Shelf"))
    assert run("check") == "Nothing is wrong.\n"
    assert run_json("check", "--quick") == []
    with closing(apsw.Connection("data/pinakes.db")) as connection:
        connection.execute("UPDATE collection SET asset_count = 9")
    (finding,) = run_json("check", status=1)
    assert list(finding) == ["code", "projectId", "subject", "message"]
    assert run("check", "--quick", status=1).startswith(f"asset-count\t{finding['projectId']}\t{finding['subject']}\t")
    Path("data/pinakes.db").write_bytes(b"x" * 4096)
    assert "damaged" in run("check", status=2)


def test_backup_and_restore() -> None:
    key = run_json("key", "create")
    assert "b.tar: the database, 0 files" in run("backup", "b.tar")
    assert "exists" in run("backup", "b.tar", status=2)
    assert run_json("backup", "c.tar")["absent"] == []
    assert "Restored 0 files" in run("restore", "b.tar", "--data", "again")
    assert run_json("restore", "c.tar", "--data", "more") == {"blobs": 0, "thumbnails": 0, "findings": []}
    assert run_json("key", "list", "--data", "again")[0]["id"] == key["apiKey"]
    assert "not empty" in run("restore", "b.tar", "--data", "again", status=2)


def test_a_backup_without_lost_bytes_says_so() -> None:
    run("key", "create")
    with closing(apsw.Connection("data/pinakes.db")) as connection:
        connection.execute(
            "INSERT INTO asset (owner, id, name, kind, type, mime_type, sha256, size, author_id, created_at,"
            " updated_at) VALUES (1, 'asset_1', 'a', 'text', 'uploaded', 'text/plain', ?, 1, 'k', '', '')",
            ("a" * 64,),
        )
    result = CliRunner().invoke(app, ["backup", "b.tar"])
    assert (result.exit_code, result.stderr.startswith("pinakes: 1 files are missing")) == (1, True)
    assert "blob-missing" in run("restore", "b.tar", "--data", "again", status=1)


def test_sweep_and_migrate_report() -> None:
    run("key", "create")
    assert run("sweep") == "Deleted 0 assets, 0 models, 0 collections, and 0 files of 0 B.\n"
    assert run_json("sweep", "--trash-days", "0") == dict.fromkeys(
        ("assets", "models", "collections", "blobs", "blobBytes", "uploads", "downloads"), 0
    )
    assert run("migrate") == "The library is up to date.\n"
    assert run_json("migrate") == []


def test_sizes_for_people() -> None:
    assert [output.size_of(n) for n in (0, 1023, 1536, 5 << 30, 1 << 60)] == [
        "0 B", "1023 B", "1.5 KiB", "5.0 GiB", "1048576.0 TiB",
    ]  # fmt: skip


def test_on_a_terminal_there_are_tables_and_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output.show_findings([Finding("blob-hash", "proj_1", "[asset]", "bytes [red]changed")])
    with output.progress("Checking") as show:
        show(1, 2)
    shown = capsys.readouterr()
    assert "what is wrong" in shown.out
    assert "[asset]" in shown.out
    assert "[red]changed" in shown.out
    assert "Checking" in shown.err


def test_a_bug_leaves_its_trace_and_its_own_status() -> None:
    code = "import pinakes.cli.upkeep as u, pinakes.upkeep as v; v.check = None; from pinakes.cli import main; main()"
    run("key", "create")
    done = subprocess.run([sys.executable, "-c", code, "check"], capture_output=True, text=True)
    assert (done.returncode, "TypeError" in done.stderr, done.stdout) == (70, True, "")


def test_usage_errors_exit_with_2() -> None:
    assert "--dat" in run("check", "--dat", "x", status=2)
    assert "chek" in run("chek", status=2)
    assert "FILE" in run("backup", status=2)


def test_starting_is_quick() -> None:
    """The server's modules, the engine and pictures are not loaded before they are needed."""
    code = (
        "import sys, pinakes.cli; print([m for m in ('uvicorn', 'apsw', 'obstore', 'starlette') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_serve_from_the_first_start_to_a_revoked_key() -> None:
    port = str(free_port())
    with serving("--port", port, "--json") as (process, out):
        first = json.loads(out.readline())
        assert list(first) == ["url", "apiKey", "apiSecret", "projectId"]
        assert first["url"] == f"http://127.0.0.1:{port}"
        client = Scenario(
            api_key=first["apiKey"], api_secret=first["apiSecret"], base_url=f"{first['url']}/v1", max_retries=0
        )
        assert client.collections.create(name="Shelf", project_id=first["projectId"]).collection.name == "Shelf"
        image = base64.b64encode(make_png(9, 9)).decode()
        assert client.assets.upload(image=image, name="a.png", project_id=first["projectId"]).asset.status == "success"
        (project,) = run_json("project", "list")
        (listed,) = run_json("key", "list")
        assert (project["name"], listed["name"], listed["role"]) == ("default", "first key", "admin")
        assert run_json("check") == []
        assert run_json("backup", "b.tar")["blobs"] == 1
        key = run_json("key", "create", "--role", "reader")
        auth = (key["apiKey"], key["apiSecret"])
        assert httpx.get(f"{first['url']}/v1/collections", auth=auth).status_code == 200
        run("key", "revoke", key["apiKey"])
        assert httpx.get(f"{first['url']}/v1/collections", auth=auth).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert out.read() == ""
    with serving("--port", port, "--json") as (_, out):
        assert json.loads(out.readline()) == {"url": first["url"]}
    run("restore", "b.tar", "--data", "again")
    assert run("check", "--data", "again") == "Nothing is wrong.\n"


def test_serve_for_people_and_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*PINAKES, "serve", "--port", port], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"pinakes: .*127\.0\.0\.1:{port}.*\n", done.stderr.splitlines(keepends=True)[-1])
    assert run_json("key", "list") == []  # so the next start is the first
    with serving("--port", port) as (process, out):
        text = "".join(iter(out.readline, "\n"))
        while "Scenario(" not in text:
            text += out.readline()
        assert f"http://127.0.0.1:{port}" in text
        (key,) = run_json("key", "list")
        assert key["id"] in text
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    with serving("--port", port) as (_, out):
        assert out.readline() == f"Pinakes listens on http://127.0.0.1:{port}\n"


def test_serve_leaves_no_process_behind() -> None:
    with serving("--port", str(free_port()), "--json") as (process, out):
        out.readline()
        begun = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
    assert time.monotonic() - begun < 5


def test_move_and_what_it_says_next(tmp_path: Path) -> None:
    run("key", "create", "--data", "here")
    given = ("move", "--data", "here", "--to-database", "sqlite:///there.db", "--to-blobs", f"file://{tmp_path}/blobs")
    said = run(*given)
    assert re.search(r"^api_key\t1\t0\t[0-9a-f]{64}$", said, re.MULTILINE)
    assert "the same command with --switch, then start the servers with PINAKES_DATABASE_URL=sqlite:///there.db" in said
    assert "copy of the library in" in run("key", "create", "--database-url", "sqlite:///there.db", status=2)
    report = run_json(*given, "--switch")
    assert (report["isSwitched"], report["files"], report["absent"]) == (True, 0, [])
    assert {table["name"]: table["rows"] for table in report["tables"]}["project"] == 1
    assert "was moved to sqlite:///" in run("key", "create", "--data", "here", status=2)
    assert "was moved to sqlite:///" in run(*given, status=2)
    for place in (("--data", "here"), ("--database-url", "sqlite:///there.db")):
        assert run("check", *place) == "Nothing is wrong.\n"
    run("key", "create", "--database-url", "sqlite:///there.db")


def test_move_names_the_option_that_is_wrong(tmp_path: Path) -> None:
    run("key", "create", "--data", "here")
    move = ("move", "--data", "here")
    assert "--to-database: name a database" in run(*move, status=2)
    assert "--to-database: expected" in run(*move, "--to-database", "mysql://x", status=2)
    assert "--to-blobs: expected" in run(*move, "--to-blobs", "ftp://x", status=2)
    assert "--switch: needs --to-database" in run(*move, "--to-blobs", f"file://{tmp_path}/b", "--switch", status=2)
    assert "--to-blobs: this is where" in run(*move, "--to-blobs", f"file://{tmp_path}/here/blobs/", status=2)
    same = f"sqlite:///{tmp_path}/here/pinakes.db"
    assert "--to-database: this is the database of the library" in run(*move, "--to-database", same, status=2)
    away = "postgresql://me:secret@127.0.0.1:1/none"
    shown = run(*move, "--to-database", away, status=2)
    assert shown.startswith("pinakes: --to-database: The database does not answer")
    assert "secret" not in shown


def test_move_of_bytes_alone(tmp_path: Path) -> None:
    run("key", "create", "--data", "here")
    with closing(open_library(Config(data="here"))) as library:
        actor = new_actor(library)
        upload_lost(library, actor)
    given = ("move", "--data", "here", "--to-blobs", f"file://{tmp_path}/blobs")
    said = run(*given, status=1)
    assert said.startswith("Copied 0 files, 0 B")
    assert f"start the servers with PINAKES_BLOB_URL=file://{tmp_path}/blobs" in said
    assert len(run_json(*given, status=1)["absent"]) == 1


def upload_lost(library: Library, actor: Actor) -> None:
    """An asset whose bytes are nowhere."""
    data = Bytes("0" * 64, 7, "document", "text/plain", None, None, None, 1)
    with library.store.write() as tx:
        assets.insert(tx, actor.owner, actor.key_id, NewAsset("a.bin", ""), data, "2026-01-31T11:19:41.579Z")


def test_every_command_that_opens_a_library_opens_one_in_any_database(
    open_database: OpenDatabase, tmp_path: Path
) -> None:
    with open_database() as url:
        where = ("--data", str(tmp_path / "data"), "--database-url", url or f"sqlite:///{tmp_path}/a.db")
        key = run_json("key", "create", *where, "--project", "Mine")
        assert [one["id"] for one in run_json("key", "list", *where)] == [key["apiKey"]]
        assert [one["name"] for one in run_json("project", "list", *where)] == ["Mine"]
        assert run_json("check", *where) == []
        assert run_json("sweep", *where)["assets"] == 0
        assert run_json("migrate", *where) == []
        assert run_json("backup", str(tmp_path / "a.tar"), *where)["absent"] == []
        run("key", "revoke", key["apiKey"], *where)
        assert run_json("key", "list", *where) == []
        restored = ("--data", str(tmp_path / "restored"))
        assert run_json("restore", str(tmp_path / "a.tar"), *restored)["findings"] == []
        assert [one["id"] for one in run_json("key", "list", *restored)] == [key["apiKey"]]
