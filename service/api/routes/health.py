"""Probes: is the process alive, is it ready, and what is it doing?"""

from time import monotonic

from fastapi import APIRouter

from service import __version__
from service.analysis.exam import choose_expected
from service.api.openapi import problems
from service.errors import NotReady
from service.execution.pool import WorkerPool
from service.runtime import ReadyDep, Running, Service, ServiceDep
from service.schemas.health import Health, HealthDetails, Load, Workers

router = APIRouter(prefix="/health")


@router.get("/live", summary="Does the process run?", responses=problems())
async def live() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="alive")


@router.get("/ready", summary="Will it take a frame now?", responses=problems(NotReady))
async def ready(_: ReadyDep) -> Health:
    """200 once the model has passed its warm-up and until the service drains or stops, else 503."""
    return Health(status="ready")


@router.get("", summary="The same verdict with details", responses=problems(NotReady))
async def health(service: ServiceDep, running: ReadyDep) -> HealthDetails:
    """What is served, by how many threads, how much of it, and since when."""
    width = service.width
    return HealthDetails(
        status="ready",
        version=__version__,
        model=running.model,
        workers=Workers(count=width.count, source=width.source, threads_for_single_request=width.count),
        load=_load(service, running.pool),
        expected_planes=choose_expected(
            None, service.settings.expected_planes, running.pipeline.engine.manifest.planes
        ),
        uptime_seconds=round(monotonic() - running.since, 3),
    )


def _expected(service: Service, running: Running) -> list[str]:
    return choose_expected(None, service.settings.expected_planes, running.pipeline.engine.manifest.planes)


def _load(service: Service, pool: WorkerPool) -> Load:
    admission = service.admission
    return Load(
        busy_workers=pool.busy,
        queued=pool.waiting,
        requests=admission.uploads,
        max_requests=admission.limits.uploads,
        held_bytes=admission.held_bytes,
        max_held_bytes=admission.limits.held_bytes,
    )
