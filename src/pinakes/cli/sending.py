"""Sending files in parts, through the official SDK: many at a time, in one thread, and in little memory.

Errors of one file become its outcome. UNAUTHORIZED and UNAVAILABLE (nobody answers any more) end all of it.
"""

import asyncio
import base64
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import httpx
import msgspec
from scenario_sdk import AsyncScenario, DefaultAsyncHttpxClient

from pinakes.cli.answers import ask, reason_of, require_answers, words
from pinakes.cli.files import File, readable
from pinakes.cli.resume import Note, Notes, key_of
from pinakes.errors import PinakesError
from pinakes.upload_types import MOST_PARTS

_MODELS = (".safetensors", ".gguf", ".ckpt", ".pt")
_WAITS_S = (0.5, 1, 2, 4, 8, 8, 8, 8, 8)
"""Between tries of what may work another time; the SDK waits as long for as many tries."""
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_TOO_SLOW = b"<Code>RequestTimeout</Code>"
"""An S3 store says so with a 400."""

_POLLS_S = (0.1, 5.0)
_AHEAD = 4
"""Files that may wait to be imported, for each that may be sent: looking into files takes longer than sending."""
_MIB = 1 << 20


class Plan(msgspec.Struct, frozen=True):
    """Where to and how. `part_size` is in bytes; `secret` is None when the SDK knows it from the environment."""

    url: str
    key: str | None
    secret: str | None
    collection_ids: list[str]
    kind: str | None
    parent_id: str | None
    hide: bool
    jobs: int
    part_size: int
    is_fresh: bool

    def kind_of(self, file: File) -> str:
        return self.kind or ("model" if file.name.lower().endswith(_MODELS) else "asset")

    def options(self) -> dict[str, Any]:
        given = {"collection_ids": self.collection_ids, "parent_id": self.parent_id, "hide": self.hide}
        return {name: value for name, value in given.items() if value}

    def part_size_of(self, file: File) -> int:
        """Larger than was asked for when there would be more parts than an upload may have."""
        return max(self.part_size, -(-file.size // MOST_PARTS // _MIB) * _MIB)


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """What came of a file."""

    path: str
    upload_id: str | None = None
    asset_id: str | None = None
    model_id: str | None = None
    status: Literal["imported", "failed"] = "failed"
    error: str | None = None


class _Part(NamedTuple):
    number: int
    at: int
    size: int
    url: str
    sha256: str | None
    etag: str | None


async def send_all(
    files: Iterable[File], plan: Plan, moved: Callable[[int], None], ended: Callable[[Outcome], None]
) -> None:
    """Send files and tell how each of them ended. `moved` gets bytes that were sent, below 0 those of a lost try.

    What was noted of them is forgotten when all went well, so that until then another run need not send any again.
    """
    notes, failed = Notes(), 0
    http = DefaultAsyncHttpxClient(timeout=httpx.Timeout(120, connect=10))
    async with AsyncScenario(
        api_key=plan.key, api_secret=plan.secret, base_url=plan.url, http_client=http, max_retries=len(_WAITS_S)
    ) as client:
        await require_answers(client, plan.url, plan.collection_ids)
        sender = _Sender(client, http, plan, notes, moved)
        waiting = iter(files)
        sent: list[str] = []

        async def some() -> None:
            nonlocal failed
            for file in waiting:
                outcome = await sender.send(file)
                sent.append(sender.note_of(file))
                failed += outcome.error is not None
                ended(outcome)

        await _together(some, plan.jobs * (1 + _AHEAD))
    for key in [] if failed else sent:
        notes.forget(key)


class _Sender:
    def __init__(
        self,
        client: AsyncScenario,
        http: httpx.AsyncClient,
        plan: Plan,
        notes: Notes,
        moved: Callable[[int], None],
    ) -> None:
        self._client = client
        self._http = http
        self._plan = plan
        self._notes = notes
        self._moved = moved
        self._host = httpx.URL(plan.url).netloc
        self._files = asyncio.Semaphore(plan.jobs)
        self._parts = asyncio.Semaphore(plan.jobs)
        self._watched = asyncio.Semaphore(plan.jobs)

    def note_of(self, file: File) -> str:
        plan, path = self._plan, str(file.path.absolute())
        facts = (plan.url, self._client.api_key, readable(path), file.size, file.mtime_ns)
        return key_of(*facts, plan.kind_of(file), plan.options())

    async def send(self, file: File) -> Outcome:
        """A file all the way, and what came of it."""
        path, upload_id = readable(file.path), None
        try:
            if file.error:
                raise PinakesError("BAD_REQUEST", file.error)
            async with self._files:
                upload = await self._begin(file)
                upload_id = upload.id
                if upload.status == "pending":
                    upload = await self._send_parts(file, upload)
            upload = await self._imported(upload)
            return await self._finish(file, Outcome(path, upload_id), upload)
        except PinakesError as error:
            if error.code in ("UNAUTHORIZED", "UNAVAILABLE"):
                raise
            return Outcome(path, upload_id, error=error.message)

    async def _begin(self, file: File) -> Any:
        """The upload of an earlier run, if there is one to go on with, else a new one."""
        key, note = self.note_of(file), None
        if not self._plan.is_fresh and (note := self._notes.find(key)):
            try:
                found: Any = (await ask(self._client.uploads.retrieve(note.upload_id))).upload
            except PinakesError as error:
                if error.code != "NOT_FOUND":
                    raise
            else:
                if found.status != "failed":
                    return found
        part_size, kind = self._plan.part_size_of(file), self._plan.kind_of(file)
        about: dict[str, Any] = {} if kind == "model" else {"asset_options": self._plan.options()}
        created: Any = await ask(
            self._client.uploads.create(
                file_name=file.name,
                file_size=file.size,
                content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
                kind=kind,  # type: ignore[arg-type]  # one of those the SDK knows, as the command has made sure
                parts=-(-file.size // part_size),
                **about,
            )
        )
        self._notes.keep(key, Note(created.upload.id, part_size))
        return created.upload

    async def _send_parts(self, file: File, upload: Any) -> Any:
        """Send what is not there yet, and complete the upload."""
        note = self._notes.find(self.note_of(file))
        parts = _parts_of(file, upload, note.part_size if note else self._plan.part_size_of(file))

        async def some() -> None:
            for part in parts:
                async with self._parts:
                    await self._send_part(file, upload.id, part)

        await _together(some, self._plan.jobs)
        file.require_unchanged()
        return (await ask(self._client.uploads.trigger_action(upload.id, action="complete"))).upload

    async def _send_part(self, file: File, upload_id: str, part: _Part) -> None:
        """A store that is not the server itself need not know SHA-256 in this form; it compares MD5."""
        name = "sha256" if httpx.URL(part.url).netloc == self._host else "md5"
        digest = await _digest(file, name, part)
        if digest.hex() in (part.sha256, part.etag):
            self._moved(part.size)
            return
        header = {"sha256": "x-amz-checksum-sha256", "md5": "Content-MD5"}[name]
        headers = {header: base64.b64encode(digest).decode(), "Content-Length": str(part.size)}
        for wait_s in (*_WAITS_S, None):
            problem = await self._put(file, part, headers)
            if problem is None:
                return
            if wait_s is None:
                raise problem
            await asyncio.sleep(wait_s)
            if problem.code == "FORBIDDEN":  # its link has expired
                again: Any = (await ask(self._client.uploads.retrieve(upload_id))).upload
                part = part._replace(url=again.parts[part.number - 1].url)

    async def _put(self, file: File, part: _Part, headers: dict[str, str]) -> PinakesError | None:
        """An error that may be over soon is returned, any other raised."""
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            chunks = file.read(part.at, part.size)
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield chunk
                sent += len(chunk)
                self._moved(len(chunk))

        try:
            answer = await self._http.put(part.url, content=body(), headers=headers)
        except httpx.TransportError as error:
            self._moved(-sent)
            url = httpx.URL(part.url)
            where = self._plan.url if url.netloc == self._host else f"{url.scheme}://{url.netloc.decode()}"
            return PinakesError("UNAVAILABLE", f"{where} does not answer any more: {words(error)}")
        if answer.is_success:
            return None
        self._moved(-sent)
        problem = f"part {part.number}: {reason_of(answer)}"
        if answer.status_code == 403:
            return PinakesError("FORBIDDEN", problem)
        if answer.status_code in _PASSING or _TOO_SLOW in answer.content:
            return PinakesError("BAD_REQUEST", problem)
        raise PinakesError("BAD_REQUEST", problem)

    async def _imported(self, upload: Any) -> Any:
        """The upload once it has ended. Servers import in turn, so only the first of those that wait are asked for."""
        wait_s, most_s = _POLLS_S
        async with self._watched:
            while upload.status not in ("imported", "failed"):
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 1.5, most_s)
                upload = (await ask(self._client.uploads.retrieve(upload.id))).upload
        return upload

    async def _finish(self, file: File, outcome: Outcome, upload: Any) -> Outcome:
        if upload.status == "failed":
            self._notes.forget(self.note_of(file))
            return msgspec.structs.replace(outcome, error=upload.error_message or "the server could not import it.")
        if upload.kind != "model":
            return msgspec.structs.replace(outcome, status="imported", asset_id=upload.entity_id)
        for id in self._plan.collection_ids:
            await ask(self._client.collections.models.add(id, model_ids=[upload.entity_id]))
        return msgspec.structs.replace(outcome, status="imported", model_id=upload.entity_id)


def _parts_of(file: File, upload: Any, part_size: int) -> Iterator[_Part]:
    for part in upload.parts or []:
        at = (int(part.number) - 1) * part_size
        more = part.model_extra or {}  # our server says what it has, the SDK's types do not
        yield _Part(
            int(part.number), at, min(part_size, file.size - at), part.url, more.get("sha256"), more.get("etag")
        )


async def _digest(file: File, name: str, part: _Part) -> bytes:
    return await asyncio.to_thread(file.digest, name, part.at, part.size)


async def _together(some: Callable[[], Awaitable[None]], count: int) -> None:
    """Run it several times at once; the first error ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(_run(some))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _run(some: Callable[[], Awaitable[None]]) -> None:
    await some()
