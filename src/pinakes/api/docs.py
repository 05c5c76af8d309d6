"""The page at `/docs`: Swagger UI from this package, so that it works without a network."""

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
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png"}


def files() -> dict[str, tuple[Headers, bytes]]:
    """Headers and body by path."""
    vendor = resources.files("pinakes.api") / "vendor"
    found = {
        "/docs": _file("text/html; charset=utf-8", _PAGE.encode()),
        "/docs/start.js": _file(_TYPES["js"], _START.encode()),
    }
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        found[f"/docs/{name}"] = _file(_TYPES[name.rpartition(".")[2]], (vendor / name).read_bytes())
    return found


def _file(kind: str, body: bytes) -> tuple[Headers, bytes]:
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", b"max-age=3600"),
        (b"x-content-type-options", b"nosniff"),
        _POLICY,
    ]
    return headers, body
