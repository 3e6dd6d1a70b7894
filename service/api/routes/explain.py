"""`POST /explain`: the evidence for a plane."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.pipeline import Pipeline
from service.api.dependencies import ModelDep
from service.api.dicom_responses import DICOM, RELATED, reply_report_and_overlay, require_dicom
from service.api.negotiation import JSON, NEGOTIATED, choose_media_type
from service.api.openapi import BINARY, FRAME_PROBLEMS, TEXT, replies
from service.api.queries import ClassifyQuery, FrameRoute
from service.api.uploads import FRAME_IN_OPENAPI, read_upload
from service.errors import BadParameter, NoDicomSource, NoSuchPlane
from service.imaging.letterbox import Picture
from service.inference.prediction_set import SetRule
from service.reports.answers import explained
from service.schemas.answers import ExplainedClassification, PictureType

router = APIRouter(tags=["frames"], route_class=FrameRoute)

_PICTURES: dict[str, PictureType] = {"image/jpeg": "image/jpeg", "image/png": "image/png"}
_OFFERS = (JSON, *_PICTURES, DICOM, RELATED)
_CONTENT = dict.fromkeys((*_PICTURES, RELATED), BINARY)
_ANSWER = (
    "The classification and its explanation as JSON. By `Accept`: the overlay alone as a picture, or a structured "
    "report and the overlay as DICOM objects."
)
_X_PLANE = TEXT | {"description": "The explained plane, in replies other than JSON."}


class ExplainQuery(ClassifyQuery):
    """Selects a frame, the plane to explain, and whether the answer holds the overlay."""

    target: str | None = Field(
        default=None,
        description="Id of the plane to explain. Default: the first prediction.",
        examples=["fetal_brain"],
    )
    overlay: bool = Field(
        default=True, description="Whether the JSON holds the overlay, which takes most of the encoding time."
    )


@router.post(
    "/explain",
    summary="Explain a frame",
    response_model=ExplainedClassification,
    responses=replies(_ANSWER, _CONTENT, *FRAME_PROBLEMS, NoSuchPlane, NoDicomSource, headers={"X-Plane": _X_PLANE}),
    openapi_extra=FRAME_IN_OPENAPI,
)
async def explain(
    request: Request,
    query: Annotated[ExplainQuery, Query()],
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Classify one frame and compute the Grad-CAM heat map of one plane's logit."""
    media_type = choose_media_type(accept, _OFFERS)
    if media_type != JSON and not query.overlay:
        raise BadParameter("`overlay=false` needs a JSON reply; the header `Accept` asks for another one.")
    sets = query.set_rule(model.pipeline.engine.manifest, media_type)
    upload = await read_upload(request, model.pipeline.limits.max_bytes)
    return await model.pool.run(_answer, model.pipeline, upload, query, sets, media_type)


def _answer(pipeline: Pipeline, upload: bytes, query: ExplainQuery, sets: SetRule | None, media_type: str) -> Response:
    if media_type in (DICOM, RELATED):
        require_dicom(upload)
    needed: Picture = "whole" if query.overlay else "none"  # without an overlay the frame stays in its decoder
    result = pipeline.explain(upload, index=query.frame, target=query.target, picture=needed)
    plane = {"X-Plane": result.target.id}
    if media_type in (DICOM, RELATED):
        return reply_report_and_overlay(pipeline, result, NEGOTIATED | plane)
    if (picture_type := _PICTURES.get(media_type)) is not None:
        picture = pipeline.draw(result, picture_type)
        return Response(picture, headers=NEGOTIATED | plane, media_type=picture_type)
    overlay = pipeline.draw(result, "image/jpeg") if query.overlay else None
    answer = explained(result, overlay, query.top, sets)
    return Response(answer.model_dump_json(), headers=NEGOTIATED, media_type=JSON)
