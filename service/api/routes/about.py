"""What the service is: its model, its metrics, its problems."""

from fastapi import APIRouter, Response

from service.api.openapi import problems
from service.errors import TABLE, NotFound, NotReady
from service.runtime import RunningDep, ServiceDep
from service.schemas.manifest import Manifest
from service.schemas.problems import ProblemKind

router = APIRouter()


@router.get(
    "/model",
    summary="The model package's manifest",
    responses=problems(NotReady),
    response_model_exclude_unset=True,  # as model.json has it
)
async def model(running: RunningDep) -> Manifest:
    """The model's planes, preprocessing, thresholds, training data, metrics, and the sha256 of its files."""
    return running.pipeline.engine.manifest


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={**problems(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(service: ServiceDep) -> Response:
    """Counters and histograms in Prometheus' text format."""
    return Response(service.metrics.exposition(), media_type=service.metrics.content_type)


@router.get("/problems", summary="Every problem there is", responses=problems())
async def list_problems() -> list[ProblemKind]:
    """The table of problems, each with its stable `type`."""
    return [ProblemKind.of(kind) for kind in TABLE.values()]


@router.get("/problems/{code}", summary="What a problem's type means", responses=problems(NotFound))
async def describe_problem(code: str) -> ProblemKind:
    """One row of the table: what the `type` of a problem points to."""
    if code not in TABLE:
        raise NotFound("There is no problem of this code.")
    return ProblemKind.of(TABLE[code])
