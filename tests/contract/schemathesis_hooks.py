"""What the description of the API cannot express, for Schemathesis. Everything else that it finds is a failure.

Each rule excuses one refusal (400) of a request that fits the schema, at one place, with one message.
"""

import json
import os
import re
from typing import Any, NamedTuple

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData


class Rule(NamedTuple):
    """`operation` and `reason` are whole-text patterns of `GET /v1/assets` and of the error's `reason`."""

    operation: str
    reason: str
    why: str


RULES = [
    Rule(r"GET /v1/\w+", "paginationToken: this token is damaged.*", "tokens are opaque: only the server makes them"),
    Rule(
        "GET /v1/(assets|models)",
        "(created|updated)(After|Before): needs sortBy=(created|updated)At",
        "a bound needs its sorting",
    ),
    Rule("GET /v1/(assets|models)", "types: send either type or types, not both", "one of two parameters"),
    Rule("GET /v1/assets", r"\w+: cannot be combined with deleted=true", "the trash has fewer filters"),
    Rule("GET /v1/models", "collectionIds?: needs privacy=.*", "each is for other values of privacy"),
    Rule(
        "POST /v1/assets",
        "image: (this is neither base64|a data URL must look|there are no bytes|the data URL says|this is no).*",
        "the bytes of a file are beyond a schema",
    ),
    Rule("POST /v1/models", "id: there is a model .* already.*", "an id is taken only once (and 409 would be retried)"),
    Rule(
        "PUT /v1/(assets|models)/{.*}/tags", "delete: the same tag is to be added and deleted", "two lists that differ"
    ),
    Rule("PUT /v1/(assets|models)/{.*}/tags", "add: already tagged so|delete: not tagged so", "what is there counts"),
    Rule("POST /v1/models/{modelId}/restore", "modelId: model .* is not deleted", "what is in the trash counts"),
    Rule("DELETE /v1/projects/{projectId}", "projectId: a key cannot delete the project it acts in.*", "our own one"),
]


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:  # noqa: ARG001 - names matter
    """Keep every failure but a refusal by one of the rules."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    reason = json.loads(response.content)["reason"]
    return not any(
        re.fullmatch(rule.operation, case.operation.label) and re.fullmatch(rule.reason, reason, re.DOTALL)
        for rule in RULES
    )


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:  # noqa: ARG001 - names matter
    """Links lead to the key that Schemathesis itself uses; once that is revoked, everything would be a 401."""
    return (case.path_parameters or {}).get("keyId") != os.environ["CONTRACT_KEY_ID"]
