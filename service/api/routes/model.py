"""`GET /model`: the manifest of the served model."""

from fastapi import APIRouter

from service.api.dependencies import ModelDep
from service.api.openapi import problem_replies
from service.errors import NotReady
from service.schemas.manifest import Manifest

router = APIRouter(tags=["reference"])


@router.get(
    "/model",
    summary="The manifest of the model package",
    responses=problem_replies(NotReady),
    response_model_exclude_unset=True,  # the same fields as model.json
)
async def model(model: ModelDep) -> Manifest:
    """Planes, preprocessing, thresholds, training data, metrics, and the SHA-256 of each file of the package."""
    return model.pipeline.engine.manifest
