"""The floor: an ASGI app that does nothing but send recorded answers, on the same server as pinakes.

The file named by ANSWERS holds, for each operation, the headers and the body that pinakes sent.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
LIST = "/v1/collections"


def _messages(headers: list[list[str]], body: str) -> tuple[Message, Message]:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    start = {"type": "http.response.start", "status": 200, "headers": raw}
    return start, {"type": "http.response.body", "body": body.encode()}


ANSWERS = {name: _messages(*answer) for name, answer in json.loads(Path(os.environ["ANSWERS"]).read_text()).items()}
GET, PAGE, CREATE, ADD = (ANSWERS[name] for name in ("get", "list", "create", "add"))


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    method = scope["method"]
    if method == "GET":
        start, body = PAGE if scope["path"] == LIST else GET
    else:
        while (await receive()).get("more_body"):
            pass
        start, body = CREATE if method == "POST" else ADD
    await send(start)
    await send(body)
