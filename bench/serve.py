"""python -m bench.serve MODULE PORT: the `app` of a module on the server of pinakes, with nothing of it above."""

import importlib
import sys

from pinakes.api import server


def main() -> None:
    module, port = sys.argv[1:]
    listener = server.listen("127.0.0.1", int(port))
    server.serve(importlib.import_module(module).app, listener, lambda _: None, "off")


if __name__ == "__main__":
    main()
