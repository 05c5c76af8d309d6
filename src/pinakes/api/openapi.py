"""The description of the API (OpenAPI 3.1), made from the table of routes and the structs themselves."""

import re
from typing import Any

import msgspec

from pinakes import __version__
from pinakes.api.files import VARIANTS
from pinakes.api.http import STATUS, ErrorAnswer
from pinakes.api.routes import Route
from pinakes.asset_types import THUMBNAIL_SIZES
from pinakes.assets import THUMBNAIL_SIZE
from pinakes.errors import Code

_ID = {
    "id": "col_0352cRi7meJCWwTJON9QXI",
    "assetId": "asset_0352cEzJ2TFiF3EpfsKGyC",
    "modelId": "flux.1-dev",
    "collectionId": "col_0352cRi7meJCWwTJON9QXI",
    "projectId": "proj_0352cEynqSvYRCuN4qMBPE",
    "uploadId": "upload_0352cEzJ2TFiF3EpfsKGyC",
    "keyId": "key_0352cEynqSvs3jQnhxuESf",
    "teamId": "team_0352cEynqSv7wRwgs7cvAK",
    "jobId": "job_0352cEzJ2TFiF3EpfsKGyC",
    "ownerId": "proj_0352cEynqSvYRCuN4qMBPE",
    "authorId": "key_0352cEynqSvs3jQnhxuESf",
}
_SAMPLES: dict[str, Any] = {
    **_ID,
    "assetIds": [_ID["assetId"]],
    "added": [_ID["assetId"]],
    "removed": [_ID["assetId"]],
    "restoredAssetIds": [_ID["assetId"]],
    "unchanged": [],
    "createdAt": "2026-01-31T11:19:41.579Z",
    "updatedAt": "2026-01-31T11:19:41.579Z",
    "name": "Forest tiles",
    "tagName": "forest",
    "tags": ["forest"],
    "assetCount": 12,
    "modelCount": 1,
    "itemCount": 13,
    "size": 48213,
    "width": 1024,
    "height": 768,
    "mimeType": "image/png",
    "type": "uploaded",
    "source": "uploaded",
    "privacy": "private",
    "url": "http://127.0.0.1:8420/files/proj_0352cEynqSvYRCuN4qMBPE/asset_0352cEzJ2TFiF3EpfsKGyC/thumbnail?expires=…",
}
_ABOUT = """\
The Collections API of the hosted Scenario service, on your own machine. Press Authorize and give an API key as user and
its secret as password; `pinakes key create` makes one. Every call takes `projectId`; without it, it acts in the key's
own project. Every error has the same shape, and its `reason` says what to do.
"""
_COMMON: tuple[Code, ...] = ("BAD_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "TOO_MANY_REQUESTS", "INTERNAL", "UNAVAILABLE")
_WITH_BODY: tuple[Code, ...] = ("PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_OPEN = {
    "/healthz": ("Whether the process is alive.", "application/json"),
    "/readyz": ("Whether the store and the blobs answer.", "application/json"),
    "/metrics": ("Metrics in the Prometheus text format.", "text/plain"),
}


def describe(routes: list[Route]) -> dict[str, Any]:
    """The whole document."""
    kinds = {kind for route in routes for kind in (route.answer, route.body, route.query) if kind is not None}
    ordered = sorted(kinds | {ErrorAnswer}, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(ordered, schemas, strict=True))
    queries = {route.query.__name__ for route in routes}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route, by_kind, components)
    for path, (summary, kind) in _OPEN.items():
        paths[path] = {"get": _open_operation(path, summary, kind)}
    paths["/files/{projectId}/{assetId}/{variant}"] = {"get": _file_operation()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pinakes",
            "version": __version__,
            "summary": "Collections of generative media.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": noun} for noun in dict.fromkeys(route.noun for route in routes)],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "responses": {code: _error(code) for code in STATUS},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "API key as user, API secret as password."},
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the issuer that the operator configured (`jwt_issuer`).",
                },
            },
        },
    }


