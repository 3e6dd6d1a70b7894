"""Documents refusals: which problems a route has, as `application/problem+json`."""

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

UPLOAD_PROBLEMS: tuple[type[Problem], ...] = (
    MalformedRequest,
    EmptyUpload,
    BadParameter,
    UploadTooLarge,
    FrameTooLarge,
    UnsupportedFormat,
    UnreadableFrame,
    NoSuchFrame,
    NotReady,
)


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses` say of the problems that it has, and of any other."""
    by_status = defaultdict(list)
    for kind in kinds:
        by_status[int(kind.status)].append(f"`{kind.code}`: {kind.meaning}")
    documented: dict[int | str, dict[str, Any]] = {
        status: {"description": " ".join(meanings), "content": _CONTENT} for status, meanings in by_status.items()
    }
    return documented | {"default": {"description": "Any other problem.", "content": _CONTENT}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        document["components"]["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
        app.openapi_schema = document
    return app.openapi_schema
