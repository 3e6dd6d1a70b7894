"""`/corrections`: what people say about answers, in the store that the operator turned on."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError, model_validator
from python_multipart.multipart import parse_options_header

from service import errors
from service.api.dependencies import ModelDep, RuntimeDep
from service.api.negotiation import JSON, NEGOTIATED, NO_STORE, choose_media_type
from service.api.openapi import FRAME_PROBLEMS, TEXT, Replies, problem_replies, replies
from service.api.uploads import FRAME_IN_OPENAPI, read_body, read_upload
from service.execution.work import current_work
from service.jobs.crops.upload_sector import encode_sector
from service.reports.corrections_csv import corrections_csv
from service.runtime import Runtime
from service.schemas.corrections import (
    MAX_CORRECTIONS,
    MAX_ID,
    CorrectionId,
    CorrectionsPage,
    ErasedCorrections,
    KeptCorrections,
    KeptFrame,
    NewCorrections,
    Text,
)
from service.schemas.examples import CORRECTIONS
from service.store.selection import Selection

if TYPE_CHECKING:
    from service.store.store import Store

router = APIRouter(prefix="/corrections", tags=["corrections"])

_CSV = "text/csv"
_MAX_BYTES = 4 * 2**20  # of a request with as many corrections as are allowed, each as long as it can be
_FORMATS = {"json": JSON, "csv": _CSV}
_PROBLEMS = (errors.BadParameter, errors.NoStore, errors.StoreUnavailable)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/NewCorrections"}, "example": CORRECTIONS}},
    }
}
_EITHER = " Give the identifier as it was sent, or its keyed hash, which answers and tables have."


class SubjectQuery(BaseModel, extra="forbid"):
    """Selects the corrections of a study or of a patient."""

    study: Text | None = Field(default=None, description=f"Only the corrections of this study.{_EITHER}")
    patient: Text | None = Field(default=None, description=f"Only the corrections of this patient.{_EITHER}")


class ErasureQuery(SubjectQuery):
    """Selects the corrections to delete. At least one parameter is needed."""

    @model_validator(mode="after")
    def _check_subject(self) -> Self:
        if self.study is None and self.patient is None:
            raise ValueError("`study` or `patient` must say what to delete")
        return self


class ListQuery(SubjectQuery):
    """Selects a page of corrections."""

    after: int = Field(default=0, ge=0, le=MAX_ID, description="Begin after this id: `next` of the page before.")
    limit: int = Field(default=100, ge=1, le=MAX_CORRECTIONS, description="Maximum number of corrections of the page.")
    latest: bool = Field(
        default=False, description="True for the last correction of each frame only: the one that counts."
    )
    format: Literal["json", "csv"] | None = Field(
        default=None, description="Form of the answer, in place of the header `Accept`."
    )

    @property
    def selection(self) -> Selection:
        """The page."""
        return Selection(self.after, self.limit, self.latest, self.study, self.patient)


def _created(answer: str, *problems: type[errors.Problem]) -> Replies:
    return {**problem_replies(*_PROBLEMS, *problems), 201: {"description": answer}}


@router.post(
    "",
    summary="Keep corrections",
    status_code=201,
    response_model=KeptCorrections,
    responses=_created(
        "All corrections are kept; the ids are in the order of the request.",
        errors.MalformedRequest, errors.UploadTooLarge, errors.NotJson, errors.UnsupportedEncoding,
        errors.InvalidCorrection,
    ),
    openapi_extra=_BODY,
)  # fmt: skip
async def keep_corrections(request: Request, runtime: RuntimeDep) -> Response:
    """Keep what a person says about answers: all corrections of the request, or none. Earlier ones stay as history."""
    store = _store(runtime)
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind != JSON.encode():  # a page of another origin could send any other type without asking first
        raise errors.NotJson(errors.NotJson.meaning)
    body = await read_body(request, _MAX_BYTES, _MAX_BYTES)
    ids, verdicts = await store.run(_keep, store, body, request.scope["state"].get("caller"))
    runtime.metrics.count_corrections(verdicts)
    kept = KeptCorrections(ids=ids, request_id=current_work().request_id)
    return Response(kept.model_dump_json(), status_code=201, headers=NO_STORE, media_type=JSON)


@router.get(
    "",
    summary="List corrections",
    response_model=CorrectionsPage,
    responses=replies(
        "A page of corrections as JSON; for `Accept: text/csv` as a table, whose next page begins after the last id.",
        {_CSV: TEXT},
        *_PROBLEMS,
    ),
)
async def list_corrections(
    query: Annotated[ListQuery, Query()],
    runtime: RuntimeDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The corrections in the order in which they were kept, without those that are too old to be kept."""
    store = _store(runtime)
    media_type = choose_media_type(accept, (JSON, _CSV)) if query.format is None else _FORMATS[query.format]
    text = await store.run(_page, store, query.selection, media_type, current_work().request_id)
    return Response(text, headers=NEGOTIATED, media_type=media_type)


