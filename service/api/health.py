"""Probes: is the process alive, is it ready, and what is it doing?"""

from time import monotonic

from fastapi import APIRouter

from service import __version__
from service.api.openapi import problems
from service.errors import NotReady
from service.schemas import Health, HealthDetails, Workers
from service.state import RunningDep

router = APIRouter(prefix="/health")


@router.get("/live", summary="Does the process run?", responses=problems())
async def live() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="alive")


@router.get("/ready", summary="Will it take a frame now?", responses=problems(NotReady))
async def ready(running: RunningDep) -> Health:
    """200 once the model has passed its warm-up and until the service stops, else 503."""
    return Health(status="ready")


@router.get("", summary="The same verdict with details", responses=problems(NotReady))
async def health(running: RunningDep) -> HealthDetails:
    """What is served, by how many threads, and since when."""
    width = running.pool.width
    return HealthDetails(
        status="ready",
        version=__version__,
        model=running.model,
        workers=Workers(count=width.count, source=width.source),
        uptime_seconds=round(monotonic() - running.since, 3),
    )
