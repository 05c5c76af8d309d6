"""What the description of the API cannot express, for Schemathesis. Everything else that it finds is a failure.

Each rule excuses one refusal (400) of a request that fits the schema, at one place, with one message.
"""

import json
import os
import re
from typing import Any, NamedTuple

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

KEY_ID = os.environ["CONTRACT_KEY_ID"]
PROJECT_ID = os.environ["CONTRACT_PROJECT_ID"]
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
TRASH_FILTERS = {"projectId", "pageSize", "deleted", "originalAssets", "sortDirection"}
REAL = json.loads(os.environ["CONTRACT_REAL"])
"""Ids of things that exist, by the id that the description has as its example."""


class Rule(NamedTuple):
    """`operation` and `reason` are whole-text patterns of `GET /v1/assets` and of the error's `reason`."""

    operation: str
    reason: str
    why: str


RULES = [
    Rule(
        "GET /v1/(assets|models)",
        "(created|updated)(After|Before): needs sortBy=(created|updated)At",
        "a bound needs its sorting",
    ),
    Rule("GET /v1/(assets|models)", "types: send either type or types, not both", "one of two parameters"),
    Rule("GET /v1/assets", r"\w+: cannot be combined with deleted=true", "the trash has fewer filters"),
    Rule("GET /v1/models", "collectionIds?: needs privacy=.*", "each is for other values of privacy"),
    Rule("POST /v1/models", "id: there is a model .* already.*", "an id is taken only once (and 409 would be retried)"),
    Rule(
        "PUT /v1/(assets|models)/{.*}/tags", "delete: the same tag is to be added and deleted", "two lists that differ"
    ),
    Rule("PUT /v1/(assets|models)/{.*}/tags", "add: already tagged so|delete: not tagged so", "what is there counts"),
    Rule(
        "POST /v1/assets/{assetId}/download", "targetFormat: a file of type .* cannot be had as .*", "its type counts"
    ),
    Rule("POST /v1/assets/download", "query: expected 1 to 1,000 assets, found none", "one of two lists is enough"),
    Rule("POST /v1/search/(assets|models)", "filter: at character .*", "a language of its own"),
    Rule("POST /v1/search/(assets|models)", "query: send at least one of .*", "one of four ways to search"),
    Rule("POST /v1/search/(assets|models)", "page: send either page .*", "one of two ways to count"),
    Rule("POST /v1/uploads", r"\w+: this field is required.*", "a file comes in parts or from a URL"),
    Rule("POST /v1/uploads", "parts: a file is either sent in parts or fetched from its url", "one of two ways"),
    Rule("POST /v1/uploads", "parts: .* cannot be sent in .* parts", "two numbers that differ"),
    Rule("POST /v1/uploads", "assetOptions: a model is no asset.*", "two fields that exclude each other"),
    Rule("POST /v1/uploads", r"\w+: this server asks no other service.*", "fields of the hosted service"),
    Rule("POST /v1/uploads/{uploadId}/action", "parts: these are not there yet: .*", "what was sent counts"),
    Rule("POST /v1/models/{modelId}/download", "modelEpoch: .*", "what it has counts"),
    Rule("POST /v1/models/{modelId}/restore", "modelId: model .* is not deleted", "what is in the trash counts"),
    Rule("DELETE /v1/projects/{projectId}", "projectId: a key cannot delete the project it belongs to", "our own one"),
]
UNKNOWN = [
    Rule(
        "(PUT|POST) /v1/(collections|assets|models|uploads).*",
        r"((assetOptions|query)\.)?((asset|model|collection)Ids|collectionId|parentId|modelId|thumbnail): no such .*",
        "the thing in the path was found; what the body names was not",
    ),
]


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:  # noqa: ARG001 - names matter
    """Keep every failure but a refusal by one of the rules."""
    if isinstance(failure, RejectedPositiveData) and response.status_code == 400:
        rules = RULES
    elif isinstance(failure, EnsureResourceAvailability):
        rules = UNKNOWN
    else:
        return True
    reason = json.loads(response.content)["reason"]
    return not any(
        re.fullmatch(rule.operation, case.operation.label) and re.fullmatch(rule.reason, reason, re.DOTALL)
        for rule in rules
    )


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:  # noqa: ARG001 - names matter
    """Links lead to the key that Schemathesis itself uses; once that is revoked, everything would be a 401."""
    return (case.path_parameters or {}).get("keyId") != KEY_ID


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:  # noqa: ARG001 - names matter
    """Let calls get past the questions whether the key may see the project, whether the thing exists, and the like.

    A text takes the place of a text, so that what breaks the schema does so as before.
    """
    query = case.query or {}
    if isinstance(query.get("projectId"), str):
        query["projectId"] = PROJECT_ID
    if isinstance(query.get("paginationToken"), str):
        del query["paginationToken"]  # only the server makes them
    if query.get("deleted") in (True, "true") and set(query) - TRASH_FILTERS:
        query["deleted"] = False  # else most queries for assets would be refused for this one combination
    for name, value in (case.path_parameters or {}).items():
        case.path_parameters[name] = _real(value)
    body = _real(case.body)
    if isinstance(body, dict) and isinstance(body.get("image"), str):
        body["image"] = PIXEL  # the bytes of a file are beyond a schema
    if body != case.body:
        case.body = body
    return case


def _real(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _real(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_real(part) for part in value]
    return REAL.get(value, value) if isinstance(value, str) else value
