"""Download calls."""

from typing import Any

from msgspec import UNSET

from pinakes import downloads
from pinakes.api.call import Call
from pinakes.api.routes import Routes
from pinakes.download_types import Download, DownloadJob, DownloadStatus, NewArchive, NewDownload, NewModelDownload

routes = Routes()

_ARCHIVE = {
    "query": {"assetIds": ["asset_0352cEzJ2TFiF3EpfsKGyC"], "inferenceIds": [], "modelIds": []},
    "options": {"fileNameTemplate": "<description>-<id>", "archiveName": "forest"},
}


@routes.add(
    "POST", "/assets/download", downloads.create, DownloadJob, body=NewArchive, example=_ARCHIVE, errors=("NOT_FOUND",)
)
async def download_many(call: Call[Any, NewArchive]) -> DownloadJob:
    """Ask for up to 1,000 assets as one ZIP, which is put together while it is sent. `dryRun` changes nothing."""
    archive = await call.scan(downloads.plan, call.body)
    return await call.write(downloads.create, archive)


@routes.add("GET", "/assets/download/{jobId}", downloads.get, DownloadStatus, errors=("NOT_FOUND",))
async def get_download(call: Call[Any, None]) -> DownloadStatus:
    """Get the state of a download, which is done at once, and the link to it."""
    return await call.read(downloads.get, call.params[0])


@routes.add(
    "POST",
    "/assets/{assetId}/download",
    downloads.of_asset,
    Download,
    body=NewDownload,
    example={"targetFormat": "png"},
    needs_body=False,
    errors=("NOT_FOUND",),
)
async def download(call: Call[Any, NewDownload]) -> Download:
    """Get a link to an asset's file. With `targetFormat` a picture is converted, in full resolution."""
    target = call.body.target_format
    if target is UNSET:
        return await call.read(downloads.of_asset, call.params[0])
    return await call.upload(downloads.of_asset, call.params[0], target)


@routes.add(
    "POST",
    "/models/{modelId}/download",
    downloads.of_model,
    DownloadJob,
    body=NewModelDownload,
    needs_body=False,
    errors=("NOT_FOUND",),
)
async def download_model(call: Call[Any, NewModelDownload]) -> DownloadJob:
    """Ask for a model's file; `GET /v1/assets/download/{jobId}` has the link. `dryRun` changes nothing."""
    return await call.write(downloads.of_model, call.params[0], call.body)
