"""`POST /classify/batch`: many files, and all frames of each, in one request."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from service.analysis.batch import File, Selection
from service.analysis.batch_session import BatchSession
from service.api.batch_uploads import FILES_IN_OPENAPI, read_files
from service.api.openapi import problems
from service.api.routes.classify import NOT_STORED
from service.errors import BadParameter, EmptyUpload, MalformedRequest, NotReady, UploadTooLarge
from service.execution.work import current_work
from service.observability.metrics import Metrics
from service.reports.answers import batch_record
from service.runtime import Running, RunningDep, ServiceDep
from service.schemas.answers import DEFAULT_TOP_K

router = APIRouter()

NDJSON = "application/x-ndjson"
FILES_PROBLEMS = (MalformedRequest, EmptyUpload, BadParameter, UploadTooLarge, NotReady)

_AHEAD = 3  # pieces of work a worker, under way or done and not yet sent: enough that no worker ever waits


class SelectionQuery(BaseModel):
    """Which frames of each file."""

    model_config = ConfigDict(extra="forbid")

    every: int = Field(default=1, ge=1, le=100_000, description="Of each file every so manieth frame, from the first.")
    limit: int | None = Field(default=None, ge=1, le=1_000_000, description="Of each file at most so many frames.")


class BatchQuery(SelectionQuery):
    """Which frames of each file, and how many planes an answer names."""

    top: int = Field(
        default=DEFAULT_TOP_K, ge=1, le=1000, description="Predictions in each answer; at most all planes."
    )


@router.post(
    "/classify/batch",
    summary="Classify many frames",
    response_class=StreamingResponse,
    responses={
        **problems(*FILES_PROBLEMS),
        200: {
            "description": "A line of JSON for each frame, in the order of the upload: what `/classify` answers, or a "
            "problem, each with its `source`. The last line holds the `summary`, with what each cine shows; without it "
            "the reply was cut short.",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        },
    },
    openapi_extra=FILES_IN_OPENAPI,
)
async def classify_batch(
    request: Request,
    query: Annotated[BatchQuery, Query()],
    service: ServiceDep,
    running: RunningDep,
) -> StreamingResponse:
    """Classify all frames of many files; the answers are sent as they come. A bad file costs its own line alone."""
    settings = service.settings
    files = await read_files(request, settings.max_batch_bytes, settings.max_batch_frames)
    session = open_session(running, query, settings.max_batch_frames)
    return StreamingResponse(
        _encoded(session, files, query.top, service.metrics), headers=NOT_STORED, media_type=NDJSON
    )


def open_session(running: Running, query: SelectionQuery, max_frames: int, *, thumbnails: bool = False) -> BatchSession:
    """How a request's files are looked at."""
    window = _AHEAD * running.pool.cpu_budget.count
    selection = Selection(query.every, query.limit)
    return BatchSession(running.pipeline, running.pool.run, selection, max_frames, window, thumbnails)


async def _encoded(session: BatchSession, files: list[File], top: int, metrics: Metrics) -> AsyncIterator[str]:
    planes = session.pipeline.engine.manifest.planes
    async with aclosing(session.lines(files)) as lines:
        async for line in lines:
            metrics.ran(current_work())
            yield batch_record(line, planes, top).model_dump_json() + "\n"
