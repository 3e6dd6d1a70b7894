"""`GET /`, the browser page, and `GET /docs`, Swagger UI: static files, read once and served from memory with an ETag.

The package `fastapi-offline` brings the files of Swagger UI; FastAPI's own page loads them from a CDN.
"""

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from service.errors import NotFound

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {  # in addition to those of the middleware
    "Cache-Control": "no-cache",  # browsers keep the file and ask each time, so page and service never differ
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# A page loads its own files and calls this service. Pictures of frames are `blob:` or `data:` URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SERVICE = Path(__file__).parents[2]
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"


class _Asset(NamedTuple):
    """A file and its headers."""

    content: bytes
    media_type: str
    headers: dict[str, str]

    @classmethod
    def read(cls, path: Path, policy: str) -> "_Asset":
        """Read a file, to be served under a Content-Security-Policy."""
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, _MEDIA_TYPES[path.suffix], _HEADERS | {"Content-Security-Policy": policy, "ETag": etag})

    def reply(self, request: Request) -> Response:
        """Return the file, or 304 when the browser holds it already."""
        held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if held & {self.headers["ETag"], "*"}:
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, headers=self.headers, media_type=self.media_type)


def _add_page(path: str, folder: str, paths: Iterable[Path], policy: str) -> None:
    """Serve `index.html` at `path`, and all files of known media types by name below `folder`."""
    assets = {file.name: _Asset.read(file, policy) for file in paths if file.suffix in _MEDIA_TYPES}

    @router.api_route(path, methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return assets["index.html"].reply(request)

    @router.api_route(folder + "/{name}", methods=["GET", "HEAD"])
    async def asset(request: Request, name: str) -> Response:
        if name not in assets:  # a request can name no other file
            raise NotFound(NotFound.meaning)
        return assets[name].reply(request)


_SWAGGER_FILES = [_SWAGGER_UI / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")]
_add_page("/docs", "/docs", [*(_SERVICE / "api" / "docs_page").iterdir(), *_SWAGGER_FILES], _POLICY)
_add_page("/", "/page", (_SERVICE / "web").iterdir(), _POLICY + "; require-trusted-types-for 'script'")
