"""What the service reports about itself: `GET /health`, `GET /metrics`, `GET /model` and `GET /problems`."""

from time import monotonic

from fastapi import APIRouter, Response

from service import __version__
from service.analysis.exam import choose_expected
from service.api.dependencies import ModelDep, ReadyModelDep, RuntimeDep
from service.api.openapi import TEXT, problem_replies
from service.errors import TABLE, NotFound, NotReady
from service.schemas.health import Health, HealthDetails, Load, Workers
from service.schemas.manifest import Manifest
from service.schemas.problems import ProblemKind

router = APIRouter()


@router.get("/health/live", summary="Liveness probe", responses=problem_replies())
async def live() -> Health:
    """200 while the process answers requests."""
    return Health(status="alive")


@router.get("/health/ready", summary="Readiness probe", responses=problem_replies(NotReady))
async def ready(_: ReadyModelDep) -> Health:
    """200 from the end of the model's warm-up until the service drains or stops, otherwise 503."""
    return Health(status="ready")


@router.get("/health", summary="Readiness with details", responses=problem_replies(NotReady))
async def health(runtime: RuntimeDep, model: ReadyModelDep) -> HealthDetails:
    """The model, the workers, the load, and the time since the service became ready."""
    budget, admission, pool = runtime.cpu_budget, runtime.admission, model.pool
    planes = model.pipeline.engine.manifest.planes
    return HealthDetails(
        status="ready",
        version=__version__,
        model=model.info,
        workers=Workers(count=budget.count, source=budget.source, threads_for_single_request=budget.count),
        load=Load(
            busy_workers=pool.busy,
            queued=pool.waiting,
            requests=admission.uploads,
            max_requests=admission.limits.uploads,
            held_bytes=admission.held_bytes,
            max_held_bytes=admission.limits.held_bytes,
        ),
        expected_planes=choose_expected(None, runtime.settings.expected_planes, planes),
        uptime_seconds=round(monotonic() - model.ready_since, 3),
    )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses=problem_replies() | {200: {"content": {"text/plain": TEXT}}},
)
async def metrics(runtime: RuntimeDep) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    return Response(runtime.metrics.exposition(), media_type=runtime.metrics.content_type)


@router.get(
    "/model",
    summary="The manifest of the model package",
    responses=problem_replies(NotReady),
    response_model_exclude_unset=True,  # the same fields as model.json
)
async def model(model: ModelDep) -> Manifest:
    """Planes, preprocessing, thresholds, training data, metrics, and the SHA-256 of each file of the package."""
    return model.pipeline.engine.manifest


@router.get("/problems", summary="All kinds of problems", responses=problem_replies())
async def list_problems() -> list[ProblemKind]:
    """The table of problems, each with its stable `type`."""
    return [ProblemKind.of(kind) for kind in TABLE.values()]


@router.get("/problems/{code}", summary="One kind of problem", responses=problem_replies(NotFound))
async def describe_problem(code: str) -> ProblemKind:
    """The row of the table that the `type` of a problem points to."""
    if code not in TABLE:
        raise NotFound(f"No problem has this code; `GET /problems` lists all {len(TABLE)}.")
    return ProblemKind.of(TABLE[code])
