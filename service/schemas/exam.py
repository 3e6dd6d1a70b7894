"""The answer of `/exam`."""

from typing import Literal

from pydantic import Field

from service.schemas import Schema
from service.schemas.answers import ModelInfo, Prediction, SubPlane
from service.schemas.batch import CineSummary, FrameProblem, Source

ReviewReason = Literal["color-flow", "out-of-distribution", "uncertain", "close", "no-plane"]


class ExamFrame(Schema):
    """A still, or the frame of a cine that shows a plane best."""

    source: Source
    plane: str
    label: str
    probability: float = Field(ge=0, le=1, description="Calibrated probability.")
    runner_up: Prediction | None = Field(description="The second prediction; null for a frame of a cine.")
    sub_plane: SubPlane | None = Field(default=None, description="As in the answer of `/classify`.")


class ReviewFrame(Schema):
    """A frame, or a whole cine, that a person should check."""

    reason: ReviewReason = Field(
        description="`color-flow`, `out-of-distribution`, `uncertain`: the model abstains; `close`: the first two "
        "predictions are almost equally probable; `no-plane`: the model is sure about no frame of a cine."
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
    expected: bool = Field(description="True when the exam should contain this plane.")
    best: ExamFrame | None = Field(description="The most probable frame.")
    frames: list[ExamFrame] = Field(description="All frames, most probable first.")


class ExamReport(Schema):
    """The frames of an exam, sorted by plane."""

    expected: list[str] = Field(description="Planes that the exam should contain.")
    missing: list[str] = Field(description="Expected planes without a frame.")
    planes: list[ExamPlane]
    review: list[ReviewFrame] = Field(description="Frames and cines that a person should check.")
    refused: list[FrameProblem]
    cines: list[CineSummary]
    files: int = Field(description="Number of files read.")
    frames: int = Field(description="Number of classified frames.")
    complete: bool = Field(description="False when the limit on frames ended the exam early.")
    model: ModelInfo
    request_id: str
