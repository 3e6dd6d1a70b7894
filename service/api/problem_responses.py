"""Sends every refusal as `application/problem+json`, the framework's own refusals included."""

from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from service.errors import BadParameter, InternalError, MalformedRequest, MethodNotAllowed, NotFound, Problem
from service.execution.work import current_work
from service.schemas.problems import ProblemDetails

MEDIA_TYPE = "application/problem+json"


def problem_response(problem: Problem, request_id: str, prefix: str = "") -> Response:
    """Return the reply for a problem; `prefix` is the path below which the service lies."""
    body = ProblemDetails.of(problem, request_id, prefix).model_dump_json()
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def problem_response_for(problem: Problem, scope: Scope) -> Response:
    """Return the reply for a problem of the current request; the request log reads its code from the scope."""
    scope["state"]["problem"] = problem.code
    return problem_response(problem, current_work().request_id, scope.get("root_path", ""))


def allowed_methods(scope: Scope) -> list[str]:
    """Return the methods of the request's path, or of all paths for `*`; empty where the path does not exist."""
    routes = scope["app"].routes
    found = [
        method
        for method in ("GET", "POST", "DELETE")
        if scope["path"] == "*" or any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    heads = ["HEAD"] if "GET" in found else []
    return [*found, *heads, "OPTIONS"] if found else []


async def _on_error(request: Request, error: Exception) -> Response:
    return problem_response_for(_as_problem(error, request.scope), request.scope)


HANDLERS: dict[int | type[Exception], Any] = dict.fromkeys((Problem, HTTPException, RequestValidationError), _on_error)
"""Handlers that turn every refusal of an app into a problem."""


def _known_parameters(scope: Scope) -> str:
    """Return the names of the query parameters of the request's route, which one pydantic model holds."""
    (query,) = scope["route"].dependant.query_params
    fields = query.field_info.annotation.model_fields
    return ", ".join(f"`{field.alias or name}`" for name, field in fields.items())


def _as_problem(error: Exception, scope: Scope) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = str(first["loc"][-1])[:40]
        if first["type"] == "extra_forbidden":
            return BadParameter(f"Parameter `{name}` is unknown; this path takes {_known_parameters(scope)}.")
        return BadParameter(f"Parameter `{name}`: {first['msg']}.")
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound(NotFound.meaning, headers=headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(allowed_methods(scope))
        return MethodNotAllowed(f"This path takes {allowed}.", headers=headers | {"Allow": allowed})
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return MalformedRequest("The request is malformed.", headers=headers)
    return InternalError("The service failed.", headers=headers)
