"""Object stores by URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.

What is not secret may stand in the query; credentials come from the environment, where obstore looks for them itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from pinakes.blobs import is_refusal, said
from pinakes.errors import PinakesError, bad_request

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_CLIENT: ClientConfig = {
    "connect_timeout": timedelta(seconds=3),
    "read_timeout": timedelta(seconds=60),  # for the next bytes; completing a large upload takes stores long
    "timeout": timedelta(hours=1),  # for one answer with all its bytes; reading goes on with another
}
_RETRY: RetryConfig = {
    "max_retries": 3,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
    "retry_timeout": timedelta(seconds=20),
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_SEGMENT = re.compile(r"[\w .+=@~-]+")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?(/[\w./~-]*)?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?")
_FLAGS = {"true": True, "false": False}


class Place(NamedTuple):
    """What a URL says: `given` are the parameters of its query."""

    scheme: str
    bucket: str
    prefix: str
    given: dict[str, str]


def open_store(url: str) -> ObjectStore:
    """BAD_REQUEST naming `blob_url` for what cannot be right. Secrets that stand in it are not repeated."""
    place = _place(url)
    parameters, make = _SCHEMES[place.scheme]
    for name in place.given:
        if name not in parameters:
            raise _wrong(f"{place.scheme}:// takes {', '.join(parameters)} after the question mark, not {name!r}")
    if "endpoint" in place.given and not _ENDPOINT.fullmatch(place.given["endpoint"]):
        raise _wrong("endpoint: expected http:// or https://, a host, and a port if need be")
    try:
        return make(place)
    except BaseError as error:
        raise _wrong(_reason(str(error))) from error


def require_store(store: ObjectStore) -> None:
    """BAD_REQUEST naming `blob_url` when the store answers that it will never do. One that is away may come back."""
    try:
        next(iter(store.list(chunk_size=1)), None)
    except FileNotFoundError as error:
        raise _wrong("there is no such bucket; make it, or correct its name") from error
    except BaseError as error:
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise _wrong("there is no such bucket; make it, or correct its name") from error
        if is_refusal(error):
            raise _wrong(f"the store refuses to list the bucket: {said(error)}; look at its credentials") from error


def _place(url: str) -> Place:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise _wrong("credentials do not belong into it; they come from the environment, as AWS_ACCESS_KEY_ID does")
    if not _BUCKET.fullmatch(parts.netloc):
        raise _wrong(f"after {parts.scheme}:// expected the name of a bucket")
    prefix = unquote(parts.path).strip("/")
    if prefix and not all(_SEGMENT.fullmatch(part) and part not in (".", "..") for part in prefix.split("/")):
        raise _wrong("after the bucket expected names separated by single slashes, or nothing")
    given = parse_qsl(parts.query, keep_blank_values=True)
    if len(dict(given)) < len(given) or parts.fragment:
        raise _wrong("a parameter is given twice, or there is a #")
    return Place(parts.scheme, parts.netloc, prefix, dict(given))


def _s3(place: Place) -> S3Store:
    config = {name: value for name, value in place.given.items() if name != "path_style"}
    is_path_style = _flag(place, "path_style", default=True)
    if not is_path_style:
        config["virtual_hosted_style_request"] = "true"
        if "endpoint" in config:  # obstore expects the bucket in it then
            scheme, _, host = config["endpoint"].partition("://")
            config["endpoint"] = f"{scheme}://{place.bucket}.{host}"
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]  # keys that it has
        client_options=_client(place),
        retry_config=_RETRY,
    )


def _gs(place: Place) -> GCSStore:
    config = {"base_url": place.given["endpoint"]} if "endpoint" in place.given else {}
    return GCSStore(
        place.bucket,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]  # keys that it has
        client_options=_client(place),
        retry_config=_RETRY,
    )


def _az(place: Place) -> AzureStore:
    config = {"endpoint": place.given["endpoint"]} if "endpoint" in place.given else {}
    if "account" in place.given:
        config["account_name"] = place.given["account"]
    if _flag(place, "emulator", default=False):
        config["use_emulator"] = "true"
    return AzureStore(
        place.bucket,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]  # keys that it has
        client_options=_client(place),
        retry_config=_RETRY,
    )


_SCHEMES: dict[str, tuple[tuple[str, ...], Callable[[Place], ObjectStore]]] = {
    "s3": (("endpoint", "region", "path_style"), _s3),
    "gs": (("endpoint",), _gs),
    "az": (("account", "endpoint", "emulator"), _az),
}
SCHEMES = tuple(_SCHEMES)


def _client(place: Place) -> ClientConfig:
    """Without TLS only where the endpoint says so itself."""
    is_plain = place.given.get("endpoint", "").startswith("http://") or place.given.get("emulator") == "true"
    return {**_CLIENT, "allow_http": True} if is_plain else _CLIENT


def _flag(place: Place, name: str, *, default: bool) -> bool:
    value = place.given.get(name)
    if value is None:
        return default
    if value not in _FLAGS:
        raise _wrong(f"{name}: expected true or false")
    return _FLAGS[value]


def _reason(text: str) -> str:
    """What obstore found missing, in words that name no value."""
    if "Account must be specified" in text:
        return "name the storage account: ?account=NAME, or AZURE_STORAGE_ACCOUNT_NAME in the environment"
    return "the store cannot be set up; look at the variables of its kind in the environment"


def _wrong(why: str) -> PinakesError:
    return bad_request("blob_url", why)
