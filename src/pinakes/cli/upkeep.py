"""`pinakes check`, `sweep` and `migrate`: keeping a library sound. All but `migrate` work beside a running server."""

from typing import Annotated

import typer

from pinakes.cli.options import LIBRARY, Config, Json, settings
from pinakes.cli.output import progress, show_findings, show_json, size_of


@settings(*LIBRARY)
def check(
    config: Config,
    is_quick: Annotated[bool, typer.Option("--quick", help="Do not read all bytes again to compare hashes.")] = False,
    as_json: Json = False,
) -> None:
    """Look for anything wrong, and change nothing. Exits with 1 when something is."""
    from pinakes import upkeep
    from pinakes.cli.opened import opened

    with opened(config) as library, progress("Checking") as show:
        findings = upkeep.check(library, is_quick=is_quick, progress=show)
    if as_json:
        show_json(findings)
    elif findings:
        show_findings(findings)
    else:
        typer.echo("Nothing is wrong.")
    raise typer.Exit(1 if findings else 0)


@settings(*LIBRARY, "trash_days")
def sweep(config: Config, as_json: Json = False) -> None:
    """Delete for good what was in the trash too long, and bytes nobody refers to. A server does this every hour."""
    from pinakes import upkeep
    from pinakes.cli.opened import opened

    with opened(config) as library:
        report = upkeep.sweep(library)
    if as_json:
        show_json(report)
    else:
        typer.echo(
            f"Deleted {report.assets} assets, {report.models} models, {report.collections} collections, "
            f"and {report.blobs} files of {size_of(report.blob_bytes)}."
        )


@settings("data", "database_url")
def migrate(config: Config, as_json: Json = False) -> None:
    """Bring a library to the schema of this version. Stop the server and make a backup before."""
    from pinakes.library import upgrade

    ran = upgrade(config)
    if as_json:
        show_json(ran)
    else:
        typer.echo("\n".join(f"Ran {name}." for name in ran) or "The library is up to date.")
