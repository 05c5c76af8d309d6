"""`pinakes move`: a library to another database or store of bytes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pinakes.cli.options import LIBRARY, Config, Json, settings
from pinakes.cli.output import show_json, size_of, steps
from pinakes.config import checked, without_password
from pinakes.errors import PinakesError, bad_request

if TYPE_CHECKING:
    from pinakes.transfer.move import MoveReport, To


@settings(*LIBRARY, "database_connections", "database_prepare")
def move(
    config: Config,
    to_database: Annotated[
        str | None,
        typer.Option(help="Database to copy to: sqlite:///path/to/file.db or postgresql://…", metavar="URL"),
    ] = None,
    to_blobs: Annotated[
        str | None, typer.Option(help="Where to copy the bytes to. Default: they stay where they are.", metavar="URL")
    ] = None,
    is_switch: Annotated[
        bool, typer.Option("--switch", help="In the end the copy takes changes, and the library takes none any more.")
    ] = False,
    is_verified: Annotated[
        bool, typer.Option("--verify", help="Read what was copied earlier again, to compare hashes.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Files copied at a time.", min=1, max=64)] = 8,
    as_json: Json = False,
) -> None:
    """Copy a library to another database, another store of bytes, or both, while a server serves it.

    Exits with 1 when the library has lost bytes. The same command goes on where an earlier one was interrupted, and
    brings the copy up to date.
    """
    from pinakes.cli.opened import opened
    from pinakes.transfer.move import Choice
    from pinakes.transfer.move import move as copy

    here = _place(config)
    there = _target(config, to_database, to_blobs, is_switch)
    with opened(config) as library, _opened_target(there, to_database, to_blobs) as to, steps() as show:
        report = copy(library, here, to, Choice(is_switch, is_verified, jobs), show)
    if as_json:
        show_json(report)
    else:
        typer.echo(_said(report, there, to_database, to_blobs))
    if report.absent:
        lost = f"{len(report.absent)} files are missing or damaged and were not copied"
        typer.echo(f"pinakes: {lost}; `pinakes check` names their assets.", err=True)
        raise typer.Exit(1)


def _place(config: Config) -> str:
    """What a database is called, without its password."""
    url = config.database_url if config.is_postgres else f"sqlite:///{config.database_path.resolve()}"
    return without_password(url)


def _target(config: Config, to_database: str | None, to_blobs: str | None, is_switch: bool) -> Config:
    """The settings of a server of the copy."""
    if to_database is None and to_blobs is None:
        raise bad_request("--to-database", "name a database, or a store with --to-blobs, or both")
    if is_switch and to_database is None:
        raise bad_request("--switch", "needs --to-database; after bytes alone start the server with their new blob_url")
    changes = {"database_read_url": ""}
    if to_database is not None:
        changes["database_url"] = checked("--to-database", "database_url", to_database)
    if to_blobs is not None:
        changes["blob_url"] = checked("--to-blobs", "blob_url", to_blobs)
    there = msgspec.structs.replace(config, **changes)
    if to_database is not None and _place(there) == _place(config):
        raise bad_request("--to-database", "this is the database of the library itself")
    if to_blobs is not None and there.blobs_url.rstrip("/") == config.blobs_url.rstrip("/"):
        raise bad_request("--to-blobs", "this is where the bytes are")
    return there


@contextmanager
def _opened_target(there: Config, to_database: str | None, to_blobs: str | None) -> Iterator["To"]:
    from pinakes.blob_urls import open_blobs
    from pinakes.library import open_store
    from pinakes.transfer.move import To

    with _naming("--to-blobs"):
        blobs = None if to_blobs is None else open_blobs(there.blobs_url)
        if blobs:
            blobs.ready()
    if to_database is None:
        yield To(None, "", blobs)
        return
    with _naming("--to-database"):
        store = open_store(there, create=True)
    with closing(store):
        yield To(store, _place(there), blobs)


@contextmanager
def _naming(option: str) -> Iterator[None]:
    """Errors that say which of the two libraries they are about."""
    try:
        yield
    except PinakesError as error:
        said = error.message.replace("of database_url ", "").removeprefix("blob_url: ")
        raise PinakesError(error.code, f"{option}: {said}") from error


def _said(report: "MoveReport", there: Config, to_database: str | None, to_blobs: str | None) -> str:
    """What was done, and what to do next."""
    lines = [f"{table.name}\t{table.rows}\t{table.owners}\t{table.sha256}" for table in report.tables]
    rows = sum(table.rows for table in report.tables)
    copied = [f"{rows} rows, the same in both databases ({report.written} written)"] if to_database else []
    copied += [f"{report.files} files, {size_of(report.bytes)}"] if to_blobs else []
    lines.append(f"Copied {', and '.join(copied)}, in {report.seconds} s.")
    variables = [f"PINAKES_DATABASE_URL={without_password(there.database_url)}"] if to_database else []
    variables += [f"PINAKES_BLOB_URL={there.blob_url}"] if to_blobs else []
    start = f"start the servers with {' '.join(variables)}"
    if report.is_switched:
        lines.append(f"The copy takes changes since {report.as_of}, and this library none. Next: {start}.")
    elif to_database:
        lines.append(f"Writes waited for {report.held_s} s. The copy is of {report.as_of}, and takes no changes yet.")
        lines.append(f"To switch over: the same command with --switch, then {start}.")
    else:
        lines.append(f"To switch over: stop the servers, give the same command again, {start}.")
    return "\n".join(lines)
