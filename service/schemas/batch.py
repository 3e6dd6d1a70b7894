"""Answers about many frames: `/classify/batch`."""

from pydantic import Field

from service.schemas import Schema
from service.schemas.answers import Classification, SubPlane, SubPlaneReason
from service.schemas.problems import ProblemDetails


class Source(Schema):
    """The file and frame that an answer belongs to."""

    file: int = Field(description="Index of the file in the upload, from 0.")
    name: str | None = Field(description="File name in the upload.")
    frame: int | None = Field(description="Index of the frame in the file, from 0; null for a whole file.")


class FrameAnswer(Classification):
    """The line of one classified frame: the answer of `/classify` with its source."""

    source: Source


class FrameProblem(ProblemDetails):
    """The line of a refused frame or file."""

    source: Source


class CineSegment(Schema):
    """Consecutive frames of one shot that show one plane."""

    start: int = Field(description="Index of the first frame, from 0.")
    end: int = Field(description="Index of the last frame, from 0.")
    start_seconds: float | None = Field(default=None, description="Time of the first frame, as in `frame.seconds`.")
    end_seconds: float | None = Field(default=None, description="Time of the last frame.")
    plane: str | None = Field(
        description="Null when the model answered fewer than half of the frames, or most answers are not one plane."
    )
    label: str | None
    confidence: float | None = Field(description="Mean of the smoothed probabilities of the plane.")
    frames: int = Field(description="Number of classified frames.")
    abstained: int = Field(description="Number of frames on which the model abstained; they do not count as votes.")


class CineBest(Schema):
    """The most probable frame of a plane in a cine."""

    plane: str
    label: str
    frame: int = Field(description="Index of the frame in the file, from 0.")
    seconds: float | None = Field(default=None, description="Time of the frame, as in `frame.seconds`.")
    probability: float = Field(ge=0, le=1, description="Calibrated probability of this frame.")
    smoothed: float = Field(ge=0, le=1, description="Mean probability of this frame and its neighbors.")
    sub_plane: SubPlane | None = Field(default=None, description="As in the answer of `/classify`.")
    sub_plane_reason: SubPlaneReason | None = Field(default=None, description="As in the answer of `/classify`.")


class CineSummary(Schema):
    """The planes that a file with several frames shows."""

    file: int = Field(description="Index of the file in the upload, from 0.")
    name: str | None
    count: int = Field(description="Number of frames in the file.")
    frames: int = Field(description="Number of classified frames.")
    abstained: int = Field(description="Number of frames on which the model abstained.")
    cuts: list[int] = Field(description="Indices of the frames that start a new shot.")
    segments: list[CineSegment]
    best: list[CineBest] = Field(description="The most probable frame of each plane that a segment shows.")


class SkippedMember(Schema):
    """A file of an archive that was left out because it holds no frame, such as a text or a DICOMDIR."""

    source: Source
    reason: str = Field(description="What it is, such as `text`.")


class BatchSummary(Schema):
    """The totals of a batch."""

    files: int = Field(description="Number of files read to their end, with those that were skipped.")
    files_left: int = Field(description="Number of files that were not read to their end; 0 when `complete`.")
    frames: int = Field(description="Number of classified frames.")
    refused: int = Field(description="Number of refused frames and files.")
    complete: bool = Field(description="False when the limit on frames ended the batch early.")
    cines: list[CineSummary] = Field(description="One summary for each file with several frames.")
    skipped: list[SkippedMember] = Field(description="Files of archives that hold no frame.")


class BatchEnd(Schema):
    """The last line of a batch. A reply without it was cut short."""

    summary: BatchSummary
    request_id: str


class Batch(BatchEnd):
    """All lines of a batch in one document."""

    records: list[FrameAnswer | FrameProblem] = Field(description="One answer or problem per frame, in order.")
