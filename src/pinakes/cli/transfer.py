"""`pinakes backup` and `restore`: a whole library as one file."""

from pathlib import Path
from typing import Annotated

import typer

from pinakes.cli.options import LIBRARY, Config, Json, settings
from pinakes.cli.output import progress, show_findings, show_json, size_of
from pinakes.config import without_password


@settings(*LIBRARY)
def backup(
    config: Config,
    file: Annotated[Path, typer.Argument(help="The file to make; it must not exist.", metavar="FILE")],
    as_json: Json = False,
) -> None:
    """Write a library to one file, while a server serves it. Exits with 1 when the library has lost bytes."""
    from pinakes.cli.opened import opened
    from pinakes.transfer.backup import backup as write

    with opened(config) as library, progress("Backing up") as show:
        report = write(library, file, show)
    if as_json:
        show_json(report)
    else:
        typer.echo(f"{report.file}: the database, {report.blobs} files and their thumbnails, {size_of(report.size)}.")
    if report.absent:
        typer.echo(
            f"pinakes: {len(report.absent)} files are missing or damaged and are not in the backup; "
            "`pinakes check` names their assets.",
            err=True,
        )
        raise typer.Exit(1)


@settings("data", "database_url", "blob_url")
def restore(
    config: Config,
    file: Annotated[Path, typer.Argument(help="A file that `pinakes backup` made.", metavar="FILE")],
    as_json: Json = False,
) -> None:
    """Make a library of a backup, where there is none yet. Exits with 1 when a check of it finds something."""
    from pinakes.transfer.restore import restore as read

    with progress("Restoring") as show:
        report = read(file, config, show)
    if as_json:
        show_json(report)
    else:
        restored = f"{report.blobs} files and {report.thumbnails} thumbnails"
        database = f" --database-url {without_password(config.database_url)}" if config.database_url else ""
        typer.echo(f"Restored {restored}. Next: pinakes serve --data {config.data}{database}")
        show_findings(report.findings)
    raise typer.Exit(1 if report.findings else 0)
