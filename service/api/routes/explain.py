"""`POST /explain`: what in the frame speaks for a plane?"""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.pipeline import Pipeline
from service.api.dicom_responses import DICOM, PARTS, PARTS_IN_OPENAPI, reply_report_and_overlay, require_dicom
from service.api.negotiation import choose_media_type
from service.api.openapi import UPLOAD_PROBLEMS, problems
from service.api.routes.classify import NOT_STORED, ClassifyQuery
from service.api.uploads import BODY_IN_OPENAPI, read_upload
from service.errors import BadParameter, NoDicomSource, NoSuchPlane
from service.reports.answers import explained
from service.runtime import RunningDep
from service.schemas.answers import ExplainedClassification, PictureType

router = APIRouter()

_JSON = "application/json"
_PICTURES: dict[str, PictureType] = {"image/jpeg": "image/jpeg", "image/png": "image/png"}
_OFFERS = (_JSON, *_PICTURES, DICOM, PARTS)
_PICTURE_SCHEMA = {"schema": {"type": "string", "format": "binary"}}


class ExplainQuery(ClassifyQuery):
    """Which frame, which plane, and whether with a picture."""

    target: str | None = Field(default=None, description="The plane to explain; by default the first prediction.")
    overlay: bool = Field(default=True, description="Whether the JSON holds the overlay; it is the costly part.")


@router.post(
    "/explain",
    summary="Show the evidence for a plane",
    response_model=ExplainedClassification,
    responses={
        **problems(*UPLOAD_PROBLEMS, NoSuchPlane, NoDicomSource),
        200: {
            "description": "The classification with its explanation; or, by `Accept`, the overlay itself; or, for "
            "`application/dicom`, a structured report and the overlay as DICOM objects.",
            "content": dict.fromkeys(_PICTURES, _PICTURE_SCHEMA) | PARTS_IN_OPENAPI,
            "headers": {
                "X-Plane": {"description": "With a picture: the plane explained.", "schema": {"type": "string"}}
            },
        },
    },
    openapi_extra=BODY_IN_OPENAPI,
)
async def explain(
    request: Request,
    query: Annotated[ExplainQuery, Query()],
    running: RunningDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Classify one frame and compute the Grad-CAM of one plane's logit over it."""
    media_type = choose_media_type(accept, _OFFERS)
    if media_type != _JSON and not query.overlay:
        raise BadParameter("`overlay=false` goes with JSON alone.")
    upload = await read_upload(request, running.pipeline.limits.max_bytes)
    return await running.pool.run(_answer, running.pipeline, upload, query, media_type)


def _answer(pipeline: Pipeline, upload: bytes, query: ExplainQuery, media_type: str) -> Response:
    headers = NOT_STORED | {"Vary": "Accept"}
    if media_type in (DICOM, PARTS):
        require_dicom(upload)
    result = pipeline.explain(upload, index=query.frame, target=query.target)
    if media_type in (DICOM, PARTS):
        return reply_report_and_overlay(pipeline, result, headers | {"X-Plane": result.target.id})
    if (picture_type := _PICTURES.get(media_type)) is not None:
        picture = pipeline.draw(result, picture_type)
        return Response(picture, headers=headers | {"X-Plane": result.target.id}, media_type=picture_type)
    overlay = pipeline.draw(result, "image/jpeg") if query.overlay else None
    answer = explained(result, overlay, query.top)
    return Response(answer.model_dump_json(), headers=headers, media_type=_JSON)
