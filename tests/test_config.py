"""Settings: where they come from, what a wrong one says, and that docs/configuration.md lists them all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pinakes.config import SETTINGS, Config, Setting, load
from pinakes.errors import PinakesError

DOC = Path(__file__).parent.parent / "docs" / "configuration.md"
ROW = re.compile(r"^\| `.*\n", re.MULTILINE)

DATABASES = "sqlite:///path/to/file.db, postgresql://user:password@host/name or nothing"


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    assert load({}, {}) == Config()


def test_option_beats_environment_beats_toml_beats_default() -> None:
    Path("my.toml").write_text('port = 1\nhost = "toml"\nlog_level = "debug"\n')
    config = load({"port": 3}, {"PINAKES_PORT": "2", "PINAKES_HOST": "environment", "PINAKES_CONFIG": "my.toml"})
    assert (config.port, config.host, config.log_level, config.trash_days) == (3, "environment", "debug", 30)


def test_an_option_that_was_not_given_changes_nothing() -> None:
    assert load({"port": None, "config": None}, {"PINAKES_PORT": "2"}).port == 2


def test_only_the_value_that_counts_is_looked_at() -> None:
    assert load({"port": 3}, {"PINAKES_PORT": "abc"}).port == 3


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PINAKES_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PINAKES_PORT", "7")
    assert load({}).port == 7


@pytest.mark.parametrize(
    "named_by", ["option", "environment", "option first", "data option", "data variable", "default"]
)
def test_where_the_toml_file_is_looked_for(named_by: str) -> None:
    overrides: dict[str, dict[str, object]] = {
        "option": {"config": "some/pinakes.toml"},
        "option first": {"config": Path("some/pinakes.toml")},
        "data option": {"data": Path("some")},
    }
    environ = {
        "environment": {"PINAKES_CONFIG": "some/pinakes.toml"},
        "option first": {"PINAKES_CONFIG": "nowhere.toml"},
        "data variable": {"PINAKES_DATA": "some"},
    }
    folder = Path("data" if named_by == "default" else "some")
    folder.mkdir()
    (folder / "pinakes.toml").write_text("port = 5\n")
    assert load(overrides.get(named_by, {}), environ.get(named_by, {})).port == 5


def test_every_type_is_read_from_toml() -> None:
    Path("my.toml").write_text(
        'data = "d"\nport = 80\naccess_log = false\ncors_origins = ["http://a", "*"]\nlog_format = "json"\n'
    )
    expected = Config(data="d", port=80, access_log=False, cors_origins=("http://a", "*"), log_format="json")
    assert load({"config": "my.toml"}, {}) == expected


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data", "/srv/a b", "/srv/a b"),
        ("database_url", "sqlite:////srv/p.db", "sqlite:////srv/p.db"),
        ("blob_url", "file:///srv/blobs", "file:///srv/blobs"),
        ("public_url", "https://example.com/media", "https://example.com/media"),
        ("public_url", "", ""),
        ("port", "65535", 65535),
        ("cors_origins", "https://a.example, http://localhost:3000,", ("https://a.example", "http://localhost:3000")),
        ("cors_origins", "*", ("*",)),
        ("cors_origins", "", ()),
        ("duplicate_members", "reject", "reject"),
        ("require_if_match", "true", True),
        ("require_if_match", "1", True),
        ("access_log", "False", False),
        ("access_log", "0", False),
        ("rate_limit", "0", 0),
    ],
)
def test_text_of_the_environment_and_of_options(name: str, text: str, value: object) -> None:
    assert getattr(load({}, {SETTINGS[name].variable: text}), name) == value
    assert getattr(load({name: text}, {}), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("PINAKES_DATA", "", "a folder"),
        ("PINAKES_HOST", "", "an address"),
        ("PINAKES_PORT", "abc", "an integer from 0 to 65535"),
        ("PINAKES_PORT", "", "an integer from 0 to 65535"),
        ("PINAKES_PORT", "-1", "an integer from 0 to 65535"),
        ("PINAKES_PORT", "65536", "an integer from 0 to 65535"),
        ("PINAKES_PORT", "1.5", "an integer from 0 to 65535"),
        ("PINAKES_LINK_LIFETIME_S", "59", "an integer of 60 or more"),
        ("PINAKES_RATE_LIMIT", "-1", "an integer of 0 or more"),
        ("PINAKES_DECODE_PROCESSES", "0", "an integer of 1 or more"),
        ("PINAKES_ACCESS_LOG", "maybe", "true or false"),
        ("PINAKES_DUPLICATE_MEMBERS", "Reject", "ignore or reject"),
        ("PINAKES_LOG_LEVEL", "loud", "debug, info, warning or error"),
        (
            "PINAKES_DATABASE_URL",
            "mysql://host/db",
            DATABASES,
        ),
        (
            "PINAKES_DATABASE_URL",
            "sqlite:///",
            DATABASES,
        ),
        (
            "PINAKES_BLOB_URL",
            "/srv/blobs",
            "file:///folder, s3://bucket, gs://bucket, az://container, memory:// or nothing",
        ),
        (
            "PINAKES_BLOB_URL",
            "s3:/bucket",
            "file:///folder, s3://bucket, gs://bucket, az://container, memory:// or nothing",
        ),
        ("PINAKES_PUBLIC_URL", "https://a/", "an http or https URL without a slash at the end, or nothing"),
        ("PINAKES_PUBLIC_URL", "a.example", "an http or https URL without a slash at the end, or nothing"),
        ("PINAKES_CORS_ORIGINS", "https://a/b", "origins such as https://app.example.com, separated by commas, or *"),
    ],
)
def test_a_wrong_value_names_itself_as_it_was_written(variable: str, text: str, expected: str) -> None:
    setting = next(setting for setting in SETTINGS.values() if setting.variable == variable)
    assert refusal({}, {variable: text}) == f"{variable}: expected {expected}, got {text!r}"
    assert refusal({setting.name: text}, {}) == f"{setting.option}: expected {expected}, got {text!r}"


@pytest.mark.parametrize(
    "links",
    [
        {"PINAKES_PORT": "tcp://10.0.0.7:80", "PINAKES_SERVICE_HOST": "10.0.0.7", "PINAKES_SERVICE_PORT": "80"},
        {"PINAKES_PORT_80_TCP_ADDR": "10.0.0.7", "PINAKES_SERVICE_HOST": "10.0.0.7"},
        {"PINAKES_PORT": "tcp://10.0.0.7:80"},
    ],
)
def test_what_kubernetes_sets_for_a_service_called_pinakes_is_told_apart(links: dict[str, str]) -> None:
    message = refusal({}, links)
    assert message.startswith(f"{'PINAKES_PORT' if 'PINAKES_PORT' in links else 'PINAKES_SERVICE_HOST'}: ")
    assert "enableServiceLinks: false" in message


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('port = "80"', "port: expected an integer from 0 to 65535, got '80'"),
        ("port = true", "port: expected an integer from 0 to 65535, got True"),
        ("access_log = 1", "access_log: expected true or false, got 1"),
        ("host = 1", "host: expected an address, got 1"),
        ("prot = 80", "prot: there is no such setting; did you mean port?"),
        ("[server]\nport = 80", "server: there is no such setting"),
        ("port = ", "this is not TOML: Invalid value (at end of document)"),
    ],
)
def test_a_wrong_toml_file_names_itself_and_the_setting(toml: str, message: str) -> None:
    Path("pinakes.toml").write_text(toml)
    assert refusal({"config": "pinakes.toml"}, {}) == f"pinakes.toml: {message}"


def test_a_toml_file_that_is_not_text() -> None:
    Path("pinakes.toml").write_bytes(b"\xff")
    assert refusal({"config": "pinakes.toml"}, {}).startswith("pinakes.toml: this is not TOML: ")


def test_a_toml_file_that_cannot_be_read() -> None:
    assert refusal({"config": "a.toml"}, {}) == "--config: cannot read 'a.toml': No such file or directory"
    assert refusal({}, {"PINAKES_CONFIG": "."}) == "PINAKES_CONFIG: cannot read '.': Is a directory"


def test_the_file_of_a_data_folder_cannot_name_another() -> None:
    Path("data").mkdir()
    Path("data/pinakes.toml").write_text('data = "elsewhere"')
    assert refusal({}, {}).startswith("data/pinakes.toml: data: this file was found in the data folder")


@pytest.mark.parametrize(
    ("overrides", "environ", "message"),
    [
        ({}, {"PINAKES_PROT": "80"}, "PINAKES_PROT: there is no such setting; did you mean PINAKES_PORT?"),
        ({}, {"PINAKES_CONFIGS": "a"}, "PINAKES_CONFIGS: there is no such setting; did you mean PINAKES_CONFIG?"),
        ({"link_lifetime": 90}, {}, "--link-lifetime: there is no such setting; did you mean --link-lifetime-s?"),
    ],
)
def test_a_setting_that_does_not_exist(overrides: dict[str, object], environ: dict[str, str], message: str) -> None:
    assert refusal(overrides, environ) == message


def test_a_message_never_shows_the_password_of_a_url() -> None:
    message = refusal({}, {"PINAKES_DATABASE_URL": "mysql://me:p@ss/word@host/db"})
    assert message.endswith("got 'mysql://…@host/db'")


def test_where_things_are_kept(tmp_path: Path) -> None:
    assert Config(data="some").database_path == Path("some/pinakes.db")
    assert Config(database_url="sqlite:///a/b.db").database_path == Path("a/b.db")
    assert Config(database_url="sqlite:////a/b.db").database_path == Path("/a/b.db")
    assert Config(data="some folder").blobs_url == f"{tmp_path.as_uri()}/some%20folder/blobs"
    assert Config(blob_url="memory:///").blobs_url == "memory:///"


def test_the_documented_table_is_the_settings() -> None:
    """`python tests/test_config.py` writes the table anew."""
    assert ROW.findall(DOC.read_text()) == rows()


def test_writing_the_table_anew_changes_nothing() -> None:
    before = DOC.read_text()
    assert with_rows(before) == before
    assert with_rows("| `old` |\n| `older` |\nafter\n") == "".join(rows()) + "after\n"


def test_the_module_alone_reads_the_environment() -> None:
    source = Path(__file__).parent.parent / "src"
    readers = [path for path in source.rglob("*.py") if re.search(r"\benviron\b|\bgetenv\b", path.read_text())]
    assert [path.name for path in readers] == ["config.py"]


def test_importing_it_needs_no_environment() -> None:
    subprocess.run([sys.executable, "-c", "import pinakes.config"], env={"PINAKES_PORT": "abc"}, check=True)


def refusal(overrides: dict[str, object], environ: dict[str, str]) -> str:
    with pytest.raises(PinakesError) as caught:
        load(overrides, environ)
    assert caught.value.code == "BAD_REQUEST"
    return caught.value.message


def rows() -> list[str]:
    return [row(setting) for setting in SETTINGS.values()]


def row(setting: Setting) -> str:
    return f"| `{setting.name}` | `{setting.variable}` | {shown(setting.default)} | {setting.meaning} |\n"


def shown(default: object) -> str:
    if default in ("", ()):
        return "(empty)"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def with_rows(text: str) -> str:
    start = ROW.search(text)
    assert start
    return text[: start.start()] + "".join(rows()) + ROW.sub("", text[start.start() :])


if __name__ == "__main__":
    DOC.write_text(with_rows(DOC.read_text()))
