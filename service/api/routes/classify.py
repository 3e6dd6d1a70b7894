"""`POST /classify`: which plane does a frame show?"""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.analysis.pipeline import Pipeline
from service.api.dicom_responses import DICOM, REPORT_IN_OPENAPI, reply_report, require_dicom
from service.api.negotiation import choose_media_type
from service.api.openapi import UPLOAD_PROBLEMS, problems
from service.api.uploads import BODY_IN_OPENAPI, read_upload
from service.errors import NoDicomSource
from service.reports.answers import classification
from service.runtime import RunningDep
from service.schemas.answers import DEFAULT_TOP_K, Classification

router = APIRouter()

_JSON = "application/json"
NOT_STORED = {"Cache-Control": "no-store"}  # the answer is about a patient


class FrameQuery(BaseModel):
    """Which frame of the upload."""

    model_config = ConfigDict(extra="forbid")

    frame: int = Field(default=0, ge=0, description="Which frame of the file, from 0, where it has several.")


class ClassifyQuery(FrameQuery):
    """Which frame, and how many planes the answer names."""

    top: int = Field(default=DEFAULT_TOP_K, ge=1, le=1000, description="Predictions in the answer; at most all planes.")


@router.post(
    "/classify",
    summary="Name the two most probable planes of a frame",
    response_model=Classification,
    responses={
        **problems(*UPLOAD_PROBLEMS, NoDicomSource),
        200: {
            "description": "The classification; by `Accept`, as a DICOM structured report.",
            "content": REPORT_IN_OPENAPI,
        },
    },
    openapi_extra=BODY_IN_OPENAPI,
)
async def classify(
    request: Request,
    query: Annotated[ClassifyQuery, Query()],
    running: RunningDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Read one frame and classify it. Where the model does not know, it says so in `abstain`."""
    upload = await read_upload(request, running.pipeline.limits.max_bytes)
    media_type = choose_media_type(accept, (_JSON, DICOM))
    return await running.pool.run(_answer, running.pipeline, upload, query, media_type)


def _answer(pipeline: Pipeline, upload: bytes, query: ClassifyQuery, media_type: str) -> Response:
    headers = NOT_STORED | {"Vary": "Accept"}
    if media_type == DICOM:
        require_dicom(upload)
        return reply_report(pipeline, pipeline.classify(upload, index=query.frame), headers)
    result = pipeline.classify(upload, index=query.frame)
    answer = classification(result, query.top)
    return Response(answer.model_dump_json(), headers=headers, media_type=_JSON)
