"""`GET /health`: probes for load balancers and operators."""

from time import monotonic

from fastapi import APIRouter

from service import __version__
from service.api.dependencies import ReadyModelDep, RuntimeDep
from service.api.openapi import problem_replies
from service.errors import NotReady
from service.execution.pool import WorkerPool
from service.runtime import Runtime
from service.schemas.health import Health, HealthDetails, Load, Workers

router = APIRouter(prefix="/health", tags=["operation"])


@router.get("/live", summary="Liveness probe", responses=problem_replies())
async def live() -> Health:
    """200 while the process answers requests."""
    return Health(status="alive")


@router.get("/ready", summary="Readiness probe", responses=problem_replies(NotReady))
async def ready(_: ReadyModelDep) -> Health:
    """200 from the end of the model's warm-up until the service drains or stops, otherwise 503."""
    return Health(status="ready")


@router.get("", summary="Readiness with details", responses=problem_replies(NotReady))
async def health(runtime: RuntimeDep, model: ReadyModelDep) -> HealthDetails:
    """The model, the workers, the load, and the time since the service became ready."""
    budget = runtime.cpu_budget
    return HealthDetails(
        status="ready",
        service_version=__version__,
        model=model.info,
        providers=model.pipeline.engine.providers,
        workers=Workers(count=budget.count, source=budget.source, threads_for_single_request=budget.count),
        load=_load(runtime, model.pool),
        corrections=runtime.store is not None,
        correction_frames=runtime.store is not None and runtime.store.frames is not None,
        uptime_seconds=round(monotonic() - model.ready_since, 3),
    )


def _load(runtime: Runtime, pool: WorkerPool) -> Load:
    admission = runtime.admission
    return Load(
        busy_workers=pool.busy,
        queued=pool.waiting,
        requests=admission.uploads,
        max_requests=admission.limits.uploads,
        held_bytes=admission.held_bytes,
        max_held_bytes=admission.limits.held_bytes,
    )
