"""The floor: an ASGI app that does nothing but send a recorded answer, on the same server as pinakes.

The file named by ANSWERS holds, for each operation, the headers and the body that pinakes sent. OPERATION names the one
that is asked for, so that nothing is looked up. With SQL, the path of a library, the one statement that the operation
is about is run too and its rows made into JSON, with no check of who asks.
"""

import base64
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import apsw
import msgspec

from pinakes.api.collections import CollectionPage, OneCollection
from pinakes.collections import Collection
from pinakes.store import collections as statements

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

TOKEN = "x" * 54
"""As long as those that pinakes signs."""
_headers, _body = json.loads(Path(os.environ["ANSWERS"]).read_text())[os.environ["OPERATION"]]
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in _headers if name != "date"],
}
BODY = {"type": "http.response.body", "body": base64.b64decode(_body)}


async def replay(scope: Message, receive: Receive, send: Send) -> None:
    """Nothing is faster than this."""
    if scope["method"] != "GET":
        while (await receive()).get("more_body"):
            pass
    await send(START)
    await send(BODY)


def querying(path: str) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The same with the statement."""
    execute, encode = apsw.Connection(path).execute, msgspec.json.Encoder().encode
    project = os.environ["PROJECT"]
    ((owner,),) = execute("SELECT number FROM project WHERE id = ?", (project,)).fetchall()
    headers = [header for header in START["headers"] if header[0] != b"content-length"]

    def shown(row: Any) -> Collection:
        return Collection(row[1], row[2], project, row[6], row[7], row[3], row[4], row[3] + row[4])

    def get(path: str) -> msgspec.Struct:
        (row,) = execute(statements.FIND, (owner, path.rpartition("/")[2])).fetchall()
        return OneCollection(shown(row))

    def get_page(_: str) -> msgspec.Struct:
        rows = execute(statements.PAGE, (owner, statements.AFTER_ALL_IDS, 101)).fetchall()
        return CollectionPage([shown(row) for row in rows[:100]], TOKEN)

    read = {"get": get, "list": get_page}[os.environ["OPERATION"]]

    async def answer(scope: Message, _receive: Receive, send: Send) -> None:
        body = encode(read(scope["path"]))
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})

    return answer


app = querying(os.environ["SQL"]) if "SQL" in os.environ else replay
