"""`POST /classify/batch`: all frames of many files in one request."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from service.analysis.batch import File
from service.analysis.batch_session import BatchSession
from service.api.dependencies import ModelDep, RuntimeDep
from service.api.negotiation import JSON, NDJSON, NEGOTIATED, choose_media_type
from service.api.openapi import FILES_PROBLEMS, TEXT, replies
from service.api.queries import BatchQuery, SelectionQuery
from service.api.uploads import FILES_IN_OPENAPI, read_files
from service.execution.work import current_work
from service.inference.prediction_set import SetRule
from service.reports.answers import batch_record
from service.runtime import LoadedModel, Runtime
from service.schemas.batch import Batch, BatchEnd, FrameAnswer, FrameProblem
from service.schemas.examples import BATCH

router = APIRouter(tags=["batches"])

BatchRecord = FrameAnswer | FrameProblem | BatchEnd

_JOBS_PER_WORKER = 3  # in work, or done and not yet sent: enough to keep every worker busy
_ANSWER = (
    "One line of JSON for each frame, in the order of the upload: the answer of `/classify`, or a problem, each with "
    "its `source`. The last line holds the `summary`, with the planes of each cine. A reply without it was cut short. "
    "For `Accept: application/json`, one document with the lines as its `records`, streamed as well."
)
_END = {name: BATCH[name] for name in ("summary", "request_id")}
_LINES = "".join(f"{json.dumps(line)}\n" for line in (*BATCH["records"], _END))


@router.post(
    "/classify/batch",
    summary="Classify all frames of many files",
    response_model=Batch,
    responses=replies(_ANSWER, {NDJSON: TEXT | {"example": _LINES}}, *FILES_PROBLEMS),
    openapi_extra=FILES_IN_OPENAPI,
)
async def classify_batch(
    request: Request,
    query: Annotated[BatchQuery, Query()],
    runtime: RuntimeDep,
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> StreamingResponse:
    """Classify all frames of many files and send each answer when it is ready. A bad file costs its own line only."""
    media_type = choose_media_type(accept, (NDJSON, JSON))
    sets = query.set_rule(model.pipeline.engine.manifest, media_type)
    files = await read_files(request, runtime.settings)
    records = _records(open_session(runtime, model, query), files, query.top, sets)
    encode = _as_document if media_type == JSON else _as_lines
    return StreamingResponse(encode(records), headers=NEGOTIATED, media_type=media_type)


def open_session(
    runtime: Runtime, model: LoadedModel, query: SelectionQuery, *, thumbnails: bool = False
) -> BatchSession:
    """Return the session that classifies the files of the current request."""
    return BatchSession(
        pipeline=model.pipeline,
        run=model.pool.run,
        selection=query.selection,
        max_frames=runtime.settings.max_batch_frames,
        window=_JOBS_PER_WORKER * model.pool.cpu_budget.count,
        thumbnails=thumbnails,
        record=partial(runtime.record, current_work()),
    )


async def _records(
    session: BatchSession, files: list[File], top: int, sets: SetRule | None
) -> AsyncGenerator[BatchRecord, None]:
    async with aclosing(session.lines(files)) as lines:
        async for line in lines:
            yield batch_record(line, top, sets)


async def _as_lines(records: AsyncGenerator[BatchRecord, None]) -> AsyncIterator[str]:
    async with aclosing(records):
        async for record in records:
            yield record.model_dump_json() + "\n"


async def _as_document(records: AsyncGenerator[BatchRecord, None]) -> AsyncIterator[str]:
    """Yield the JSON of `Batch` piece by piece; a reply that was cut short is not valid JSON."""
    before = '{"records":['
    async with aclosing(records):
        async for record in records:
            if isinstance(record, BatchEnd):
                yield before.rstrip(",") + "]," + record.model_dump_json().removeprefix("{")
            else:
                yield before + record.model_dump_json()
                before = ","
