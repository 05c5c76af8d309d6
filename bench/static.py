"""The limit of sending a file: what starlette has for it, for the folder FILES, on the same server as pinakes."""

import os

from starlette.staticfiles import StaticFiles

app = StaticFiles(directory=os.environ["FILES"])
