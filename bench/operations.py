"""What is measured: the name it has in every result, and what people read."""

OPERATIONS = {  # those that wrk sends
    "get": "get one",
    "list": "list 100",
    "create": "create",
    "add": "add 49",
    "remove": "remove 49",
    "first": "first 100 of a large one",
    "last": "last 100 of a large one",
    "walk": "walk a large one, a page of 100",
    "bulk": "get 200 by id",
    "thumbnail": "thumbnail",
    "search": "search",
    "trash": "trash, restore",
}

APART = {
    "upload": "send a picture of 1 MB and fetch its thumbnail",
    "start": "start, and answer 100,000 requests",
}
"""Of pinakes alone, each measured by a module of its own."""
