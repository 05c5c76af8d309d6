"""Options that are settings. They are read off `config.SETTINGS`, so a new setting is a new option of `serve`."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from pinakes import config
from pinakes.config import SETTINGS, Config, Setting

LIBRARY = ("data", "database_url", "blob_url", "busy_timeout_s")
"""What every command needs to know that opens a library."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose first parameter is the configuration gets an option for each of the settings, and `--config`."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in (*names, "config")}
            command(config.load(chosen), **given)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        options = [*own, *(_option(SETTINGS[name]) for name in names), _CONFIG]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature([option.replace(kind=_KIND) for option in options])  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        return run

    return add


_KIND = inspect.Parameter.KEYWORD_ONLY


def _option(setting: Setting) -> inspect.Parameter:
    """Text, whatever the setting's type: `config` converts it, and says what is wrong as it does everywhere."""
    info = typer.Option(setting.option, help=setting.meaning.replace("`", ""), metavar=_metavar(setting))
    return _parameter(setting.name, info)


def _parameter(name: str, info: Any) -> inspect.Parameter:
    return inspect.Parameter(name, _KIND, default=None, annotation=Annotated[str | None, info])


def _metavar(setting: Setting) -> str:
    bare = get_args(setting.type)[0]
    if get_origin(bare) is Literal:
        return "|".join(get_args(bare))
    if bare is bool:
        return "true|false"
    if bare is int:
        return "N"
    return {"data": "DIR", "host": "ADDRESS", "cors_origins": "URL,…"}.get(setting.name, "URL")


_CONFIG = _parameter(
    "config",
    typer.Option("--config", help="TOML file of settings. Default: pinakes.toml in the data folder.", metavar="FILE"),
)

EVERY_SETTING: tuple[str, ...] = tuple(SETTINGS)

__all__ = ["EVERY_SETTING", "LIBRARY", "Config", "Json", "settings"]
