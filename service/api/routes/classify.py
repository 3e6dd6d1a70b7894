"""`POST /classify`: the plane that a frame shows."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from service.analysis.pipeline import Pipeline
from service.api.dependencies import ModelDep
from service.api.dicom_responses import DICOM, reply_report, require_dicom
from service.api.negotiation import JSON, NEGOTIATED, choose_media_type
from service.api.openapi import BINARY, FRAME_PROBLEMS, replies
from service.api.queries import ClassifyQuery
from service.api.uploads import FRAME_IN_OPENAPI, read_upload
from service.errors import NoDicomSource
from service.reports.answers import classification
from service.schemas.answers import Classification

router = APIRouter(tags=["frames"])

_ANSWER = "The classification as JSON; for `Accept: application/dicom`, as a structured report."


@router.post(
    "/classify",
    summary="Classify a frame",
    response_model=Classification,
    responses=replies(_ANSWER, {DICOM: BINARY}, *FRAME_PROBLEMS, NoDicomSource),
    openapi_extra=FRAME_IN_OPENAPI,
)
async def classify(
    request: Request,
    query: Annotated[ClassifyQuery, Query()],
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Read one frame and return its most probable planes. `abstain` is true when they should not be relied on."""
    upload = await read_upload(request, model.pipeline.limits.max_bytes)
    media_type = choose_media_type(accept, (JSON, DICOM))
    return await model.pool.run(_answer, model.pipeline, upload, query, media_type)


def _answer(pipeline: Pipeline, upload: bytes, query: ClassifyQuery, media_type: str) -> Response:
    if media_type == DICOM:
        require_dicom(upload)
        return reply_report(pipeline, pipeline.classify(upload, index=query.frame), NEGOTIATED)
    result = pipeline.classify(upload, index=query.frame)
    answer = classification(result, query.top)
    return Response(answer.model_dump_json(), headers=NEGOTIATED, media_type=JSON)
