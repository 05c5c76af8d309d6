"""What `pinakes upload` notes of files that are on their way, so that another run can go on with them.

A small file for each, in `pinakes/uploads` below `$XDG_STATE_HOME` (`~/.local/state`). A note is of one file as it was,
on its way to one server in one way; there are no secrets in it.
"""

import hashlib
import os
import time

import msgspec

from pinakes.config import state_home

_OLD_S = 8 * 24 * 3600
"""Servers forget an upload that nothing happened to; ours after a week."""


class Note(msgspec.Struct, frozen=True, rename="camel"):
    """An upload that was begun, in parts of this size but for the last."""

    upload_id: str
    part_size: int


class Notes:
    """Safe to use in several processes."""

    def __init__(self) -> None:
        self._folder = state_home() / "pinakes" / "uploads"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._folder.iterdir():
            if path.stat().st_mtime < time.time() - _OLD_S:
                path.unlink(missing_ok=True)

    def find(self, key: str) -> Note | None:
        """None when there is none, or none that can be read."""
        try:
            return msgspec.json.decode((self._folder / key).read_bytes(), type=Note)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def keep(self, key: str, note: Note) -> None:
        """Whole or not at all, whatever happens meanwhile."""
        new = self._folder / f"{key}.{os.getpid()}"
        new.write_bytes(msgspec.json.encode(note))
        new.replace(self._folder / key)

    def forget(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)


def key_of(*facts: object) -> str:
    """The name of a note about something that these facts tell from all else."""
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
