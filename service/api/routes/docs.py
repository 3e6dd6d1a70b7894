"""`GET /docs`: Swagger UI, a page to read about the interface and to try requests on.

The package `fastapi-offline` brings the files of Swagger UI; FastAPI's own page loads them from a CDN.
"""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response

from service.api.assets import read_assets
from service.errors import NotFound

router = APIRouter(prefix="/docs", include_in_schema=False)

# Swagger UI draws its icons from `data:` URLs and shows picture replies from `blob:` URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OWN = Path(__file__).parents[1] / "docs_page"
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_NAMES = ("swagger-ui-bundle.js", "swagger-ui.css")
_ASSETS = read_assets([*_OWN.iterdir(), *(_SWAGGER_UI / name for name in _NAMES)])


@router.api_route("", methods=["GET", "HEAD"])
async def docs(request: Request) -> Response:
    """Return the page."""
    return _ASSETS["index.html"].reply(request, _POLICY)


@router.api_route("/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """Return one of the page's files."""
    if name not in _ASSETS:
        raise NotFound(NotFound.meaning)
    return _ASSETS[name].reply(request, _POLICY)
