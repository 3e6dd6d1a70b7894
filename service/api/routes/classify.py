"""`POST /classify`: the plane that a frame shows."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from service.analysis.pipeline import Pipeline
from service.api.dependencies import ModelDep
from service.api.dicom_responses import DICOM, reply_report, require_dicom
from service.api.negotiation import JSON, NEGOTIATED, choose_media_type
from service.api.openapi import BINARY, FRAME_PROBLEMS, replies
from service.api.queries import ClassifyQuery, FrameRoute
from service.api.uploads import FRAME_IN_OPENAPI, read_upload
from service.errors import NoDicomSource
from service.inference.prediction_set import SetRule
from service.reports.answers import classification
from service.reports.patient_key import machine_name, patient_key, raw_identifiers
from service.schemas.answers import Classification

router = APIRouter(tags=["frames"], route_class=FrameRoute)

_PATIENT_KEY, _MACHINE = "X-Patient-Key", "X-Machine"
_IDENTIFIERS = {"study": "X-Study-Instance-UID", "patient": "X-Patient-ID"}
_ANSWER = "The classification as JSON; for `Accept: application/dicom`, as a structured report."


class SaltedQuery(ClassifyQuery):
    """Selects a frame, and says whether to tell its patient from others."""

    patient_salt: str | None = Field(
        default=None,
        pattern=r"^[0-9a-zA-Z_-]{16,64}$",
        description="A random text of the client. The reply to a DICOM frame then has the header `X-Patient-Key`, "
        "which is equal for all frames of a patient under this salt and names nobody, and `X-Machine`, the model name "
        "of the machine, percent-encoded.",
    )
    identifiers: bool = Field(
        default=False,
        description="True: where the service keeps corrections, the reply to a DICOM frame has the headers "
        "`X-Study-Instance-UID` and `X-Patient-ID`, percent-encoded, which a correction of the frame needs.",
    )


@router.post(
    "/classify",
    summary="Classify a frame",
    response_model=Classification,
    responses=replies(_ANSWER, {DICOM: BINARY}, *FRAME_PROBLEMS, NoDicomSource),
    openapi_extra=FRAME_IN_OPENAPI,
)
async def classify(
    request: Request,
    query: Annotated[SaltedQuery, Query()],
    model: ModelDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Read one frame and return its most probable planes. `abstain` is true when they should not be relied on."""
    media_type = choose_media_type(accept, (JSON, DICOM))
    sets = query.set_rule(model.pipeline.engine.manifest, media_type)
    upload = await read_upload(request, model.pipeline.limits.max_bytes)
    if media_type == DICOM:
        return await model.pool.run(_report, model.pipeline, upload, query.frame)
    if query.identifiers and request.app.state.runtime.store is None:
        query = query.model_copy(update={"identifiers": False})
    return await model.pool.run(_answer, model.pipeline, upload, query, sets)


def _report(pipeline: Pipeline, upload: bytes, index: int) -> Response:
    require_dicom(upload)
    return reply_report(pipeline, pipeline.classify(upload, index=index), NEGOTIATED)


def _answer(pipeline: Pipeline, upload: bytes, query: SaltedQuery, sets: SetRule | None) -> Response:
    result = pipeline.classify(upload, index=query.frame)
    answer = classification(result, query.top, sets)
    headers = dict(NEGOTIATED)
    if query.patient_salt and (key := patient_key(result.frame, query.patient_salt)):
        headers[_PATIENT_KEY] = key
    if query.patient_salt and (machine := machine_name(result.frame)):
        headers[_MACHINE] = quote(machine)
    if query.identifiers:
        named = raw_identifiers(result.frame)
        headers |= {_IDENTIFIERS[kind]: quote(value) for kind, value in named.items() if value}
    return Response(answer.model_dump_json(), headers=headers, media_type=JSON)
