"""What is answered about an exam, as JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.answers import ModelInfo, Prediction, SubPlane
from service.schemas.batch import CineSummary, FrameProblem, Source

ReviewReason = Literal["color-flow", "out-of-distribution", "uncertain", "close", "no-plane"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ExamFrame(_Part):
    """A still, or the frame of a cine that shows a plane best."""

    source: Source
    plane: str
    label: str
    probability: float = Field(ge=0, le=1, description="Calibrated.")
    runner_up: Prediction | None = Field(description="The next plane; null for a frame of a cine.")
    sub_plane: SubPlane | None = Field(default=None, description="As in an answer of `/classify`.")


class ReviewFrame(_Part):
    """A frame, or a whole cine, that a person should look at."""

    why: ReviewReason = Field(
        description="`color-flow`, `out-of-distribution`, `uncertain`: the model abstains; `close`: its first two planes "
        "are; `no-plane`: no frame of a cine was told surely."
    )
    source: Source
    plane: str | None
    label: str | None
    probability: float | None
    runner_up: Prediction | None


class ExamPlane(_Part):
    """The frames of one plane."""

    plane: str
    label: str
    expected: bool
    best: ExamFrame | None
    frames: list[ExamFrame] = Field(description="The most probable first.")


class ExamReport(_Part):
    """An exam, sorted."""

    expected: list[str] = Field(description="Planes that it should hold.")
    missing: list[str] = Field(description="Those of them that no frame was recognized as.")
    planes: list[ExamPlane]
    review: list[ReviewFrame] = Field(description="What a person should look at.")
    refused: list[FrameProblem]
    cines: list[CineSummary]
    files: int
    frames: int
    complete: bool = Field(description="Whether all frames asked for were looked at; false where the limit came first.")
    model: ModelInfo
    request_id: str
