"""What is answered about many frames at once, as JSON."""

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.answers import Classification, ProblemDetails, SubPlane


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Part):
    """Which frame of which file an answer is about."""

    file: int = Field(description="Number of the file in the upload, from 0.")
    name: str | None = Field(description="The name that it came with.")
    frame: int | None = Field(description="Index of the frame in it, from 0; null where all of the file was refused.")


class FrameAnswer(Classification):
    """One frame's line: what `/classify` answers of it, and where it is from."""

    source: Source


class FrameProblem(ProblemDetails):
    """The line of a frame, or of a whole file, that was refused."""

    source: Source


class CineSegment(_Part):
    """A run of frames of one plane within one shot."""

    start: int = Field(description="Its first frame.")
    end: int = Field(description="Its last frame.")
    plane: str | None = Field(description="Null where the model abstained throughout.")
    label: str | None
    confidence: float | None = Field(description="Mean of the smoothed probabilities of the plane.")
    frames: int = Field(description="How many frames were looked at.")
    abstained: int = Field(description="On how many of them the model abstained; these had no vote.")


class CineBest(_Part):
    """The frame of a loop that shows a plane best."""

    plane: str
    label: str
    frame: int = Field(description="Its index in the file.")
    probability: float = Field(ge=0, le=1, description="The frame's own, calibrated.")
    smoothed: float = Field(ge=0, le=1, description="The average over the frame and its neighbors.")
    sub_plane: SubPlane | None = Field(default=None, description="As in an answer of `/classify`.")


class CineSummary(_Part):
    """What a file of several frames shows."""

    file: int
    name: str | None
    count: int = Field(description="How many frames the file has.")
    frames: int = Field(description="How many of them were looked at and not refused.")
    cuts: list[int] = Field(description="Frames with which another shot begins.")
    segments: list[CineSegment]
    best: list[CineBest] = Field(description="Of each plane that a segment shows.")


class BatchSummary(_Part):
    """What a batch came to."""

    files: int = Field(description="How many were looked at.")
    frames: int = Field(description="How many were answered.")
    refused: int = Field(description="How many frames, or whole files, were refused.")
    complete: bool = Field(description="Whether all frames asked for were looked at; false where the limit came first.")
    cines: list[CineSummary] = Field(description="Every file of several frames.")


class BatchEnd(_Part):
    """The last line of a batch. Without it the reply is not whole."""

    summary: BatchSummary
    request_id: str
