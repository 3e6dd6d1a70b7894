"""`GET /model`: the manifest of the served model."""

from fastapi import APIRouter

from service.api.dependencies import ModelDep
from service.api.openapi import problem_replies
from service.errors import NotReady
from service.schemas.manifest import ServedManifest

router = APIRouter(tags=["reference"])


@router.get(
    "/model",
    summary="The manifest of the model package",
    responses=problem_replies(NotReady),
    response_model_exclude_unset=True,  # the fields of model.json, and the precision
)
async def model(model: ModelDep) -> ServedManifest:
    """Precision, planes, preprocessing, thresholds, training data, metrics, and the SHA-256 of each file."""
    package = model.pipeline.engine.package
    fields = package.manifest.model_fields_set | {"precision"}
    return ServedManifest.model_construct(fields, **dict(package.manifest), precision=package.precision)
