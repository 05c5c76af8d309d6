"""`pinakes upload`: files and folders to any server that speaks the API, this machine's or another."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from pinakes.cli.options import Json
from pinakes.cli.output import show_json, size_of
from pinakes.errors import PinakesError

if TYPE_CHECKING:
    from pinakes.cli.files import File
    from pinakes.cli.sending import Outcome, Plan

MIB = 1 << 20
_KINDS = "3d asset audio avatar image model text video"
_INTERRUPTED = 130


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with all that is in them.", metavar="FILE…")],
    url: Annotated[
        str, typer.Option(envvar="SCENARIO_BASE_URL", help="Base URL of the API.", metavar="URL")
    ] = "http://127.0.0.1:8420/v1",
    key: Annotated[
        str | None, typer.Option(envvar="SCENARIO_SDK_API_KEY", help="Id of the API key.", metavar="KEY_ID")
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option(help="Id of a collection to put them into; may be repeated.", metavar="ID")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help=f"What the files are: {_KINDS}. Default: model for .safetensors, .gguf, .ckpt and .pt, else asset.",
            metavar="KIND",
        ),
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="Id of the asset that these assets were made from.", metavar="ID")
    ] = None,
    is_hidden: Annotated[bool, typer.Option("--hide", help="Hide the assets.")] = False,
    jobs: Annotated[int, typer.Option(help="Files, and parts of files, sent at a time.", min=1, max=64)] = 4,
    part_size: Annotated[int, typer.Option(help="Size of a part in MiB.", min=1, max=5120, metavar="MIB")] = 16,
    is_fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where an earlier run was interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """Send files of any size, and wait until they are imported. Exits with 1 when some were not; the others are.

    A run that was interrupted is taken up by the same command. The key's secret is SCENARIO_SDK_API_SECRET in the
    environment, or is asked for.
    """
    from pinakes.cli.files import find_files
    from pinakes.cli.sending import Plan

    if kind is not None and kind not in _KINDS.split():
        raise PinakesError("BAD_REQUEST", f"--kind: expected one of {_KINDS}, got {kind!r}")
    files = list(find_files(paths))
    if not files:
        raise PinakesError("BAD_REQUEST", "There are no files to send: a folder is sent without what is hidden in it.")
    plan = Plan(
        url=url.rstrip("/") + ("" if urlsplit(url).path.strip("/") else "/v1"),
        key=key,
        secret=_secret(key),
        collection_ids=collection or [],
        kind=kind,
        parent_id=parent,
        hide=is_hidden,
        jobs=jobs,
        part_size=part_size * MIB,
        is_fresh=is_fresh,
    )
    failed = _run(files, plan, as_json)
    raise typer.Exit(1 if failed else 0)


def _secret(key: str | None) -> str | None:
    """None when the SDK finds something in the environment by which to be known."""
    from scenario_sdk import Scenario

    with Scenario(api_key=key, base_url="http://unused") as client:
        if client.bearer_auth or (client.api_key and client.api_secret):
            return None
        if client.api_key is None:
            raise PinakesError(
                "UNAUTHORIZED",
                "Give the API key as SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET in the environment.",
            )
        if not sys.stdin.isatty():
            raise PinakesError(
                "UNAUTHORIZED", "Give the secret of the key as SCENARIO_SDK_API_SECRET in the environment."
            )
    secret: str = typer.prompt(f"Secret of {key}", hide_input=True, err=True)
    return secret


def _run(files: "list[File]", plan: "Plan", as_json: bool) -> int:
    """How many files failed."""
    from pinakes.cli.sending import send_all

    failed, begun = 0, time.monotonic()
    with _shown(files) as (moved, ended):

        def tell(outcome: "Outcome") -> None:
            nonlocal failed
            failed += outcome.error is not None
            ended(None if as_json else outcome)
            if as_json:
                show_json(outcome)

        try:
            asyncio.run(send_all(files, plan, moved, tell))
        except KeyboardInterrupt:
            typer.echo("pinakes: Interrupted; the same command goes on from here.", err=True)
            raise typer.Exit(_INTERRUPTED) from None
    if sys.stdout.isatty() and not as_json:
        size = size_of(sum(file.size for file in files))
        seconds = time.monotonic() - begun
        typer.echo(f"Imported {len(files) - failed} of {len(files)} files, {size}, in {seconds:.1f} s.")
    return failed


Shown = tuple[Callable[[int], None], "Callable[[Outcome | None], None]"]


@contextmanager
def _shown(files: "list[File]") -> Iterator[Shown]:
    """What to call with bytes that were sent, and with what came of a file: a bar when stderr is a terminal."""
    if not sys.stderr.isatty():
        yield (lambda _bytes: None), _tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    done = 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"0 of {len(files)} files", total=sum(file.size for file in files))

        def ended(outcome: "Outcome | None") -> None:
            nonlocal done
            done += 1
            bar.update(task, description=f"{done} of {len(files)} files")
            _tell(outcome)

        yield (lambda count: bar.advance(task, count)), ended


def _tell(outcome: "Outcome | None") -> None:
    """Errors on stderr; in a pipe what was made of each file, on stdout."""
    if outcome is None:
        return
    if outcome.error is not None:
        typer.echo(f"pinakes: {outcome.path}: {' '.join(outcome.error.split())}", err=True)
    elif not sys.stdout.isatty():
        typer.echo(f"{outcome.asset_id or outcome.model_id}\t{outcome.path}")
