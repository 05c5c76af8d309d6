"""SQL of every noun, and the transactions it runs in.

`Store.read()` is a snapshot, `Store.write()` is a transaction that is durable when it ends; both hand out a `Tx`, on
which each noun's statements live under its name. Nothing outside this package knows a table or an engine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from pinakes.store.access import AccessSql
from pinakes.store.assets import AssetSql
from pinakes.store.collections import CollectionSql
from pinakes.store.copying import RowSql
from pinakes.store.dialect import Driver
from pinakes.store.downloads import DownloadSql
from pinakes.store.ingredients import IngredientSql
from pinakes.store.jobs import JobSql
from pinakes.store.members import MemberSql
from pinakes.store.mlmodels import ModelSql
from pinakes.store.processes import ProcessSql
from pinakes.store.projects import ProjectSql
from pinakes.store.rates import RateSql
from pinakes.store.search import SearchSql
from pinakes.store.tags import TagSql
from pinakes.store.upkeep import UpkeepSql
from pinakes.store.uploads import UploadSql

T = TypeVar("T")
Done = Callable[[list[tuple[Any, Any, BaseException | None]]], None]


class Tx:
    """One open transaction: the statements of every noun on one connection."""

    def __init__(self, driver: Driver) -> None:
        self.access = AccessSql(driver)
        self.projects = ProjectSql(driver)
        self.collections = CollectionSql(driver)
        self.collection_assets = MemberSql(driver, "asset")
        self.collection_models = MemberSql(driver, "model")
        self.assets = AssetSql(driver)
        self.models = ModelSql(driver)
        self.ingredients = IngredientSql(driver)
        self.downloads = DownloadSql(driver)
        self.tags = TagSql(driver)
        self.search = SearchSql(driver)
        self.jobs = JobSql(driver)
        self.processes = ProcessSql(driver)
        self.rates = RateSql(driver)
        self.uploads = UploadSql(driver)
        self.upkeep = UpkeepSql(driver)
        self.rows = RowSql(driver)


class Store(Protocol):
    """What an engine offers."""

    is_embedded: bool
    """Whether a bounded read is so short that it may run where nobody else should wait, as on an event loop."""

    def read(self) -> AbstractContextManager[Tx]:
        """A snapshot: everything read inside is of one moment. UNAVAILABLE when the engine does not answer."""
        ...

    def replica(self) -> "Store":
        """The same store, read from a copy of the database where there is one, and it has all that was committed."""
        ...

    def glance(self) -> AbstractContextManager[Tx]:
        """As `read`, without a transaction around it: each statement is of its own moment."""
        ...

    def survey(self) -> AbstractContextManager[Tx]:
        """A connection of its own for reading all there is, in no transaction: `Tx.upkeep.snapshot` makes one.

        What `Tx.upkeep.gather` notes lies on disk and not in memory, and is gone afterwards.
        """
        ...

    def write(self, owner: int | None = None, *, beside: bool = False) -> AbstractContextManager[Tx]:
        """All or nothing, and durable once left without an exception. Inside another `write` it is a savepoint.

        Nobody else writes meanwhile: in the whole library, or in the project of that number. With `beside`, others
        who say so too may write there meanwhile; that is for verbs which change counts in a row they have locked
        (`dialect.LOCKED`), and do not change what is live or what models are known by. UNAVAILABLE where a library
        takes no changes.
        """
        ...

    def fill(self) -> AbstractContextManager[Tx]:
        """As `write`, alone in the library, also where a library takes no changes (`store.closing`)."""
        ...

    def transaction(self) -> AbstractContextManager[Tx]:
        """As `write`, but begins, and keeps others from writing, when a `write` inside does.

        A statement before that is of its own moment, and stored by itself.
        """
        ...

    def attempt(self, verb: Callable[[], T]) -> T:
        """Call a verb, and call it anew when it could not be done for reasons that have passed."""
        ...

    def submit(self, verb: Callable[[], Any], token: Any, done: Done, subject: tuple[str, ...] = ()) -> None:
        """Queue a whole verb for the writer, which commits it together with the others that wait (group commit).

        `subject` says by ids what it changes: where several threads write, each takes its verbs in this order.
        `done` is called on the writer's thread, once for each commit, with `(token, result, error)` of each verb.
        """
        ...

    def ready(self) -> None:
        """UNAVAILABLE unless the writer answers. A lock that another process holds for now is an answer too."""
        ...

    def version(self) -> int:
        """On an embedded engine: another one as soon as this thread reads what was committed since. Else always 0."""
        ...

    def statements(self) -> int:
        """How many statements have run so far."""
        ...

    def replica_reads(self) -> tuple[int, int]:
        """How many reads a replica has answered so far, and how many it could not in time."""
        ...

    def log_bytes(self) -> int:
        """The size of the write-ahead log."""
        ...

    def backup(self, path: str) -> None:
        """Write a consistent copy of the database to a new file while others read and write."""
        ...

    def close(self) -> None:
        """Finish what is queued, fold the log into the database, and let go."""
        ...
