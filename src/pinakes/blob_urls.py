"""Where bytes are kept, by URL, and the two ways there are to keep them."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import MemoryStore, S3Store

from pinakes.blobs import Blobs
from pinakes.config import AwsKey
from pinakes.errors import PinakesError, bad_request
from pinakes.local.blobs import LocalBlobs
from pinakes.local.parts import LocalParts
from pinakes.objects import urls
from pinakes.objects.blobs import ObjectBlobs
from pinakes.objects.parts import ObjectParts
from pinakes.objects.presigned import Signer
from pinakes.parts import Parts

_EXPECTED = "file:///absolute/folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or memory://"


def open_blobs(url: str, *, is_direct: bool = False, key: AwsKey | None = None) -> Blobs:
    """`file:///absolute/folder` (created when missing), an object store, or `memory://` (gone with the process).

    `is_direct`: clients are sent to the store itself, with links that the key signs. BAD_REQUEST naming `blob_url` or
    `blob_links` for what cannot be right, as far as the store answers.
    """
    parts = urlsplit(url)
    if parts.scheme in urls.SCHEMES:
        store = urls.open_store(url)
        signer = None
        if is_direct:
            if not isinstance(store, S3Store) or key is None:
                raise _not_direct()
            signer = Signer(store, key)
        urls.require_store(store)
        return ObjectBlobs(store, signer=signer)
    if is_direct:
        raise _not_direct()
    if parts.scheme == "memory":
        return ObjectBlobs(MemoryStore(), is_local=True)
    if (folder := folder_of(url)) is not None:
        return LocalBlobs(folder)
    raise bad_request(
        "blob_url",
        f"bytes cannot be kept at {parts.scheme or 'a url without scheme'}: use {_EXPECTED}",
        scheme=parts.scheme,
    )


def folder_of(url: str) -> Path | None:
    """The folder that a URL names; None for a URL of something else."""
    parts = urlsplit(url)
    is_folder = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    return Path(unquote(parts.path)) if is_folder else None


def open_parts(blobs: Blobs) -> Parts:
    """The parts of uploads, beside the blobs that they become."""
    if isinstance(blobs, LocalBlobs):
        return LocalParts(blobs)
    if isinstance(blobs, ObjectBlobs):
        return ObjectParts(blobs)
    raise TypeError(blobs)


def _not_direct() -> PinakesError:
    return bad_request(
        "blob_links",
        "direct needs s3:// as blob_url, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to sign links with",
    )
