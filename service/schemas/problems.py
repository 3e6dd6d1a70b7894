"""Refusals: problem details for HTTP APIs (RFC 9457)."""

from pydantic import Field

from service.errors import Problem
from service.schemas import Schema

_ProblemClass = type[Problem]  # inside the models below, `type` is a field


class ProblemDetails(Schema):
    """The body of every refusal, as `application/problem+json`."""

    type: str = Field(
        description="Stable URI of the kind of problem: a path of this service that describes it.",
        examples=["/problems/not-found"],
    )
    title: str = Field(description="Name of the kind of problem.", examples=["Not found"])
    status: int = Field(ge=400, le=599, description="HTTP status.", examples=[404])
    detail: str = Field(description="One sentence about this request.", examples=["No resource exists at this path."])
    code: str = Field(description="Last part of `type`.", examples=["not-found"])
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")

    @classmethod
    def of(cls, problem: Problem, request_id: str, prefix: str = "") -> "ProblemDetails":
        """Return the wire form of a problem; `prefix` is the path below which the service lies."""
        return cls(
            type=prefix + problem.type_uri(),
            title=problem.title(),
            status=problem.status,
            detail=problem.detail,
            code=problem.code,
            request_id=request_id,
        )


class ProblemKind(Schema):
    """A row of the problem table."""

    type: str
    code: str
    status: int
    title: str
    meaning: str

    @classmethod
    def of(cls, kind: _ProblemClass, prefix: str = "") -> "ProblemKind":
        """Return the wire form of a row; `prefix` is the path below which the service lies."""
        uri = prefix + kind.type_uri()
        return cls(type=uri, code=kind.code, status=kind.status, title=kind.title(), meaning=kind.meaning)
