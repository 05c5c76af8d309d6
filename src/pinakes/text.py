"""Text and numbers on the wire: what they may be, as a check and as a schema."""

from typing import Annotated

from msgspec import Meta

from pinakes.errors import bad_request

MAX_NAME = 1024
MAX_TAG = 256
MAX_DESCRIPTION = 100_000

_NOT_BLANK = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_NO_NUL = {"pattern": r"^[^\u0000]*$"}

# The bounds stand in the schema alone; the checks below say it better than a decoder could.
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_NAME, **_NOT_BLANK})]
TagName = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_TAG, **_NOT_BLANK})]
Prose = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_DESCRIPTION, **_NO_NUL})]
Id = Annotated[str, Meta(min_length=1)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


# The SDK types numbers as floats, so whole ones must be taken in that form too.
WHOLE = {"multipleOf": 1}
"""The schema of a float that `whole` makes an integer of."""


def whole(field: str, value: float) -> int:
    """A number without a fraction. Raises BAD_REQUEST for one with."""
    if value != int(value):
        raise bad_request(field, f"expected a whole number, got {value}")
    return int(value)


def check_name(field: str, name: str, most: int = MAX_NAME) -> None:
    """Names are kept byte for byte, so only what no client can mean is refused. Raises BAD_REQUEST."""
    if not name.strip():
        raise bad_request(field, "must not be empty or only white space")
    check_prose(field, name, most)


def check_prose(field: str, text: str, most: int = MAX_DESCRIPTION) -> None:
    """Length, and U+0000, which not every engine can store. Raises BAD_REQUEST."""
    if len(text) > most:
        raise bad_request(field, f"must have at most {most} characters, got {len(text)}")
    if "\0" in text:
        raise bad_request(field, "must not contain the character U+0000")
