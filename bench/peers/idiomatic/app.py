"""The app: routes, and errors in the one shape clients expect."""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from idiomatic import assets, collections, files, search
from starlette.exceptions import HTTPException

app = FastAPI(title="Collections")
for module in (collections, assets, search, files):
    app.include_router(module.router)


def answer(status: int, message: str, details: dict[str, Any]) -> JSONResponse:
    phrase = HTTPStatus(status).phrase
    body = {
        "status": "error",
        "statusCode": status,
        "code": phrase.upper().replace(" ", "_"),
        "name": phrase.title().replace(" ", "") + "Error",
        "error": phrase,
        "reason": message,
        "message": message,
        "details": details,
        "traceId": uuid4().hex,
    }
    return JSONResponse(body, status)


@app.exception_handler(HTTPException)
async def on_http_error(_request: Request, error: HTTPException) -> JSONResponse:
    detail: Any = error.detail
    if isinstance(detail, dict):
        return answer(error.status_code, detail.pop("message"), detail)
    return answer(error.status_code, detail, {})


@app.exception_handler(RequestValidationError)
async def on_invalid_request(_request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return answer(400, f"{field}: {first['msg']}", {"field": field})
