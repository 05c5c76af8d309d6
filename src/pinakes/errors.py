"""The one error class of the project, and its codes.

A code is what a program branches on; the message is what a person reads, and says what to do next. `api` maps a code to
an HTTP status, `cli` maps it to an exit status; nothing else knows either.
"""

from typing import Any, Literal, get_args

Code = Literal[
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "GONE",
    "PRECONDITION_FAILED",
    "PRECONDITION_REQUIRED",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "RANGE_NOT_SATISFIABLE",
    "TOO_MANY_REQUESTS",
    "INTERNAL",
    "UNAVAILABLE",
]

CODES: tuple[Code, ...] = get_args(Code)


class PinakesError(Exception):
    """Something was asked for that cannot be done. `details` are facts for a program, never a secret."""

    def __init__(self, code: Code, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.details = details


def bad_request(field: str, message: str, **details: Any) -> PinakesError:
    """A request that cannot be right; `field` names the part to change, as it is spelled on the wire."""
    return PinakesError("BAD_REQUEST", f"{field}: {message}", field=field, **details)


def not_found(noun: str, id: str) -> PinakesError:
    """Unknown, deleted, or another project's: the three read the same."""
    where = "that this key may see" if noun in ("project", "team") else "in this project"
    return PinakesError("NOT_FOUND", f"There is no {noun} {id!r} {where}.", missing=[id])