@router.delete("", summary="Erase corrections", response_model=ErasedCorrections, responses=problem_replies(*_PROBLEMS))
async def erase_corrections(query: Annotated[ErasureQuery, Query()], runtime: RuntimeDep) -> Response:
    """Delete all corrections of a study or of a patient, those of the same files, and their kept frames."""
    store = _store(runtime)
    corrections, frames = await store.run(store.erase, query.study, query.patient)
    erased = ErasedCorrections(corrections=corrections, frames=frames, request_id=current_work().request_id)
    return Response(erased.model_dump_json(), headers=NO_STORE, media_type=JSON)


@router.post(
    "/{id}/frame",
    summary="Keep the frame of a correction",
    status_code=201,
    response_model=KeptFrame,
    responses=_created(
        "The sector of the frame is kept as PNG.",
        *FRAME_PROBLEMS, errors.OtherFile, errors.NoSector, errors.DecodeLimit, errors.StoreFull,
    ),
    openapi_extra=FRAME_IN_OPENAPI,
)  # fmt: skip
async def keep_frame(
    request: Request,
    number: Annotated[CorrectionId, Path(alias="id", description="Id of the correction.")],
    runtime: RuntimeDep,
    model: ModelDep,
) -> Response:
    """Keep the sector of the corrected frame, without what is around it. Send the file of the correction."""
    store = _store(runtime)
    place = await store.run(store.place, number)
    upload = await read_upload(request, model.pipeline.limits.max_bytes)
    png = await model.pool.run(encode_sector, model.pipeline, upload, place.digest, place.frame)
    await store.run(store.keep_frame, place, png)
    kept = KeptFrame(id=number, bytes=len(png), request_id=current_work().request_id)
    return Response(kept.model_dump_json(), status_code=201, headers=NO_STORE, media_type=JSON)


def _store(runtime: Runtime) -> "Store":
    if runtime.store is None:
        raise errors.NoStore("This service keeps no corrections: its operator has not set `FETAL_PLANES_STORE`.")
    return runtime.store


def _keep(store: "Store", body: bytes, who: str | None) -> tuple[list[int], list[str]]:
    new = _read(body).corrections
    return store.add(new, who), [each.verdict for each in new]


def _read(body: bytes) -> NewCorrections:
    """Return the corrections of a body. Raises `MalformedRequest` or `InvalidCorrection`, which quote nothing of it."""
    try:
        return NewCorrections.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise errors.MalformedRequest("The body is not JSON.")
    if first["type"] == "extra_forbidden":  # the name of the field is a part of the body
        place, reason = first["loc"][:-1], "a field that is not known"
    else:
        place, reason = first["loc"], first["msg"].removeprefix("Value error, ")
    raise errors.InvalidCorrection(f"`{'.'.join(map(str, place))}`: {reason}.")


def _page(store: "Store", selection: Selection, media_type: str, request_id: str) -> str:
    found, after = store.page(selection)
    if media_type == _CSV:
        return corrections_csv(found)
    page = CorrectionsPage.model_construct(corrections=found, next=after, request_id=request_id)
    return page.model_dump_json()
