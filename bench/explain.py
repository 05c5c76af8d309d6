"""What an engine does for each statement of a verb, as it really ran: noted on the way, statement by statement.

PostgreSQL explains a statement right before it runs, in a savepoint that is rolled back, once as it plans for the
values at hand and once as it plans for any: psycopg prepares what has run five times, and the server may choose either.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import apsw
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composable, Literal

from pinakes.library import Library
from pinakes.store.connections import Link, parameters
from pinakes.store.dialect import postgres_spelling
from pinakes.store.sqlite import SqliteStore

Modes = tuple[str, ...]
BOTH: Modes = ("custom", "generic")
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_TYPES = {bool: "boolean", int: "bigint", float: "double precision", bytes: "bytea"}


class Step(NamedTuple):
    """A part of a plan. `reads`: rows it looked at; `gives`: rows it passed on; both over all of its loops."""

    kind: str
    relation: str
    condition: str
    reads: int
    gives: int


class Explained(NamedTuple):
    """A statement, the method that it is of, and what was done for it. `work` is SQLite's: steps of its machine."""

    name: str
    sql: str
    params: tuple[Any, ...]
    mode: str
    steps: list[Step]
    work: int = 0


@contextmanager
def explained(library: Library, modes: Modes = BOTH, most: int = 1_000) -> Iterator[list[Explained]]:
    """Fills the list with what the verbs called meanwhile do, on PostgreSQL `most` times for the same statement."""
    found: list[Explained] = []
    if isinstance(library.store, SqliteStore):
        with _in_sqlite(library.store, found):
            yield found
    else:
        with _in_postgres(found.append, modes, most):
            yield found


@contextmanager
def _in_postgres(note: Callable[[Explained], None], modes: Modes, most: int) -> Iterator[None]:
    run, seen = Link._run, Counter[tuple[str, str]]()

    def explain_and_run(link: Link, sql: str, params: tuple[Any, ...]) -> None:
        if sql.split()[0] in _VERBS:
            text, lists, is_planned_anew, _ = postgres_spelling(sql, link.is_writing)
            values, name = parameters(params, lists), name_of(sys._getframe(1))
            seen[name, text] += 1
            for mode in (modes[:1] if is_planned_anew else modes) if seen[name, text] <= most else ():
                if (plan := _plan(link.connection, text, values, mode)) is not None:
                    note(Explained(name, text, values, mode, list(_steps(plan))))
        run(link, sql, params)

    Link._run = explain_and_run  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Link._run = run  # type: ignore[method-assign]


def name_of(frame: FrameType | None) -> str:
    """The method of a noun's statements that is running, such as `assets.find`."""
    name = ""
    while frame is not None:
        owner = type(frame.f_locals.get("self")).__name__
        if owner.endswith("Sql"):
            name = f"{owner}.{frame.f_code.co_name}"
        frame = frame.f_back
    return name


def _plan(connection: psycopg.Connection, spelled: str, params: tuple[Any, ...], mode: str) -> Any:
    """What was done when it ran on trial. None when it cannot be done, which its caller will find out."""
    cursor = connection.cursor()
    is_alone = connection.pgconn.transaction_status == TransactionStatus.IDLE
    cursor.execute("BEGIN" if is_alone else "SAVEPOINT explained")
    parts = spelled.split("%s")
    text = "".join(f"{part}${at}" for at, part in enumerate(parts[:-1], 1)) + parts[-1]
    types = ", ".join(_TYPES.get(type(value), "unknown") for value in params)
    values: Composable = SQL(", ").join(map(Literal, params))
    try:
        cursor.execute(f"SET LOCAL plan_cache_mode = force_{mode}_plan".encode())
        cursor.execute(f"PREPARE explained{f'({types})' if params else ''} AS {text.replace('%%', '%')}".encode())
        how = SQL("EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS OFF) EXECUTE explained")
        rows = cursor.execute(how + (SQL("({})").format(values) if params else SQL(""))).fetchall()
    except psycopg.errors.IntegrityError:
        rows = []
    cursor.execute("ROLLBACK" if is_alone else "ROLLBACK TO SAVEPOINT explained; RELEASE SAVEPOINT explained")
    cursor.execute("DEALLOCATE ALL")
    connection._prepared.clear()
    return json.loads(rows[0][0])[0]["Plan"] if rows else None


def _steps(plan: dict[str, Any]) -> Iterator[Step]:
    loops = plan["Actual Loops"]
    gives = round(plan["Actual Rows"] * loops)
    removed = sum(round(value * loops) for name, value in plan.items() if name.startswith("Rows Removed by"))
    below = plan.get("Plans", [])
    taken = max((round(part["Actual Rows"] * part["Actual Loops"]) for part in below), default=0)
    condition = plan.get("Index Cond") or plan.get("Recheck Cond") or ""
    if loops:
        relation = plan.get("Relation Name") or plan.get("Index Name") or ""
        yield Step(plan["Node Type"], relation, condition, max(gives + removed, taken), gives)
    for part in below:
        yield from _steps(part)


@contextmanager
def _in_sqlite(store: SqliteStore, found: list[Explained]) -> Iterator[None]:
    """Explains afterwards, because a connection forgets how many rows were changed once it runs something else."""
    with store.read():
        drivers = [store._writer, *store._readers.values()]
    ran: list[tuple[apsw.Connection, str, str, Any, int]] = []
    for driver in drivers:
        _trace(driver.connection, ran)
    try:
        yield
    finally:
        for driver in drivers:
            driver.connection.set_exec_trace(None)
            driver.connection.trace_v2(0)
    for connection, name, sql, params, work in ran:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", params)]
        found.append(Explained(name, sql, params, "", [Step(*_sqlite_step(text), "", 0, 0) for text in plan], work))


def _trace(connection: apsw.Connection, ran: list[tuple[apsw.Connection, str, str, Any, int]]) -> None:
    begun: list[tuple[str, str, Any]] = []

    def note(_: apsw.Cursor, sql: str, params: Any) -> bool:
        if sql.split()[0] in _VERBS:
            begun.append((name_of(sys._getframe(1)), sql, params))
        return True

    def profile(event: dict[str, Any]) -> None:
        if begun and event["sql"] == begun[-1][1]:
            ran.append((connection, *begun.pop(), event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]))

    connection.set_exec_trace(note)
    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)


def _sqlite_step(text: str) -> tuple[str, str]:
    kind, _, rest = text.partition(" ")
    return kind, rest


def as_json(found: list[Explained]) -> str:
    """For a look at them."""
    return json.dumps([one._asdict() for one in found], default=str)
