"""The bytes of a library on their way into another store: files, their pictures, and parts of what is on its way in.

What is there already, whole, is passed over, so that a copy that was interrupted goes on. The hash of a file is
compared while it is copied, and nothing is stored under a name that is not its hash.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import groupby
from typing import TYPE_CHECKING

from pinakes.blob_urls import open_parts
from pinakes.blobs import Blobs, blob_key
from pinakes.errors import PinakesError

if TYPE_CHECKING:
    from pinakes.store import Store
    from pinakes.store.upkeep import Reference
    from pinakes.upload_types import StoredPart

Show = Callable[[int, int], None]

_KINDS = ("blobs", "thumbnails")
_BATCH = 1_000
_SMALL = 1 << 20
_WAITING = 8
"""Files that may wait for each thread, so that a long list is never in memory."""


class _Damaged(Exception):  # noqa: N818 - what was found, not what went wrong
    """The bytes of a file are not what its name says."""


class Files:
    """Two stores of bytes. `absent` are hashes of files that were missing or damaged when they were to be copied."""

    def __init__(
        self, source: Blobs, target: Blobs, *, jobs: int, is_verified: bool, renew: Callable[[], None]
    ) -> None:
        self._source, self._target = source, target
        self._parts_from, self._parts_to = open_parts(source), open_parts(target)
        self._is_verified = is_verified
        self._renew = renew
        self._jobs = jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="copy")
        self._door = threading.Lock()
        self._running: set[Future[None]] = set()
        self.copied = self.bytes = 0
        self.absent: set[str] = set()

    def close(self) -> None:
        """Give up what has not begun."""
        self._threads.shutdown(cancel_futures=True)

    def copy_all(self, store: Store, show: Show) -> None:
        """Copy whatever rows refer to; `show` gets bytes of files that are done, and of all."""
        done = 0
        with store.survey() as tx:
            with tx.upkeep.snapshot():
                tx.upkeep.gather()
                total = tx.upkeep.referenced_bytes()
            for prefix, found in groupby(_references(tx.upkeep.references), lambda one: one.sha256[:2]):
                sizes = {one.sha256: one.most_size for one in found}
                self._copy_folder(prefix, set(sizes))
                done += sum(sizes.values())
                show(done, total)
                self._renew()
        self._wait(0)

    def copy_some(self, hashes: Iterable[str]) -> None:
        """Copy these files and their pictures."""
        for folder, found in groupby(sorted(hashes), lambda sha256: f"{sha256[:2]}/{sha256[2:4]}"):
            self._copy_folder(folder, set(found))
        self._wait(0)

    def copy_parts(self, parts: Iterable[tuple[str, StoredPart]]) -> None:
        """Copy parts of files that are on their way."""
        for upload_id, part in parts:
            if self._parts_to.lost(upload_id, [part]):
                self._begin(self._copy_part, upload_id, part)
        self._wait(0)

    def _copy_folder(self, folder: str, wanted: set[str]) -> None:
        here, there = _listed(self._source, folder, wanted), _listed(self._target, folder, wanted)
        for key, size in here.items():
            if there.get(key) != size:
                self._begin(self._copy, key, size)
            elif self._is_verified:
                self._begin(self._verify, key, size)
        missing = {sha256 for sha256 in wanted if blob_key(sha256) not in here and blob_key(sha256) not in there}
        with self._door:
            self.absent |= missing

    def _begin(self, job: Callable[..., None], *args: object) -> None:
        self._wait(self._jobs * _WAITING)
        self._running.add(self._threads.submit(job, *args))

    def _wait(self, most: int) -> None:
        """Until at most so many files are on their way. The error of one that could not be copied."""
        while len(self._running) > most:
            over, self._running = wait(self._running, return_when="FIRST_COMPLETED")
            for one in over:
                one.result()

    def _copy(self, key: str, size: int) -> None:
        """NOT_FOUND tells that it was deleted since it was listed: then nothing refers to it any more."""
        sha256 = _name_of(key) if key.startswith("blobs/") else None
        try:
            if size <= _SMALL:
                data = self._source.read(key)
                if sha256 and hashlib.sha256(data).hexdigest() != sha256:
                    raise _Damaged
                self._target.write(key, data)
            else:
                self._target.write_stream(key, _checked(self._source.stream(key, 0, size), sha256), size)
        except _Damaged:
            self._lack(key)
        except PinakesError as error:
            if error.code != "NOT_FOUND":
                raise
            self._lack(key)
        else:
            with self._door:
                self.copied += 1
                self.bytes += size
                self.absent.discard(_name_of(key))

    def _lack(self, key: str) -> None:
        if key.startswith("blobs/"):
            with self._door:
                self.absent.add(_name_of(key))

    def _verify(self, key: str, size: int) -> None:
        """A picture has no hash in its name, and is compared with the one it is a copy of."""
        wanted = _name_of(key) if key.startswith("blobs/") else _digest(self._source.stream(key, 0, size))
        if _digest(self._target.stream(key, 0, size)) != wanted:
            self._copy(key, size)

    def _copy_part(self, upload_id: str, part: StoredPart) -> None:
        """A part that is not there any more may be a file already: a single one becomes that by getting its name."""
        if self._parts_from.lost(upload_id, [part]):
            if info := self._source.info(part.sha256):
                self._copy(blob_key(part.sha256), info.size)
            return
        writer = self._parts_to.begin(upload_id, part.number)
        for chunk in self._parts_from.read(upload_id, part):
            writer.write(chunk)
        if writer.digest().hex() == part.sha256:
            writer.finish()
            with self._door:
                self.copied += 1
                self.bytes += part.size


def _references(page: Callable[[str, int], list[Reference]]) -> Iterator[Reference]:
    after = ""
    while batch := page(after, _BATCH):
        yield from batch
        after = batch[-1].sha256


def _listed(blobs: Blobs, folder: str, wanted: set[str]) -> dict[str, int]:
    """The sizes of files in a folder, and of what was made of them."""
    return {
        path: size for kind in _KINDS for path, size, _ in blobs.paths(f"{kind}/{folder}") if _name_of(path) in wanted
    }


def _name_of(key: str) -> str:
    """The hash that a key begins with."""
    return key.rpartition("/")[2][:64]


def _checked(chunks: Iterator[bytes], sha256: str | None) -> Iterator[bytes]:
    """The chunks of a file; in the end, before it can be stored, an error if they do not have the hash."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if sha256 and digest.hexdigest() != sha256:
        raise _Damaged


def _digest(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
