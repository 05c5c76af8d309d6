"""`pinakes key`: API keys, made and ended on the machine itself."""

from typing import Annotated

import typer

from pinakes.cli.options import LIBRARY, Config, Json, settings
from pinakes.cli.output import show_json, show_table

app = typer.Typer(help="API keys.", no_args_is_help=True)

Named = Annotated[str | None, typer.Option("--project", help="Name or id of a project.", metavar="NAME")]


@app.command()
@settings(*LIBRARY)
def create(
    config: Config,
    project: Annotated[
        str | None,
        typer.Option(
            help="Name or id of the project; one of that name is created if there is none. Default: the oldest.",
            metavar="NAME",
        ),
    ] = None,
    role: Annotated[
        str,
        typer.Option(help="admin, editor, reader, or scopes such as 'assets.read;collections.write'.", metavar="ROLE"),
    ] = "editor",
    name: Annotated[str, typer.Option(help="What the key is called in lists.", metavar="TEXT")] = "API key",
    as_json: Json = False,
) -> None:
    """Make a key and show its secret, which is shown only now. Works beside a running server, and before the first."""
    from pinakes import projects
    from pinakes.access import NewApiKey
    from pinakes.cli.opened import opened

    with opened(config, create=True) as library:
        before = projects.find_first(library, project)
        key = projects.create_first_key(library, project, NewApiKey(name, role))
        made = None if before else projects.find_first(library, key.owner_id)
    if made:
        typer.echo(f"Created project {made.name} ({made.id}).", err=True)
    if as_json:
        show_json({"apiKey": key.id, "apiSecret": key.secret, "projectId": key.owner_id})
    else:
        typer.echo(f"API key     {key.id}\nAPI secret  {key.secret}\nProject     {key.owner_id}")
        typer.echo("The secret is not shown again.", err=True)


@app.command("list")
@settings(*LIBRARY)
def list_keys(config: Config, project: Named = None, as_json: Json = False) -> None:
    """List live keys, oldest first."""
    from pinakes import access, projects
    from pinakes.cli.opened import opened
    from pinakes.errors import PinakesError

    with opened(config) as library:
        found = projects.find_first(library, project) if project else None
        if project and found is None:
            raise PinakesError("NOT_FOUND", f"There is no project {project!r}.")
        chosen = [found] if found else projects.get_all(library)
        keys = access.get_all_keys(library, [row.id for row in chosen])
    if as_json:
        show_json(keys)
    else:
        rows = [(key.id, key.name, key.role, key.owner_id, key.created_at) for key in keys]
        show_table(("key", "name", "role", "project", "created"), rows)


@app.command()
@settings(*LIBRARY)
def revoke(
    config: Config,
    key_id: Annotated[str, typer.Argument(help="The key, as `key list` shows it.", metavar="KEY_ID")],
) -> None:
    """End a key, at once and for good, also in a running server."""
    from pinakes import access, projects
    from pinakes.cli.opened import opened

    with opened(config) as library:
        access.revoke_first_key(library, [row.id for row in projects.get_all(library)], key_id)
    typer.echo(f"Revoked {key_id}.")
