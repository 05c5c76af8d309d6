"""Serves a new library with two projects, each with an admin key, and tells where and who in one JSON line."""

import json
import sys

from pinakes import access, projects
from pinakes.access import NewApiKey
from pinakes.api.server import run
from pinakes.config import Config
from pinakes.library import Library, open_library


def main(folder: str, settings: str) -> int:
    # Not through `load`, which refuses port 0: here the system chooses.
    library = open_library(Config(data=folder, port=0, access_log=False, **json.loads(settings)))
    keys = [_first_key(library, name) for name in ("Ours", "Theirs")]
    return run(library, lambda url: print(json.dumps({"url": url, "keys": keys}), flush=True))


def _first_key(library: Library, project: str) -> list[str]:
    project_id = projects.create_first(library, project)
    key = access.create_first_key(library, project_id, NewApiKey("Admin", "admin"))
    return [key.id, key.secret, project_id]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
