"""A library for the length of one command."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pinakes.config import Config
from pinakes.library import Library, open_library


@contextmanager
def opened(config: Config, *, create: bool = False) -> Iterator[Library]:
    """Open and close. UNAVAILABLE when there is no library and it is not to be created."""
    with closing(open_library(config, create=create)) as library:
        yield library
