"""CORS as Starlette has it, but for what it answers to origins that are not ours."""

from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response


class Cors(CORSMiddleware):
    """A preflight that is not allowed gets a plain answer without CORS headers, and the browser stops there."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response: Response = super().preflight_response(request_headers)
        plain: dict[str, Any] = {}
        return response if response.status_code == 200 else JSONResponse(plain)
