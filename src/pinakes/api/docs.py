"""The page at `/docs`: Swagger UI from this package, so that it works without a network."""

import gzip
from importlib import resources

from pinakes.api.http import Headers

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pinakes API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#api", deepLinking: true, docExpansion: "none", defaultModelsExpandDepth: 0,
  displayRequestDuration: true, validatorUrl: null, tryItOutEnabled: true, persistAuthorization: false
});
"""
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
GZIP = (b"content-encoding", b"gzip")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "png": "image/png",
}


def files() -> dict[str, tuple[Headers, bytes]]:
    """Headers and body by path. What is large is compressed, as it stands in this package."""
    vendor = resources.files("pinakes.api") / "vendor"
    return {
        "/docs": _file("html", _PAGE.encode()),
        "/docs/start.js": _file("js", _START.encode()),
        "/docs/swagger-ui-bundle.js": _file("js", (vendor / "swagger-ui-bundle.js.gz").read_bytes(), GZIP),
        "/docs/swagger-ui.css": _file("css", (vendor / "swagger-ui.css.gz").read_bytes(), GZIP),
        "/docs/favicon-32x32.png": _file("png", (vendor / "favicon-32x32.png").read_bytes()),
    }


def unpacked(headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """The same for a client that does not take compressed bodies."""
    return [header for header in headers if header != GZIP], gzip.decompress(body) if GZIP in headers else body


def _file(kind: str, body: bytes, *more: tuple[bytes, bytes]) -> tuple[Headers, bytes]:
    headers = [
        (b"content-type", _TYPES[kind].encode()),
        (b"cache-control", b"max-age=3600"),
        (b"x-content-type-options", b"nosniff"),
        _POLICY,
    ]
    return [*headers, *more], body
