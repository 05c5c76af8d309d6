"""What is measured: the name it has in `wrk.lua` and in every result, and what people read."""

OPERATIONS = {
    "get": "get one",
    "list": "list 100",
    "create": "create",
    "add": "add 49",
    "remove": "remove 49",
    "first": "first 100 of a large one",
    "last": "last 100 of a large one",
    "bulk": "get 200 by id",
    "thumbnail": "thumbnail",
    "search": "search",
    "trash": "trash, restore",
}
