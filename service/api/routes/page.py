"""`GET /`: the page in the browser. A few files of its own, from memory; no script or style but those."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from service.errors import NotFound

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[2] / "web"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What the page may do, and nothing else: its own files, this service, and pictures made of the frames it was given.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "Cache-Control": "no-cache",  # may be kept, and is asked about each time, so that page and service never differ
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Asset(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def _load(path: Path) -> _Asset:
    content = path.read_bytes()
    return _Asset(content, _MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


_ASSETS = {path.name: _load(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _MEDIA_TYPES}


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return _reply(request, _ASSETS["index.html"])


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """One of the page's files; only those that were there at start, so that no name leads elsewhere."""
    if name not in _ASSETS:
        raise NotFound(NotFound.meaning)
    return _reply(request, _ASSETS[name])


def _reply(request: Request, asset: _Asset) -> Response:
    headers = _HEADERS | {"ETag": asset.etag}
    held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if held & {asset.etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
