"""The numbered migrations of each engine, and what is said when a database has another schema than this version."""

from importlib import resources
from typing import Literal, NamedTuple, get_args

from pinakes.errors import PinakesError

Engine = Literal["sqlite", "postgres"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


class Migration(NamedTuple):
    """A step from one schema to the next."""

    number: int
    name: str
    sql: str


def migrations(engine: Engine) -> list[Migration]:
    """All there are, in order."""
    folder = resources.files("pinakes.store") / "migrations" / engine
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name.split("_")[0]), file.name, file.read_text()) for file in files]


def require(engine: Engine, have: int, where: str, option: str) -> None:
    """UNAVAILABLE unless a database has the schema of this version. `option` is how a command is told of it."""
    need = migrations(engine)[-1].number
    if have < need:
        raise PinakesError(
            "UNAVAILABLE", f"{where} has schema {have}, this version needs {need}: run `pinakes migrate {option}`."
        )
    if have > need:
        raise PinakesError("UNAVAILABLE", f"{where} was written by a newer Pinakes (schema {have}): upgrade Pinakes.")
