"""`pinakes serve`: the server, and on its first start a key to use it with."""

from typing import TYPE_CHECKING

import typer

from pinakes.cli.options import EVERY_SETTING, Config, Json, settings
from pinakes.cli.output import show_json

if TYPE_CHECKING:
    from pinakes.library import Library


@settings(*EVERY_SETTING)
def serve(config: Config, as_json: Json = False) -> None:
    """Serve a library until Ctrl-C or SIGTERM. The first start creates it, a project and an admin's key.

    The key is made once the server listens, so that a start which fails takes none along.
    """
    raise typer.Exit(_serve(config, as_json) if config.workers == 1 else _serve_many(config, as_json))


def _serve(config: Config, as_json: bool) -> int:
    from pinakes.api.server import run
    from pinakes.cli.opened import opened

    with opened(config, create=True) as library:
        return run(library, lambda url: _announce(library, url, as_json))


def _serve_many(config: Config, as_json: bool) -> int:
    from pinakes.cli.metrics import shared_metrics

    with shared_metrics():
        from pinakes.api.server import run_workers

        return run_workers(config, lambda library, url: _announce(library, url, as_json))


def _announce(library: "Library", url: str, as_json: bool) -> None:
    key = _first_key(library)
    if as_json:
        show_json({"url": url} | key)
    elif key:
        typer.echo(_FIRST.format(url=url, **key))
    else:
        typer.echo(f"Pinakes listens on {url}")


def _first_key(library: "Library") -> dict[str, str]:
    """A new key, when there is no project yet that could have one."""
    from pinakes import projects
    from pinakes.access import NewApiKey

    key = projects.create_key_of_new_library(library, NewApiKey("first key", "admin"))
    if key is None:
        return {}
    return {"apiKey": key.id, "apiSecret": key.secret, "projectId": key.owner_id}


_FIRST = """\
Pinakes listens on {url}

This library is new. Here is its first key, for project "default"; the secret is not shown again:

  API key     {apiKey}
  API secret  {apiSecret}

With these, scenario_sdk.Scenario() needs no arguments:

  export SCENARIO_BASE_URL={url}/v1
  export SCENARIO_SDK_API_KEY={apiKey}
  export SCENARIO_SDK_API_SECRET={apiSecret}

What the API offers: {url}/docs
"""
