"""What a server answers, by way of the official SDK, with its errors as ours."""

import re
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import httpx
import scenario_sdk
from scenario_sdk import AsyncScenario

from pinakes.errors import PinakesError

T = TypeVar("T")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")


async def require_answers(client: AsyncScenario, url: str, collection_ids: Iterable[str]) -> None:
    """UNAVAILABLE, UNAUTHORIZED or NOT_FOUND for a wrong URL, key or collection, before anything is sent."""
    once = client.with_options(max_retries=0)
    try:
        await once.uploads.retrieve("upload_none")
    except scenario_sdk.AuthenticationError as error:
        raise PinakesError("UNAUTHORIZED", _reason(error)) from error
    except scenario_sdk.APIConnectionError as error:
        raise PinakesError("UNAVAILABLE", f"There is no server at {url}: {words(error.__cause__)}") from error
    except scenario_sdk.APIStatusError:
        pass  # it has no such upload, in whatever words
    for id in collection_ids:
        await ask(client.collections.retrieve(id))


async def ask(call: Awaitable[T]) -> T:
    """The answer, with the SDK's errors as ours."""
    try:
        return await call
    except scenario_sdk.APIStatusError as error:
        codes: dict[int, Any] = {401: "UNAUTHORIZED", 404: "NOT_FOUND"}
        raise PinakesError(codes.get(error.status_code, "BAD_REQUEST"), _reason(error)) from error
    except scenario_sdk.APIConnectionError as error:
        raise PinakesError("UNAVAILABLE", f"{error.request.url.host} does not answer any more: {error}") from error


def _reason(error: scenario_sdk.APIStatusError) -> str:
    return reason_of(error.response)


def reason_of(answer: httpx.Response) -> str:
    """What a server says is wrong, in its own words if it has any."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    reason = body.get("reason") if isinstance(body, dict) else None
    if code := _CODE.search(answer.content[:4096]):
        return f"the store answers with {answer.status_code} {code[1].decode()}."
    return str(reason or f"the server answers with {answer.status_code}.")


def words(error: BaseException | None) -> str:
    return f"{str(error) or type(error).__name__}".rstrip(".") + "."
