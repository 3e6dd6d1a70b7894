"""`GET /sample`: drawn frames to try the service with."""

from fastapi import APIRouter, Response

from service.api.dependencies import ModelDep
from service.api.openapi import BINARY, Replies, problem_replies
from service.errors import NotFound, NotReady
from service.sample.examples import EXAMPLES, encode_example
from service.schemas.examples import Sample

router = APIRouter(prefix="/sample", tags=["reference"])

_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_CONTENT = {example.media_type: BINARY for example in EXAMPLES.values()}
_REPLIES: Replies = {**problem_replies(NotFound, NotReady), 200: {"description": "The file.", "content": _CONTENT}}


@router.get("", summary="Drawn frames to try the service with", responses=problem_replies())
async def list_samples() -> list[Sample]:
    """The example files. All of them are drawn: they show no patient."""
    return [Sample(name=each.name, media_type=each.media_type, planes=list(each.planes)) for each in EXAMPLES.values()]


@router.get("/{name}", summary="One drawn file", response_class=Response, responses=_REPLIES)
async def read_sample(name: str, model: ModelDep) -> Response:
    """One of the files that `GET /sample` lists, such as `brain.png` or `loop.dcm`."""
    if (example := EXAMPLES.get(name)) is None:
        raise NotFound(f"No example has this name; `GET /sample` lists all {len(EXAMPLES)}.")
    try:
        content = await model.pool.run(encode_example, example)
    except ImportError as error:
        raise NotFound("This service cannot write DICOM: it was installed without the extra `dicom`.") from error
    return Response(content, headers=_HEADERS, media_type=example.media_type)
