"""`POST /exam`: all frames of an exam, sorted by plane. `GET /protocols`: what exams must show."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from service.analysis.exam.corrections import Statement
from service.analysis.exam.evidence import draw_evidence
from service.analysis.exam.reader import ExamOptions, ExamReader, FrameRef
from service.analysis.protocols.load import choose_protocol
from service.api.dependencies import ModelDep, RuntimeDep
from service.api.negotiation import JSON, NEGOTIATED, choose_media_type
from service.api.openapi import FILES_PROBLEMS, TEXT, problem_replies, replies
from service.api.queries import SelectionQuery
from service.api.routes.batch import open_session
from service.api.uploads import FILES_IN_OPENAPI, read_files
from service.errors import BadParameter, NoSuchProtocol, NotReady
from service.reports.answers import exam_report
from service.reports.exam_html import render
from service.reports.html_page import POLICY
from service.schemas.exam import ExamReport
from service.schemas.manifest import Manifest
from service.schemas.protocols import Protocol, Protocols

router = APIRouter(tags=["batches"])

_HTML = "text/html"
_ANSWER = "The frames of the exam by plane as JSON; for `Accept: text/html`, as a page with pictures."


class ExamQuery(SelectionQuery):
    """Selects frames of each file, and the protocol of the exam."""

    protocol: str | None = Field(
        default=None,
        description="Id of the protocol that the exam should fulfill; `GET /protocols` lists them. Default: the "
        "setting `FETAL_PLANES_DEFAULT_PROTOCOL`.",
        examples=["fetal-biometry"],
    )
    chosen: str = Field(
        default="",
        pattern=r"^(\d{1,9}:\d{1,9}(,\d{1,9}:\d{1,9})*)?$",
        description="Frames that a person prefers to the most probable one of their plane, as `file:frame`, separated "
        "by commas, both numbered from 0. Frames that the answer does not list under a plane are ignored.",
        examples=["3:0,5:12"],
    )
    corrected: str = Field(
        default="",
        pattern=r"^(\d{1,9}:\d{1,9}:([a-z][a-z0-9_]*)?(:[a-z][a-z0-9_]*)?(,\d{1,9}:\d{1,9}:([a-z][a-z0-9_]*)?"
        r"(:[a-z][a-z0-9_]*)?)*)?$",
        description="What a person says of frames, as `file:frame:plane` or `file:frame:plane:sub-plane`, separated by "
        "commas; without a plane the frame shows none. The frames count so, and the answer also says what the model "
        "had said. Frames that were not read are ignored.",
        examples=["3:0:fetal_femur,4:0:fetal_brain:trans_thalamic,5:0:"],
    )
    unread: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Number of further files of the exam that are not in the request: the exam is not complete then.",
    )

    def options(self, protocols: Protocols, manifest: Manifest) -> ExamOptions:
        """Return what the query says about an exam; raises `NoSuchProtocol` or `BadParameter`."""
        protocol: Protocol = choose_protocol(protocols, self.protocol)
        pairs = [pair.split(":") for pair in self.chosen.split(",") if pair]
        chosen = frozenset((int(file), int(frame)) for file, frame in pairs)
        return ExamOptions(protocol, chosen, self.unread, self._statements(manifest))

    def _statements(self, manifest: Manifest) -> dict[FrameRef, Statement]:
        """Return what a person says of frames; raises `BadParameter` where the model has no such plane."""
        said: dict[FrameRef, Statement] = {}
        for text in filter(None, self.corrected.split(",")):
            file, frame, plane, *sub_plane = text.split(":")
            said[int(file), int(frame)] = _statement(manifest, plane, "".join(sub_plane))
        return said


def _statement(manifest: Manifest, plane_id: str, sub_plane_id: str) -> Statement:
    planes = {plane.id: plane for plane in manifest.planes}
    finer = manifest.sub_planes
    sub_planes = {each.id: each for each in finer.sub_planes} if finer is not None and finer.plane == plane_id else {}
    if plane_id and plane_id not in planes:
        raise BadParameter(f"`corrected` names the plane {plane_id}; the model has {', '.join(planes)}.")
    if sub_plane_id and sub_plane_id not in sub_planes:
        raise BadParameter(f"`corrected` names the sub-plane {sub_plane_id}, which the model does not have.")
    return Statement(planes.get(plane_id), sub_planes.get(sub_plane_id))


@router.post(
    "/exam",
    summary="Sort the frames of an exam",
    response_model=ExamReport,
    responses=replies(_ANSWER, {_HTML: TEXT}, *FILES_PROBLEMS, NoSuchProtocol),
    openapi_extra=FILES_IN_OPENAPI,
)
async def exam(
    request: Request,
    query: Annotated[ExamQuery, Query()],
    runtime: RuntimeDep,
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Group the frames of an exam by plane; check the protocol; name the frames that a person should check."""
    settings, pipeline = runtime.settings, model.pipeline
    planes = pipeline.engine.manifest.planes
    options = query.options(model.protocols, pipeline.engine.manifest)
    html = choose_media_type(accept, (JSON, _HTML)) == _HTML
    files = await read_files(request, settings)
    session = open_session(runtime, model, query, thumbnails=html)
    reader = ExamReader(planes, options)
    report = await exam_report(session, files, reader)
    if not html:
        return Response(await model.pool.run(to_json_by_items, report), headers=NEGOTIATED, media_type=JSON)
    evidence = await draw_evidence(report, reader, files, pipeline, model.pool.run)
    page = await model.pool.run(render, report, reader.thumbnails, evidence)
    headers = NEGOTIATED | {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(page, headers=headers, media_type=_HTML)


@router.get("/protocols", summary="The protocols of exams", responses=problem_replies(NotReady))
async def protocols(model: ModelDep) -> Protocols:
    """The lists of what an exam must show: those that ship, and those of the operator."""
    return model.protocols


def to_json_by_items(value: BaseModel) -> str:
    """Return the JSON of a model, serialized item by item where it has lists of models.

    One call for the whole report of 20,000 frames would hold Python's lock, and so the event loop, for some 0.1 s.
    """
    lists = {
        name: items for name, items in value if isinstance(items, list) and items and isinstance(items[0], BaseModel)
    }
    if not lists:
        return value.model_dump_json()
    texts = [f"{to_json(name).decode()}:[{','.join(map(to_json_by_items, items))}]" for name, items in lists.items()]
    others = value.model_dump_json(exclude=set(lists))
    return ",".join([others.removesuffix("}"), *texts]).replace("{,", "{", 1) + "}"
