"""`POST /frame`: a frame as the service reads it, for those who cannot read its file themselves."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from service.api.accept import choose
from service.api.classify import NOT_STORED, FrameQuery
from service.api.openapi import UPLOAD_PROBLEMS, problems
from service.api.upload import BODY_IN_OPENAPI, read_upload
from service.imaging.overlay import PictureType, encode_picture
from service.pipeline import Pipeline
from service.state import RunningDep

router = APIRouter()

_OFFERS: dict[str, PictureType] = {"image/jpeg": "image/jpeg", "image/png": "image/png"}
_PICTURE_SCHEMA = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/frame",
    summary="The frame itself, as a picture that a browser shows",
    response_class=Response,
    responses={
        **problems(*UPLOAD_PROBLEMS),
        200: {"description": "The upright grey frame.", "content": dict.fromkeys(_OFFERS, _PICTURE_SCHEMA)},
    },
    openapi_extra=BODY_IN_OPENAPI,
)
async def frame(
    request: Request,
    query: Annotated[FrameQuery, Query()],
    running: RunningDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Read one frame and send it back upright and grey, at its own size: JPEG, or PNG by `Accept`."""
    picture_type = _OFFERS[choose(accept, tuple(_OFFERS))]
    upload = await read_upload(request, running.pipeline.limits.max_bytes)
    picture = await running.pool.run(_picture, running.pipeline, upload, query.frame, picture_type)
    return Response(picture, headers=NOT_STORED | {"Vary": "Accept"}, media_type=picture_type)


def _picture(pipeline: Pipeline, upload: bytes, index: int, picture_type: PictureType) -> bytes:
    return encode_picture(pipeline.read(upload, index=index).pixels, picture_type)
