"""`pinakes project`: projects, seen from the machine itself."""

from typing import Annotated

import typer

from pinakes.cli.options import LIBRARY, Config, Json, settings
from pinakes.cli.output import show_json, show_table

app = typer.Typer(help="Projects.", no_args_is_help=True)


@app.command()
@settings(*LIBRARY)
def create(
    config: Config,
    name: Annotated[str, typer.Argument(help="What the project is called.", metavar="NAME")],
    as_json: Json = False,
) -> None:
    """Make a project. It has no key yet: `pinakes key create --project` makes one."""
    from pinakes import projects
    from pinakes.cli.opened import opened

    with opened(config, create=True) as library:
        id = projects.create_first(library, name)
    if as_json:
        show_json({"projectId": id, "name": name})
    else:
        typer.echo(id)


@app.command("list")
@settings(*LIBRARY)
def list_projects(config: Config, as_json: Json = False) -> None:
    """List projects, oldest first."""
    from pinakes import projects
    from pinakes.cli.opened import opened

    with opened(config) as library:
        found = projects.get_all(library)
    if as_json:
        show_json([{"projectId": row.id, "name": row.name, "createdAt": row.created_at} for row in found])
    else:
        show_table(("project", "name", "created"), [(row.id, row.name, row.created_at) for row in found])
