"""The table of routes, and finding one in it.

A route is data: where it is, which verb it calls (whose scope decides who may), what comes in and goes out. Handlers,
access checks, documentation and generated tests all follow from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from pinakes.access import scope_of
from pinakes.errors import Code, PinakesError

if TYPE_CHECKING:
    from pinakes.api.call import Call

Handler = Callable[["Call[Any, Any]"], Awaitable[msgspec.Struct]]


class ProjectQuery(msgspec.Struct, frozen=True, rename="camel"):
    """What every call takes: the project to act in, when it is not the key's own."""

    project_id: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `body` None: the request's body, if any, is ignored. `is_upload`: it may be as large as a file.

    `is_conditional`: 304 is among its answers. `is_read`: its scope is one that only reads.
    """

    method: str
    path: str
    handler: Handler
    scope: str
    summary: str
    answer: type[msgspec.Struct]
    query: type[ProjectQuery] = ProjectQuery
    body: type[msgspec.Struct] | None = None
    example: dict[str, Any] | None = None
    errors: tuple[Code, ...] = ()
    is_upload: bool = False
    needs_body: bool = True
    is_conditional: bool = False
    decoder: msgspec.json.Decoder[Any] | None = field(default=None, compare=False)
    is_read: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_read", self.scope.endswith(".read"))

    @property
    def noun(self) -> str:
        """The first part of the path, which groups routes."""
        return self.path.split("/")[1]


class Routes:
    """Collects the routes of one file."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        verb: Callable[..., Any],
        answer: type[msgspec.Struct],
        *,
        body: type[msgspec.Struct] | None = None,
        **more: Any,
    ) -> Callable[[Handler], Handler]:
        """Decorates a handler; its docstring is the summary."""

        def register(handler: Handler) -> Handler:
            decoder = None if body is None else msgspec.json.Decoder(body)
            route = Route(
                method,
                path,
                handler,
                scope_of(verb),
                (handler.__doc__ or "").strip(),
                answer,
                body=body,
                decoder=decoder,
                **more,
            )
            self.all.append(route)
            return handler

        return register


class Router:
    """Finds a route by method and path. A tree of path segments: the cost does not grow with the number of routes."""

    def __init__(self, routes: list[Route]) -> None:
        self._root: dict[str | None, Any] = {}  # None stands for a parameter, "" holds the routes of a path
        for route in routes:
            node = self._root
            for segment in route.path.strip("/").split("/"):
                node = node.setdefault(None if segment.startswith("{") else segment, {})
            node.setdefault("", (route.path, {}))[1][route.method] = route

    def find(self, path: str) -> tuple[str, dict[str, Route], list[str]] | None:
        """What matches a path: as it stands in the table, its routes by method, and the path's parameters.

        One slash at the end makes no difference.
        """
        node = self._root
        params: list[str] = []
        for segment in path.removesuffix("/").split("/")[1:]:
            if not segment:
                return None
            found = node.get(segment)
            if found is None:
                found = node.get(None)
                if found is None:
                    return None
                params.append(unquote(segment) if "%" in segment else segment)
            node = found
        found = node.get("")
        return None if found is None else (*found, params)


def allowed(methods: dict[str, Route]) -> str:
    """The value of `Allow`."""
    names = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(names))


def wrong_method(methods: dict[str, Route], method: str) -> PinakesError:
    """405 with `Allow`."""
    allow = allowed(methods)
    return PinakesError("METHOD_NOT_ALLOWED", f"This path does not take {method}; it takes {allow}.", allow=allow)
