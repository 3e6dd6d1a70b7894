"""`POST /frame`: a frame as a picture, for clients that cannot decode its file themselves."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.pipeline import Pipeline
from service.api.dependencies import ModelDep
from service.api.negotiation import NEGOTIATED, choose_media_type
from service.api.openapi import BINARY, FRAME_PROBLEMS, replies
from service.api.queries import FrameQuery
from service.api.uploads import FRAME_IN_OPENAPI, read_upload
from service.imaging.overlay import encode_picture
from service.schemas.answers import PictureType

router = APIRouter(tags=["frames"])

_OFFERS: dict[str, PictureType] = {"image/jpeg": "image/jpeg", "image/png": "image/png"}
_MAX_HEIGHT = 16_384  # pixels of the reply; JPEG allows four times as many
_ANSWER = "One or more upright gray frames."
_X_FRAMES = {"description": "Number of frames in the picture.", "schema": {"type": "integer"}}
_COUNT = (
    "Maximum number of consecutive frames, stacked from top to bottom. The reply ends before a frame of another size."
)


class FramesQuery(FrameQuery):
    """Selects consecutive frames of the upload."""

    count: int = Field(default=1, ge=1, le=16, description=_COUNT)


@router.post(
    "/frame",
    summary="Convert a frame to a picture that browsers show",
    response_class=Response,
    responses=replies(_ANSWER, dict.fromkeys(_OFFERS, BINARY), *FRAME_PROBLEMS, headers={"X-Frames": _X_FRAMES}),
    openapi_extra=FRAME_IN_OPENAPI,
)
async def frame(
    request: Request,
    query: Annotated[FramesQuery, Query()],
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Return frames upright and gray, in their own size, as JPEG or (by `Accept`) PNG."""
    picture_type = _OFFERS[choose_media_type(accept, tuple(_OFFERS))]
    upload = await read_upload(request, model.pipeline.limits.max_bytes)
    picture, count = await model.pool.run(_picture, model.pipeline, upload, query, picture_type)
    return Response(picture, headers=NEGOTIATED | {"X-Frames": str(count)}, media_type=picture_type)


def _picture(pipeline: Pipeline, upload: bytes, query: FramesQuery, picture_type: PictureType) -> tuple[bytes, int]:
    frames = pipeline.read_frames(upload, index=query.frame, most=query.count)
    frames = frames[: max(1, _MAX_HEIGHT // frames[0].pixels.shape[0])]
    return encode_picture(np.concatenate([frame.pixels for frame in frames]), picture_type), len(frames)
