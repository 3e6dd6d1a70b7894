"""`GET /problems`: the table of problems that a client can meet."""

from fastapi import APIRouter, Request

from service.api.openapi import problem_replies
from service.errors import TABLE, NotFound
from service.schemas.problems import ProblemKind

router = APIRouter(prefix="/problems", tags=["reference"])


@router.get("", summary="All kinds of problems", responses=problem_replies())
async def list_problems(request: Request) -> list[ProblemKind]:
    """The table of problems, each with its stable `type`."""
    return [ProblemKind.of(kind, request.scope.get("root_path", "")) for kind in TABLE.values()]


@router.get("/{code}", summary="One kind of problem", responses=problem_replies(NotFound))
async def describe_problem(request: Request, code: str) -> ProblemKind:
    """The row of the table that the `type` of a problem points to."""
    if code not in TABLE:
        raise NotFound(f"No problem has this code; `GET /problems` lists all {len(TABLE)}.")
    return ProblemKind.of(TABLE[code], request.scope.get("root_path", ""))
