"""`POST /exam`: all frames of an exam, sorted."""

from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.batch_session import BatchTotals
from service.analysis.exam import ExamReader, choose_expected, draw_evidence
from service.api.batch_uploads import FILES_IN_OPENAPI, read_files
from service.api.negotiation import choose_media_type
from service.api.openapi import problems
from service.api.routes.batch import FILES_PROBLEMS, SelectionQuery, open_session
from service.api.routes.classify import NOT_STORED
from service.errors import NoSuchPlane
from service.reports.answers import exam_report
from service.reports.exam_html import POLICY, render
from service.runtime import RunningDep, ServiceDep
from service.schemas.exam import ExamReport

router = APIRouter()

_JSON, _HTML = "application/json", "text/html"


class ExamQuery(SelectionQuery):
    """Which frames, and which planes there should be."""

    expect: str | None = Field(
        default=None, description="Planes that the exam should hold, with commas between them; by default a setting's."
    )


@router.post(
    "/exam",
    summary="Sort an exam",
    response_model=ExamReport,
    responses={
        **problems(*FILES_PROBLEMS, NoSuchPlane),
        200: {
            "description": "The exam's frames by plane; or, by `Accept: text/html`, a page that shows them.",
            "content": {_HTML: {"schema": {"type": "string"}}},
        },
    },
    openapi_extra=FILES_IN_OPENAPI,
)
async def exam(
    request: Request,
    query: Annotated[ExamQuery, Query()],
    service: ServiceDep,
    running: RunningDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Group the frames of an exam by plane; name the best of each, what is missing, and what a person must look at."""
    settings, pipeline = service.settings, running.pipeline
    planes = pipeline.engine.manifest.planes
    expected = choose_expected(query.expect, settings.expected_planes, planes)
    html = choose_media_type(accept, (_JSON, _HTML)) == _HTML
    files = await read_files(request, settings.max_batch_bytes, settings.max_batch_frames)
    session = open_session(running, query, settings.max_batch_frames, thumbnails=html)
    reader = ExamReader(planes, expected)
    async with aclosing(session.lines(files)) as lines:
        async for line in lines:
            if isinstance(line, BatchTotals):
                found = reader.finish(line)
            else:
                reader.add(line)
    report = exam_report(found, pipeline.model)
    headers = NOT_STORED | {"Vary": "Accept"}
    if not html:
        return Response(report.model_dump_json(), headers=headers, media_type=_JSON)
    evidence = await draw_evidence(found, reader, files, pipeline, running.pool.run)
    page = await running.pool.run(render, report, reader.thumbnails, evidence)
    headers |= {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(page, headers=headers, media_type=_HTML)
