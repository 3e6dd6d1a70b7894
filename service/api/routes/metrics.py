"""`GET /metrics`: metrics for Prometheus."""

from fastapi import APIRouter, Response

from service.api.dependencies import RuntimeDep
from service.api.openapi import TEXT, problem_replies

router = APIRouter()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={**problem_replies(), 200: {"content": {"text/plain": TEXT}}},
)
async def metrics(runtime: RuntimeDep) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    return Response(runtime.metrics.exposition(), media_type=runtime.metrics.content_type)