def _operation(route: Route, by_kind: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    codes = dict.fromkeys(_COMMON + route.errors + (_WITH_BODY if route.body else ()))
    operation: dict[str, Any] = {
        "operationId": f"{route.noun}_{route.handler.__name__}",
        "summary": route.summary.split(". ")[0].rstrip("."),
        "description": f"{route.summary}\n\nScope: `{route.scope}`.",
        "tags": [route.noun],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route, components)],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {
                    "application/json": {
                        "schema": by_kind[route.answer],
                        "example": _sample("", by_kind[route.answer], components),
                    }
                },
            },
            **{str(STATUS[code][0]): {"$ref": f"#/components/responses/{code}"} for code in codes},
        },
    }
    if route.is_conditional:
        operation["responses"]["304"] = {"description": "It still has the ETag in If-None-Match."}
    if route.body is not None:
        content: dict[str, Any] = {"schema": by_kind[route.body]}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": route.needs_body, "content": {"application/json": content}}
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "example": _ID[name],
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    in_path = set(re.findall(r"{(\w+)}", route.path))
    for name, schema in components[route.query.__name__]["properties"].items():
        if name in in_path:
            continue
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": _without_null(schema)}
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent rather than null."""
    schema = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if "anyOf" in schema:
        options = [option for option in schema.pop("anyOf") if option != {"type": "null"}]
        return {**options[0], **schema} if len(options) == 1 else {**schema, "anyOf": options}
    if None in schema.get("enum", []):
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def _sample(name: str, schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """An example that fits the schema: known values by name, then by type."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        known = _SAMPLES.get(name)
        return known if known in schema["enum"] else schema["enum"][0]
    if "anyOf" in schema:
        return _sample(name, schema["anyOf"][0], components)
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        shown = [key for key in fields if key in schema.get("required", []) or "$ref" in str(fields[key])]
        return {key: _sample(key, fields[key], components) for key in shown}
    if "$ref" in str(schema.get("items")):
        return [_sample("", schema["items"], components)]
    if name in _SAMPLES:
        return _SAMPLES[name]
    if schema.get("type") == "array":
        return []
    return {"string": "…", "integer": schema.get("default", 1), "number": 1.0, "boolean": False}.get(
        str(schema.get("type"))
    )


def _error(code: Code) -> dict[str, Any]:
    status, name, title = STATUS[code]
    example = {
        "status": "error",
        "statusCode": status,
        "code": code,
        "name": name,
        "error": title,
        "reason": "What is wrong, and what to do about it.",
        "message": "What is wrong, and what to do about it.",
        "details": {},
        "traceId": "5f2d1c0a9b3e0000000017",
    }
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    return {"description": title, "content": {"application/json": {"schema": schema, "example": example}}}


def _open_operation(path: str, summary: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    responses: dict[str, Any] = {"200": {"description": "Yes.", "content": {kind: {"schema": schema}}}}
    if path == "/readyz":
        responses["503"] = {"$ref": "#/components/responses/UNAVAILABLE"}
    if path == "/metrics":
        responses["401"] = {"$ref": "#/components/responses/UNAUTHORIZED"}
    return {"operationId": path[1:], "summary": summary, "tags": ["server"], "security": [], "responses": responses}


def _file_operation() -> dict[str, Any]:
    signed = [
        {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
        for name in ("expires", "signature")
    ]
    size = {
        "name": "size",
        "in": "query",
        "schema": {"type": "integer", "enum": THUMBNAIL_SIZES, "default": THUMBNAIL_SIZE},
    }
    variant = {"name": "variant", "in": "path", "required": True, "schema": {"enum": list(VARIANTS)}}
    ids = _path_parameters("/{projectId}/{assetId}")
    codes: tuple[Code, ...] = ("FORBIDDEN", "NOT_FOUND", "RANGE_NOT_SATISFIABLE", "UNAVAILABLE")
    body = {"content": {"*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}}}
    return {
        "operationId": "files_get",
        "summary": "The bytes behind a signed link, as `url` of an asset or a thumbnail gives it.",
        "tags": ["files"],
        "security": [],
        "parameters": [*ids, variant, *signed, size],
        "responses": {
            "200": {"description": "The file.", **body},
            "206": {"description": "The range asked for.", **body},
            "304": {"description": "It still has the ETag in If-None-Match."},
            **{str(STATUS[code][0]): {"$ref": f"#/components/responses/{code}"} for code in codes},
        },
    }
