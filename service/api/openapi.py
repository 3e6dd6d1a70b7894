"""The OpenAPI document, with the problems of each route."""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service import errors
from service.api.problem_responses import MEDIA_TYPE
from service.errors import Problem
from service.schemas.corrections import NewCorrections
from service.schemas.examples import ANSWERS
from service.schemas.problems import ProblemDetails

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
_KEY_MEANING = "Needed when the operator configured API keys."
_SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _KEY_MEANING},
    "Bearer": {"type": "http", "scheme": "bearer", "description": f"The same key. {_KEY_MEANING}"},
}

TAGS = [
    {"name": "frames", "description": "One frame of one file."},
    {"name": "batches", "description": "All frames of many files."},
    {"name": "corrections", "description": "What people say about answers, where the operator keeps it."},
    {"name": "reference", "description": "The model, the problems, and drawn frames to try the service with."},
    {"name": "operation", "description": "Probes and metrics."},
]
SERVERS = [{"url": "/", "description": "The host of this document."}]

TEXT = {"schema": {"type": "string"}}
BINARY = {"schema": {"type": "string", "format": "binary"}}

_UPLOAD_PROBLEMS = (
    errors.MalformedRequest,
    errors.EmptyUpload,
    errors.BadParameter,
    errors.UploadTooLarge,
    errors.UnsupportedEncoding,
)
_IMAGE_PROBLEMS = (errors.FrameTooLarge, errors.UnsupportedFormat, errors.UnreadableFrame, errors.NoSuchFrame)
FILES_PROBLEMS: tuple[type[Problem], ...] = (*_UPLOAD_PROBLEMS, errors.NotReady)
FRAME_PROBLEMS = (*FILES_PROBLEMS, *_IMAGE_PROBLEMS)

Replies = dict[int | str, dict[str, Any]]  # the `responses` of a route


def replies(answer: str, content: dict[str, Any], *problems: type[Problem], **more: dict[str, Any]) -> Replies:
    """Return the description of a route's answer, of its media types other than JSON, and of its problems."""
    return {**problem_replies(*problems), 200: {"description": answer, "content": content, **more}}


def problem_replies(*kinds: type[Problem]) -> Replies:
    """Return the description of the given problems, and of any other."""
    by_status: dict[int | str, list[str]] = defaultdict(list)
    for kind in kinds:
        by_status[int(kind.status)].append(f"`{kind.code}`: {kind.meaning}")
    meanings = {status: " ".join(found) for status, found in by_status.items()} | {"default": "Any other problem."}
    return {status: {"description": meaning, "content": _CONTENT} for status, meaning in meanings.items()}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document."""
    document = FastAPI.openapi(app)  # builds the document once, so what follows may add the same again
    document["components"]["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
    # The route reads this body itself, so FastAPI does not know its type.
    _, types = models_json_schema([(NewCorrections, "validation")], ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= types["$defs"]
    document["components"]["securitySchemes"] = _SECURITY
    _add_examples(document)
    # The key is optional: services without keys accept every request.
    document["security"] = [{}, *({name: []} for name in _SECURITY)]
    return document


def _add_examples(document: dict[str, Any]) -> None:
    """Add an example to each JSON answer that has one. FastAPI would leave out the fields that are null."""
    for operation in (each for path in document["paths"].values() for each in path.values()):
        content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name in ANSWERS:
            content["example"] = ANSWERS[name]
