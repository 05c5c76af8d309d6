"""The command line: an edge of the library, as HTTP is. Each command is a verb, told in options and printed.

What a command does not need is imported inside it: starting takes longer than most commands do.
"""

import sys
import traceback
from typing import Annotated, Any, Never

import typer
from typer.core import TyperGroup

from pinakes import __version__
from pinakes.cli import keys, move, projects, serve, transfer, upkeep, upload
from pinakes.errors import CODES, Code, PinakesError

EXITS: dict[Code, int] = dict.fromkeys(CODES, 2) | {
    "NOT_FOUND": 3,
    "GONE": 3,
    "UNAUTHORIZED": 4,
    "FORBIDDEN": 4,
    "INTERNAL": 70,
}
"""The exit status of each error. 1 is not among them: it says that `check` found something."""


class Tree(TyperGroup):
    """The command tree; an error of a verb becomes one line on stderr and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PinakesError as error:
            typer.echo(f"pinakes: {' '.join(error.message.split())}", err=True)
            raise typer.Exit(EXITS[error.code]) from error


app = typer.Typer(
    name="pinakes",
    cls=Tree,
    help="A self-hosted server for collections of generative media. "
    "Every setting is also an environment variable: --link-lifetime-s is PINAKES_LINK_LIFETIME_S.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command()(upload.upload)
app.add_typer(keys.app, name="key")
app.add_typer(projects.app, name="project")
app.command()(upkeep.check)
app.command()(upkeep.sweep)
app.command()(upkeep.migrate)
app.command()(move.move)
app.command()(transfer.backup)
app.command()(transfer.restore)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"pinakes {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _is_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    return


def main() -> Never:
    """The console command `pinakes`."""
    try:
        app()
    except Exception:  # noqa: BLE001 - a bug: its trace is the report, and its status not that of a finding
        traceback.print_exc()
    sys.exit(EXITS["INTERNAL"])
