"""`GET /`: the browser page, from a few static files."""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from service.api.assets import read_assets
from service.errors import NotFound

router = APIRouter(include_in_schema=False)

# The page loads its own files, calls this service, and shows pictures of the frames that it was given.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_LIVE = "camera=(self), display-capture=(self), geolocation=(), microphone=()"
_ASSETS = read_assets((Path(__file__).parents[2] / "web").iterdir())  # a request can name no other file


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Return the page; it alone may read a camera or the screen, for the live view."""
    reply = _ASSETS["index.html"].reply(request, _POLICY)
    reply.headers["Permissions-Policy"] = _LIVE
    return reply


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """Return one of the page's files."""
    if name not in _ASSETS:
        raise NotFound(NotFound.meaning)
    return _ASSETS[name].reply(request, _POLICY)
