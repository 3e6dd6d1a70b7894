"""`POST /classify/batch`: all frames of many files in one request."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
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
    files = await read_files(request, runtime.settings.max_batch_bytes, runtime.settings.max_batch_frames)
    session = open_session(runtime, model, query)
    return StreamingResponse(_encoded(session, files, query.top), headers=NO_STORE, media_type=_NDJSON)


def open_session(
    runtime: Runtime, model: LoadedModel, query: SelectionQuery, *, thumbnails: bool = False
) -> BatchSession:
    """Return the session that classifies the files of the current request."""
    return BatchSession(
        pipeline=model.pipeline,
        run=model.pool.run,
        selection=Selection(query.every, query.limit),
        max_frames=runtime.settings.max_batch_frames,
        window=_JOBS_PER_WORKER * model.pool.cpu_budget.count,
        thumbnails=thumbnails,
        record=partial(runtime.record, current_work()),
    )


async def _encoded(session: BatchSession, files: list[File], top: int) -> AsyncIterator[str]:
    async with aclosing(session.lines(files)) as lines:
        async for line in lines:
            yield batch_record(line, top).model_dump_json() + "\n"
