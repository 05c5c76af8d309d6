"""Every setting there is, and where it comes from: option, else environment, else TOML, else default.

`Config` is the one list of settings; `SETTINGS` is read off it, and so are the error messages and the table in
docs/configuration.md. Nothing else reads the environment.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from pinakes.errors import bad_request

PrivateHost = Annotated[str, Meta(pattern=r"^[0-9A-Za-z._-]+$|^[0-9A-Fa-f:.]+(/\d{1,3})?$")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Origin = Annotated[str, Meta(pattern=r"^(\*|https?://[^/\s,]+)$")]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one process. Sizes are bytes, times are what the name ends in."""

    data: Annotated[
        str,
        Meta(
            description="Folder of the library; created when it does not exist.",
            min_length=1,
            extra={"expected": "a folder"},
        ),
    ] = "./data"
    database_url: Annotated[
        str,
        Meta(
            description="Database, as `sqlite:///path/to/file.db` or `postgresql://user:password@host/name`."
            " Empty: `pinakes.db` in the data folder.",
            pattern=r"^(sqlite:///.+|postgres(ql)?://.*)?$",
            extra={"expected": "sqlite:///path/to/file.db, postgresql://user:password@host/name or nothing"},
        ),
    ] = ""
    database_read_url: Annotated[
        str,
        Meta(
            description="A replica of a PostgreSQL database, which searches and filtered lists are read from as soon as"
            " it has all that was written before they were asked for. Empty: none.",
            pattern=r"^(postgres(ql)?://.*)?$",
            extra={"expected": "postgresql://user:password@host/name or nothing"},
        ),
    ] = ""
    database_connections: Annotated[
        int, Meta(description="Most connections of a process to a PostgreSQL database.", ge=2, le=1000)
    ] = 16
    database_prepare: Annotated[
        bool,
        Meta(description="Whether PostgreSQL prepares statements. Through a pooler such as PgBouncer it never does."),
    ] = True
    statement_timeout_s: Annotated[
        int, Meta(description="Seconds after which PostgreSQL gives up a statement of a request.", ge=1)
    ] = 30
    blob_url: Annotated[
        str,
        Meta(
            description="Where bytes are kept: `file:///` and a folder, `s3://bucket/prefix`, `gs://bucket/prefix`,"
            " `az://container/prefix`, or `memory://` until the process ends."
            " Empty: the folder `blobs` in the data folder.",
            pattern=r"^(file://(localhost)?/.*|(s3|gs|az)://.+|memory://.*)?$",
            extra={"expected": "file:///folder, s3://bucket, gs://bucket, az://container, memory:// or nothing"},
        ),
    ] = ""
    blob_links: Annotated[
        Literal["proxied", "direct"],
        Meta(
            description="Who sends files and takes parts of uploads: this server, or the S3 store itself, to which "
            "clients are sent with links that it honours."
        ),
    ] = "proxied"
    host: Annotated[
        str,
        Meta(
            description="Address to listen on; `0.0.0.0` for all of IPv4.",
            min_length=1,
            extra={"expected": "an address"},
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on; 0 for any free one.", ge=0, le=65535)] = 8420
    workers: Annotated[
        int, Meta(description="Server processes on this machine. More than one need PostgreSQL.", ge=1, le=1024)
    ] = 1
    public_url: Annotated[
        str,
        Meta(
            description="Base of every link the server hands out, without a slash at the end. "
            "Empty: taken from each request.",
            pattern=r"^(https?://\S*[^/\s])?$",
            extra={"expected": "an http or https URL without a slash at the end, or nothing"},
        ),
    ] = ""
    cors_origins: Annotated[
        tuple[Origin, ...],
        Meta(
            description="Web origins whose pages may call the API; `*` for any.",
            extra={"expected": "origins such as https://app.example.com, separated by commas, or *"},
        ),
    ] = ()
    duplicate_members: Annotated[
        Literal["ignore", "reject"],
        Meta(
            description="What adding a member that is in, or removing one that is not, does: "
            "nothing, or (as the hosted service) an error 400."
        ),
    ] = "ignore"
    require_if_match: Annotated[
        bool, Meta(description="Whether changes of a collection need an `If-Match` header; without one they get 428.")
    ] = False
    link_lifetime_s: Annotated[int, Meta(description="Seconds for which a signed link works.", ge=60)] = 86_400
    max_upload_bytes: Annotated[int, Meta(description="Largest file taken in one request.", ge=1)] = 104_857_600
    fetch_private_hosts: Annotated[
        tuple[PrivateHost, ...],
        Meta(
            description="Hosts and networks that files may be fetched from by URL though they are not public.",
            extra={"expected": "host names, addresses or networks such as 10.1.0.0/16, separated by commas"},
        ),
    ] = ()
    max_file_bytes: Annotated[int, Meta(description="Largest file taken in parts, or fetched from a URL.", ge=1)] = (
        107_374_182_400
    )
    fetch_time_limit_s: Annotated[int, Meta(description="Seconds that fetching a file from a URL may take.", ge=1)] = (
        3_600
    )
    upload_days: Annotated[
        int, Meta(description="Days after which an upload that nothing happened to is removed.", ge=1, le=36_500)
    ] = 7
    max_body_bytes: Annotated[int, Meta(description="Largest request body taken, apart from files.", ge=1)] = 1_048_576
    max_pixels: Annotated[int, Meta(description="Most pixels an image may have to be decoded.", ge=1)] = 268_000_000
    decode_time_limit_s: Annotated[int, Meta(description="Seconds one file may take to decode.", ge=1)] = 20
    decode_memory_bytes: Annotated[int, Meta(description="Memory a decoding process may take.", ge=1)] = 1_073_741_824
    decode_processes: Annotated[int, Meta(description="Files that each worker decodes at the same time.", ge=1)] = 2
    rate_limit: Annotated[
        int,
        Meta(description="Requests a second each API key may make, of all processes together; 0 for no limit.", ge=0),
    ] = 0
    jwt_issuer: Annotated[
        str,
        Meta(
            description="Issuer of Bearer tokens, exactly as their `iss` says it. Empty: no tokens are taken.",
            pattern=r"^(https?://\S+)?$",
            extra={"expected": "an http or https URL, or nothing"},
        ),
    ] = ""
    jwt_audience: Annotated[
        str,
        Meta(description="What the `aud` of a token must be or hold.", min_length=1, extra={"expected": "a name"}),
    ] = "pinakes"
    jwt_jwks_url: Annotated[
        str,
        Meta(
            description="Where the issuer publishes its keys. Empty: as its `/.well-known/openid-configuration` says.",
            pattern=r"^(https?://\S+)?$",
            extra={"expected": "an http or https URL, or nothing"},
        ),
    ] = ""
    jwt_algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(
            description="Algorithms that a token may be signed with.",
            min_length=1,
            extra={"expected": f"some of {', '.join(get_args(Algorithm))}, separated by commas"},
        ),
    ] = ("RS256", "ES256", "EdDSA")
    jwt_project_claim: Annotated[
        str,
        Meta(
            description="Claim with the id of a project, or several, or an object of ids and roles.",
            min_length=1,
            extra={"expected": "a claim's name"},
        ),
    ] = "pinakes_project"
    jwt_role_claim: Annotated[
        str,
        Meta(
            description="Claim with the role in these projects, or scopes.",
            min_length=1,
            extra={"expected": "a claim's name"},
        ),
    ] = "pinakes_role"
    trash_days: Annotated[
        int, Meta(description="Days for which what was deleted can be restored.", ge=0, le=36_500)
    ] = 30
    busy_timeout_s: Annotated[
        int,
        Meta(
            description="Seconds to wait for a database that another process is writing, or has no room.",
            ge=1,
        ),
    ] = 5
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe event that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="Form of the log. `auto` is `console` on a terminal and `json` elsewhere."),
    ] = "auto"
    access_log: Annotated[bool, Meta(description="Whether each request is logged.")] = True
    metrics_public: Annotated[bool, Meta(description="Whether `/metrics` answers without a key.")] = True

    @property
    def is_postgres(self) -> bool:
        """Whether the database is a PostgreSQL."""
        return self.database_url.startswith("postgres")

    @property
    def database_path(self) -> Path:
        """The SQLite file. Three slashes in the URL precede a relative path, four an absolute one, as is the custom."""
        named = self.database_url.removeprefix("sqlite:///")
        return Path(named) if named else Path(self.data, "pinakes.db")

    @property
    def blobs_url(self) -> str:
        """Where bytes are kept, never empty."""
        return self.blob_url or Path(self.data, "blobs").resolve().as_uri()

    def digests(self) -> dict[str, str]:
        """A short hash of each setting that is to be the same in all processes of a library, by its name."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name not in OWN}
        values["blob_url"] = self.blobs_url
        return {name: sha256(msgspec.json.encode(value)).hexdigest()[:12] for name, value in values.items()}


OWN = frozenset(
    {
        *("data", "database_url", "database_read_url", "database_connections", "database_prepare"),
        *("statement_timeout_s", "busy_timeout_s", "host", "port", "workers"),
        *("decode_time_limit_s", "decode_memory_bytes", "decode_processes"),
        *("log_level", "log_format", "access_log", "metrics_public"),
    }
)
"""Settings in which processes of one library may differ."""


class AwsKey(NamedTuple):
    """An access key of an S3 store; `token` is empty for one that does not expire. It is never shown."""

    id: str
    secret: str
    token: str

    def __repr__(self) -> str:
        return f"AwsKey({self.id!r})"


def aws_key(environ: Mapping[str, str] = os.environ) -> AwsKey | None:
    """The access key in the environment, under the names that every tool for S3 reads."""
    id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return AwsKey(id, secret, environ.get("AWS_SESSION_TOKEN", "")) if id and secret else None


class Setting(NamedTuple):
    """What there is to know about one field of `Config`."""

    name: str
    type: Any
    default: Any
    meaning: str
    expected: str

    @property
    def option(self) -> str:
        return option_name(self.name)

    @property
    def variable(self) -> str:
        return f"PINAKES_{self.name.upper()}"


def option_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def _settings() -> dict[str, Setting]:
    hints = get_type_hints(Config, include_extras=True)
    fields = msgspec.structs.fields(Config)
    return {field.name: _setting(field.name, hints[field.name], field.default) for field in fields}


def _setting(name: str, hint: Any, default: Any) -> Setting:
    bare, meta = get_args(hint)
    return Setting(name, hint, default, meta.description, _expected(bare, meta))


def _expected(bare: Any, meta: Meta) -> str:
    if meta.extra:
        return str(meta.extra["expected"])
    if get_origin(bare) is Literal:
        *most, last = get_args(bare)
        return f"{', '.join(most)} or {last}"
    if bare is bool:
        return "true or false"
    return f"an integer from {meta.ge} to {meta.le}" if meta.le else f"an integer of {meta.ge} or more"


SETTINGS: Mapping[str, Setting] = _settings()
VARIABLES: Mapping[str, str] = {setting.variable: name for name, setting in SETTINGS.items()}
CONFIG_VARIABLE = "PINAKES_CONFIG"


class _Given(NamedTuple):
    """A value, and the setting as the person wrote it. `is_text`: numbers and truth come as text."""

    label: str
    value: object
    is_text: bool


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where programs of this user note what they are at.

    Source: the XDG Base Directory Specification, by which a relative path in the variable is to be ignored.
    """
    given = Path(environ.get("XDG_STATE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local" / "state"


def share_metrics(folder: str) -> None:
    """Have the metrics of this process, and of those it starts, kept in a folder: the library's only way to be told."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def load(overrides: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of this process. `overrides` are command options by field name, and `config`, a TOML file;
    None means not given.

    A value that cannot be right, a setting that does not exist, and a file that cannot be read are BAD_REQUEST, with a
    message that names the setting as it was written.
    """
    options = {name: value for name, value in overrides.items() if value is not None}
    given = _from_environment(environ) | _from_options(options)
    given = _from_toml(options, environ, given) | given
    return Config(**{name: _convert(SETTINGS[name], item) for name, item in given.items()})


def _from_options(options: Mapping[str, object]) -> dict[str, _Given]:
    known = {option_name(name): name for name in SETTINGS}
    given = {option_name(name): value for name, value in options.items() if name != "config"}
    _refuse_unknown(given, known, "")
    return {known[option]: _Given(option, value, True) for option, value in given.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    given = {key: value for key, value in environ.items() if key.startswith("PINAKES_") and key != CONFIG_VARIABLE}
    _refuse_links_of_kubernetes(given)
    _refuse_unknown(given, [*VARIABLES, CONFIG_VARIABLE], "")
    return {VARIABLES[key]: _Given(key, value, True) for key, value in given.items()}


def _refuse_links_of_kubernetes(given: Mapping[str, str]) -> None:
    """A Service called `pinakes` puts its address into every pod: PINAKES_SERVICE_HOST, PINAKES_PORT=tcp://... ."""
    is_link = given.get("PINAKES_PORT", "").startswith("tcp://")
    if is_link or "PINAKES_SERVICE_HOST" in given:
        raise bad_request(
            "PINAKES_PORT" if is_link else "PINAKES_SERVICE_HOST",
            "this is no setting but the address of a Kubernetes Service called pinakes; "
            "set `enableServiceLinks: false` in the pod, or give the Service another name",
        )


def _from_toml(
    options: Mapping[str, object], environ: Mapping[str, str], given: Mapping[str, _Given]
) -> dict[str, _Given]:
    """The file that was named, else `pinakes.toml` in the data folder if there is one."""
    if named := options.get("config"):
        return _read_toml(Path(str(named)), "--config")
    if named := environ.get(CONFIG_VARIABLE):
        return _read_toml(Path(named), CONFIG_VARIABLE)
    data = _convert(SETTINGS["data"], given["data"]) if "data" in given else SETTINGS["data"].default
    path = Path(data, "pinakes.toml")
    if not path.exists():
        return {}
    found = _read_toml(path, str(path))
    if "data" in found:
        raise bad_request(found["data"].label, "this file was found in the data folder, so it cannot name another")
    return found


def _read_toml(path: Path, named_by: str) -> dict[str, _Given]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise bad_request(named_by, f"cannot read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise bad_request(str(path), f"this is not TOML: {error}") from error
    _refuse_unknown(table, SETTINGS, f"{path}: ")
    return {name: _Given(f"{path}: {name}", value, False) for name, value in table.items()}


def _refuse_unknown(given: Iterable[str], known: Iterable[str], prefix: str) -> None:
    for name in given:
        if name not in known:
            _raise_unknown(name, list(known), prefix)


def _raise_unknown(name: str, known: list[str], prefix: str) -> NoReturn:
    close = difflib.get_close_matches(name, known, n=1)
    raise bad_request(prefix + name, "there is no such setting" + (f"; did you mean {close[0]}?" if close else ""))


def checked(option: str, name: str, value: str) -> str:
    """A value for the setting of that name, given by another option. BAD_REQUEST that names the option."""
    return str(_convert(SETTINGS[name], _Given(option, value, True)))


def without_password(url: str) -> str:
    """A URL to show."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:…@", url)


def _convert(setting: Setting, given: _Given) -> Any:
    value = os.fspath(given.value) if isinstance(given.value, os.PathLike) else given.value
    if isinstance(value, str) and isinstance(setting.default, tuple):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, setting.type, strict=not given.is_text)
    except msgspec.ValidationError as error:
        raise bad_request(given.label, f"expected {setting.expected}, got {_shown(given.value)}") from error


def _shown(value: object) -> str:
    """The value without the name and password that a URL may carry, and without the values in its query."""
    return re.sub(r"=[^\s&'\"]+", "=…", re.sub(r"://[^\s'\"]*@", "://…@", repr(value)))
