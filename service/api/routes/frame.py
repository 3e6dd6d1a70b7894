"""`POST /frame`: a frame as the service reads it, for those who cannot read its file themselves."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.pipeline import Pipeline
from service.api.negotiation import choose_media_type
from service.api.openapi import UPLOAD_PROBLEMS, problems
from service.api.routes.classify import NOT_STORED, FrameQuery
from service.api.uploads import BODY_IN_OPENAPI, read_upload
from service.imaging.overlay import encode_picture
from service.runtime import RunningDep
from service.schemas.answers import PictureType

router = APIRouter()

_OFFERS: dict[str, PictureType] = {"image/jpeg": "image/jpeg", "image/png": "image/png"}
_TALLEST = 16_384  # pixels; JPEG ends at four times as many
_PICTURE_SCHEMA = {"schema": {"type": "string", "format": "binary"}}


class RunQuery(FrameQuery):
    """Which frame, and how many of those after it."""

    run: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Frames from there on, one below the other: so many at most, as long as they are of one size.",
    )


@router.post(
    "/frame",
    summary="The frame itself, as a picture that a browser shows",
    response_class=Response,
    responses={
        **problems(*UPLOAD_PROBLEMS),
        200: {
            "description": "The upright gray frame, or several.",
            "content": dict.fromkeys(_OFFERS, _PICTURE_SCHEMA),
            "headers": {"X-Frames": {"description": "How many frames it shows.", "schema": {"type": "integer"}}},
        },
    },
    openapi_extra=BODY_IN_OPENAPI,
)
async def frame(
    request: Request,
    query: Annotated[RunQuery, Query()],
    running: RunningDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Read a frame, or a run of them, and send it back upright and gray, at its own size: JPEG, or PNG by `Accept`."""
    picture_type = _OFFERS[choose_media_type(accept, tuple(_OFFERS))]
    upload = await read_upload(request, running.pipeline.limits.max_bytes)
    picture, frames = await running.pool.run(_picture, running.pipeline, upload, query, picture_type)
    headers = NOT_STORED | {"Vary": "Accept", "X-Frames": str(frames)}
    return Response(picture, headers=headers, media_type=picture_type)


def _picture(pipeline: Pipeline, upload: bytes, query: RunQuery, picture_type: PictureType) -> tuple[bytes, int]:
    frames = pipeline.read_frames(upload, index=query.frame, most=query.run)
    frames = frames[: max(1, _TALLEST // frames[0].pixels.shape[0])]
    return encode_picture(np.concatenate([frame.pixels for frame in frames]), picture_type), len(frames)
