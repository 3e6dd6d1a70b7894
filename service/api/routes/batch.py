"""`POST /classify/batch`: all frames of many files in one request."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from service.analysis.batch import File, Selection
from service.analysis.batch_session import BatchSession
from service.api.dependencies import ModelDep, RuntimeDep
from service.api.negotiation import NO_STORE
from service.api.openapi import FILES_PROBLEMS, TEXT, replies
from service.api.queries import BatchQuery, SelectionQuery
from service.api.uploads import FILES_IN_OPENAPI, read_files
from service.execution.work import current_work
from service.reports.answers import batch_record
from service.runtime import LoadedModel, Runtime

router = APIRouter()

_NDJSON = "application/x-ndjson"
_JOBS_PER_WORKER = 3  # in work, or done and not yet sent: enough to keep every worker busy
_ANSWER = (
    "One line of JSON for each frame, in the order of the upload: the answer of `/classify`, or a problem, each with "
    "its `source`. The last line holds the `summary`, with the planes of each cine. A reply without it was cut short."
)


@router.post(
    "/classify/batch",
    summary="Classify all frames of many files",
    response_class=StreamingResponse,
    responses=replies(_ANSWER, {_NDJSON: TEXT}, *FILES_PROBLEMS),
    openapi_extra=FILES_IN_OPENAPI,
)
async def classify_batch(
    request: Request, query: Annotated[BatchQuery, Query()], runtime: RuntimeDep, model: ModelDep
) -> StreamingResponse:
    """Classify all frames of many files and send each answer when it is ready. A bad file costs its own line only."""
    settings = runtime.settings
    files = await read_files(request, settings.max_batch_bytes, settings.max_batch_frames)
    session = open_session(model, query, settings.max_batch_frames)
    return StreamingResponse(_encoded(session, files, query.top, runtime), headers=NO_STORE, media_type=_NDJSON)


def open_session(
    model: LoadedModel, query: SelectionQuery, max_frames: int, *, thumbnails: bool = False
) -> BatchSession:
    """Return the session that classifies the files of the current request."""
    window = _JOBS_PER_WORKER * model.pool.cpu_budget.count
    selection = Selection(query.every, query.limit)
    return BatchSession(model.pipeline, model.pool.run, selection, max_frames, window, thumbnails)


async def _encoded(session: BatchSession, files: list[File], top: int, runtime: Runtime) -> AsyncIterator[str]:
    async with aclosing(session.lines(files)) as lines:
        async for line in lines:
            runtime.record(current_work())  # a long batch shows in the metrics while it runs
            yield batch_record(line, top).model_dump_json() + "\n"
