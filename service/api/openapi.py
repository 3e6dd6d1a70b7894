"""The OpenAPI document, with the problems of each route."""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.problem_responses import MEDIA_TYPE
from service.errors import (
    BadParameter,
    EmptyUpload,
    FrameTooLarge,
    MalformedRequest,
    NoSuchFrame,
    NotReady,
    Problem,
    UnreadableFrame,
    UnsupportedFormat,
    UploadTooLarge,
)
from service.schemas.problems import ProblemDetails

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
_API_KEY = {
    "type": "apiKey",
    "in": "header",
    "name": "X-API-Key",
    "description": "Needed when the operator configured API keys.",
}

FILES_PROBLEMS: tuple[type[Problem], ...] = (MalformedRequest, EmptyUpload, BadParameter, UploadTooLarge, NotReady)
FRAME_PROBLEMS = (*FILES_PROBLEMS, FrameTooLarge, UnsupportedFormat, UnreadableFrame, NoSuchFrame)


def problem_replies(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that document the given problems, and any other."""
    by_status = defaultdict(list)
    for kind in kinds:
        by_status[int(kind.status)].append(f"`{kind.code}`: {kind.meaning}")
    documented: dict[int | str, dict[str, Any]] = {
        status: {"description": " ".join(meanings), "content": _CONTENT} for status, meanings in by_status.items()
    }
    return documented | {"default": {"description": "Any other problem.", "content": _CONTENT}}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document; the first call builds it."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        components = document["components"]
        components["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
        components["securitySchemes"] = {"ApiKey": _API_KEY}
        document["security"] = [{}, {"ApiKey": []}]  # the key is optional: services without keys accept every request
        app.openapi_schema = document
    return app.openapi_schema
