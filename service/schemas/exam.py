"""The answer of `/exam`."""

from typing import Literal

from pydantic import Field

from service.schemas import Schema
from service.schemas.answers import AbstainReason, ModelInfo, Prediction, SubPlane, SubPlaneReason
from service.schemas.batch import CineSummary, FrameProblem, SkippedMember, Source
from service.schemas.corrections import Verdict
from service.schemas.protocols import CheckedItem, ProtocolInfo

ReviewReason = Literal["color-flow", "out-of-distribution", "uncertain", "close", "no-plane"]


class ExamCorrection(Schema):
    """What a person made of an answer; `plane` to `sub_plane` are what the model said."""

    verdict: Verdict = Field(
        description="`accepted`: as the model says; `rejected`: it shows no plane of the model; `supplemented`: it "
        "shows another plane or sub-plane."
    )
    plane: str | None = Field(description="Null when the model neither named nor guessed a plane.")
    label: str | None
    probability: float | None
    abstain_reason: AbstainReason | None = Field(description="As in the answer of `/classify`.")
    sub_plane: SubPlane | None = Field(description="As in the answer of `/classify`.")


class ExamFrame(Schema):
    """A still, or the most probable frame of a plane in a cine."""

    source: Source
    plane: str = Field(description="Id of the plane that the model named, or that a person did.")
    label: str
    probability: float = Field(ge=0, le=1, description="Calibrated probability of the plane, by the model.")
    runner_up: Prediction | None = Field(
        description="The second prediction; null for a frame of a cine or with a correction."
    )
    sub_plane: SubPlane | None = Field(default=None, description="As in the answer of `/classify`.")
    sub_plane_reason: SubPlaneReason | None = Field(default=None, description="As in the answer of `/classify`.")
    seconds: float | None = Field(default=None, description="Time of the frame in a video.")
    tied: bool = Field(
        default=False, description="True for several frames of a plane that show the same highest percentage."
    )
    correction: ExamCorrection | None = Field(default=None, description="Null where the request corrects no frame.")


class FrameWithoutPlane(Schema):
    """A frame that shows no plane of the model, as a person says."""

    source: Source
    correction: ExamCorrection


class ReviewFrame(Schema):
    """A frame, or a whole cine, that a person should check."""

    reason: ReviewReason = Field(
        description="`color-flow`, `out-of-distribution`, `uncertain`: the model abstains; `close`: the first two "
        "predictions are almost equally probable; `no-plane`: no plane has the support of a cine's frames."
    )
    source: Source
    plane: str | None
    label: str | None
    probability: float | None
    runner_up: Prediction | None


class ExamPlane(Schema):
    """The frames of one plane."""

    plane: str
    label: str
    best: ExamFrame | None = Field(description="The frame that a person chose, otherwise the most probable one.")
    chosen: bool = Field(default=False, description="True when the request chose `best` by `?chosen=`.")
    frames: list[ExamFrame] = Field(description="All frames: `best`, then the others, most probable first.")


class Duplicate(Schema):
    """A file with the same bytes as another one of the exam; it is neither classified nor counted."""

    source: Source
    same_as: Source


class ExamReport(Schema):
    """The frames of an exam, sorted by plane, and the protocol that they fulfill or not."""

    protocol: ProtocolInfo
    items: list[CheckedItem] = Field(description="The items of the protocol, in its order.")
    planes: list[ExamPlane]
    review: list[ReviewFrame] = Field(description="Frames and cines that a person should check.")
    refused: list[FrameProblem]
    without_plane: list[FrameWithoutPlane] = Field(
        description="Frames that show no plane of the model, as a person says."
    )
    duplicates: list[Duplicate] = Field(description="Files with the same bytes as an earlier file.")
    cines: list[CineSummary]
    skipped: list[SkippedMember] = Field(description="Files of archives that hold no frame.")
    files: int = Field(description="Number of files read to their end, without duplicates.")
    files_left: int = Field(description="Number of files that were not read to their end; 0 when `complete`.")
    frames: int = Field(description="Number of classified frames.")
    complete: bool = Field(description="True when everything was read.")
    model: ModelInfo
    request_id: str
