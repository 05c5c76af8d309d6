"""What is measured, by the name it has in `wrk.lua` and in every result."""

from typing import NamedTuple


class Operation(NamedTuple):
    """`label` is for people; what `is_write` waits for the disk."""

    label: str
    is_write: bool = False


OPERATIONS = {
    "get": Operation("get one"),
    "list": Operation("list 100"),
    "create": Operation("create", is_write=True),
    "add": Operation("add 49", is_write=True),
    "remove": Operation("remove 49", is_write=True),
    "first": Operation("first 100 of a large one"),
    "last": Operation("last 100 of a large one"),
    "bulk": Operation("get 200 by id"),
    "thumbnail": Operation("thumbnail"),
    "search": Operation("search"),
    "trash": Operation("trash, restore", is_write=True),
}
