"""Corrections: what a person says about an answer. The body of `POST /corrections`, and what the store returns.

The verdicts are the words of the profile AI Result Assessment of IHE Radiology.
"""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from service.schemas import Schema
from service.schemas.answers import AbstainReason, ModelInfo

Verdict = Literal["accepted", "rejected", "supplemented"]

MAX_CORRECTIONS = 1000  # of one request
MAX_TEXT = 128  # characters
MAX_ID = 2**63 - 1  # of a correction: a 64-bit integer of the database
_MAX_FRAME = 2**31 - 1

_DIGEST = r"^[0-9a-f]{64}$"
_PLANE = r"^[a-z][a-z0-9_]*$"
# No control character: PostgreSQL refuses NUL, and the others would break a line of a log or a table.
_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"

Digest = Annotated[str, Field(pattern=_DIGEST)]
PlaneId = Annotated[str, Field(pattern=_PLANE, max_length=MAX_TEXT)]
Text = Annotated[str, Field(pattern=_PRINTABLE, min_length=1, max_length=MAX_TEXT)]
CorrectionId = Annotated[int, Field(ge=1, le=MAX_ID)]


class CorrectedAnswer(Schema):
    """What the model had answered, as the answer of `/classify` has it."""

    plane: PlaneId = Field(description="Id of the first prediction, also where the model abstained.")
    sub_plane: PlaneId | None = Field(default=None, description="Id of the sub-plane; null where it names none.")
    abstain_reason: AbstainReason | None = Field(default=None, description="Null where the model did not abstain.")
    probability: float | None = Field(default=None, ge=0, le=1, description="Of the first prediction.")


class CorrectionContent(Schema):
    """What a person says about the answer to one frame."""

    digest: Digest = Field(description="SHA-256 of the file's bytes, in lower-case hexadecimal.")
    frame: int = Field(default=0, ge=0, le=_MAX_FRAME, description="Index of the frame in the file, from 0.")
    model: ModelInfo = Field(description="The model that answered, as the answer names it.")
    answer: CorrectedAnswer
    verdict: Verdict = Field(
        description="`accepted`: the answer is right. `rejected`: it is wrong, and no other plane fits. "
        "`supplemented`: the frame shows the plane in `plane`, or the sub-plane in `sub_plane`."
    )
    plane: PlaneId | None = Field(
        default=None,
        description="Id of the plane that the person names. `supplemented` needs it, `rejected` has none, and "
        "`accepted` has that of the answer.",
    )
    sub_plane: PlaneId | None = Field(default=None, description="Id of the sub-plane that the person names.")
    machine: Text | None = Field(default=None, description="Model name of the ultrasound machine.")
    protocol: Text | None = Field(
        default=None, description="Name and version of the exam's protocol, such as `Biometry 1`."
    )


def _check_model(model: ModelInfo) -> ModelInfo:
    texts = (model.name, model.version)
    if not all(0 < len(text) <= MAX_TEXT and re.fullmatch(_PRINTABLE, text) for text in texts):
        raise ValueError(f"name and version need 1 to {MAX_TEXT} characters, without control characters")
    if not re.fullmatch(_DIGEST, model.sha256):
        raise ValueError("`sha256` needs 64 lower-case hexadecimal digits")
    return model


class NewCorrection(CorrectionContent):
    """One correction of a request. Identifiers of study and patient are replaced by keyed hashes at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[ModelInfo, AfterValidator(_check_model)] = Field(
        description="The model that answered, as the answer names it."
    )
    study: Text | None = Field(
        default=None,
        description="Study Instance UID, or another identifier of the exam. Only its keyed hash is kept.",
    )
    patient: Text | None = Field(default=None, description="Patient ID. Only its keyed hash is kept.")

    @model_validator(mode="after")
    def _check_verdict(self) -> Self:
        said = (self.plane, self.sub_plane)
        if self.verdict == "supplemented" and self.plane is None:
            raise ValueError("`supplemented` needs `plane`")
        if self.verdict == "rejected" and said != (None, None):
            raise ValueError("`rejected` has neither `plane` nor `sub_plane`; `supplemented` has")
        if self.verdict == "accepted" and said not in ((None, None), (self.answer.plane, self.answer.sub_plane)):
            raise ValueError("`accepted` has the plane and sub-plane of the answer, or neither")
        return self


class NewCorrections(Schema):
    """The body of `POST /corrections`. All of them are kept, or none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corrections: list[NewCorrection] = Field(min_length=1, max_length=MAX_CORRECTIONS)


class KeptCorrections(Schema):
    """The answer of `POST /corrections`."""

    ids: list[int] = Field(description="Ids of the kept corrections, in the order of the request.")
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")


class Correction(CorrectionContent):
    """A kept correction. `accepted` has the plane and sub-plane of the answer."""

    id: int = Field(description="Number of the correction; later ones have larger numbers.")
    at: datetime = Field(description="When the service kept it, in UTC.")
    who: str | None = Field(description="Name of the API key that sent it; null for a service without keys.")
    study: str | None = Field(description="Keyed hash of the study.")
    patient: str | None = Field(description="Keyed hash of the patient.")
    has_frame: bool = Field(description="True when the service has kept a picture of the frame.")


class CorrectionsPage(Schema):
    """The answer of `GET /corrections`."""

    corrections: list[Correction] = Field(description="In the order of their ids.")
    next: int | None = Field(description="Value of `?after=` for the next page; null on the last one.")
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")


class ErasedCorrections(Schema):
    """The answer of `DELETE /corrections`."""

    corrections: int = Field(description="Number of corrections that were deleted.")
    frames: int = Field(description="Number of kept pictures that were deleted.")
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")


class KeptFrame(Schema):
    """The answer of `POST /corrections/{id}/frame`."""

    id: int = Field(description="Id of the correction.")
    bytes: int = Field(description="Size of the kept picture.")
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")
