"""The result of one frame, and of many: their counts, and the items of a protocol."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, Field

from service.analysis.abstention import CLOSE
from service.analysis.protocols.check import Candidate, check_items
from service.reports.audit_columns import AuditColumns
from service.schemas import Schema
from service.schemas.answers import Classification
from service.schemas.batch import Source
from service.schemas.problems import ProblemDetails
from service.schemas.protocols import CheckedItem, Doubt, Protocol

DISCLAIMER = "Research use only. Not a medical device."


class ResultRow(Schema):
    """The result of one frame: its answer, or the reason why it was refused."""

    file: str = Field(description="Path of the file below the source folder, or its SOP Instance UID.")
    frame: int = Field(description="Index of the frame, from 0.")
    frames: int | None = Field(description="Number of frames in the file; null if it could not be read.")
    answer: Classification | None = Field(description="The same answer as `/classify` gives.")
    problem: ProblemDetails | None = Field(description="The same problem as `/classify` reports.")
    dicom: list[str] = Field(description="DICOM objects written for this frame: file names or SOP Instance UIDs.")
    dicom_problem: str | None = Field(default=None, description="Why a DICOM object of this frame is missing.")
    sha256: str | None = Field(default=None, description="Hash of the file, if it is in a folder and can be read.")
    no_plane: bool = Field(
        default=False, description="True for the first frame of a loop whose frames show no plane together (`--best`)."
    )
    audit: AuditColumns | None = Field(default=None, description="What an audit groups exams by (`--audit-columns`).")
    ood_score: float | None = Field(
        default=None, exclude=True, description="Distance from the training frames. Only the Parquet table holds it."
    )

    def cells(self) -> dict[str, str | int | float | None]:
        """Return the columns that every table has; a column without a value is left out."""
        cells: dict[str, str | int | float | None] = {"file": self.file, "frame": self.frame, "frames": self.frames}
        if self.problem is not None:
            cells |= {"problem": self.problem.code, "detail": self.problem.detail}
        if (answer := self.answer) is not None:
            cells |= {"seconds": answer.frame.seconds, "plane": answer.predictions[0].plane}
            cells |= {"abstain": answer.abstain, "abstain_reason": answer.abstain_reason, "ood_score": self.ood_score}
            if answer.sub_plane is not None:
                cells |= {"sub_plane": answer.sub_plane.plane, "sub_plane_probability": answer.sub_plane.probability}
        if self.audit is not None:
            cells |= self.audit.model_dump(exclude={"ood_score"}) | {"sha256": self.sha256}
        return cells


class SkippedFile(Schema):
    """A file that was left out because it holds no frame, or must not be read."""

    file: str = Field(description="As in a row.")
    reason: str = Field(description="A clause such as `text`.")


class Counts(BaseModel):
    """The number of frames, and how many of them were refused, abstained on, or assigned to each plane.

    Attributes
    ----------
    without_result
        Frames with an answer for which a DICOM object could not be written.
    skipped
        Files that were left out.
    """

    frames: int = 0
    refused: int = 0
    abstained: int = 0
    without_result: int = 0
    skipped: int = 0
    planes: Counter[str] = Field(default_factory=Counter)

    def add(self, row: ResultRow) -> None:
        """Count one row."""
        self.frames += 1
        self.without_result += row.dicom_problem is not None
        if row.answer is None:
            self.refused += 1
        elif row.answer.abstain:
            self.abstained += 1
        else:
            self.planes[row.answer.predictions[0].plane] += 1

    def merge(self, other: "Counts") -> None:
        """Add the counts of other frames."""
        self.frames += other.frames
        self.refused += other.refused
        self.abstained += other.abstained
        self.without_result += other.without_result
        self.skipped += other.skipped
        self.planes.update(other.planes)

    def text(self) -> str:
        """Return the counts as a sentence for a person."""
        planes = ", ".join(f"{plane} {count}" for plane, count in self.planes.most_common()) or "no plane named"
        rest = f"abstained {self.abstained}, refused {self.refused}; files skipped {self.skipped}"
        if self.without_result:
            rest += f", frames without a DICOM result {self.without_result}"
        return f"{self.frames} frames: {planes}; {rest}. {DISCLAIMER}"


def check_rows(protocol: Protocol, rows: Iterable[ResultRow]) -> list[CheckedItem]:
    """Return the items of a protocol for the files of a job, as `/exam` does; a loop has rows of its best frames."""
    return check_items(protocol.items, list(_candidates(rows)), 0)


def _candidates(rows: Iterable[ResultRow]) -> Iterator[Candidate]:
    numbers: dict[str, int] = {}
    first: dict[str, str] = {}  # file by its hash: files with the same bytes count once
    for row in sorted(rows, key=lambda row: (row.file, row.frame)):
        number = numbers.setdefault(row.file, len(numbers))
        is_duplicate = row.sha256 is not None and first.setdefault(row.sha256, row.file) != row.file
        if row.answer is None or row.no_plane or is_duplicate or row.answer.abstain_reason not in (None, "uncertain"):
            continue
        best, second = row.answer.predictions[:2]
        doubt: Doubt | None = "uncertain" if row.answer.abstain else None
        if doubt is None and row.frames == 1 and best.probability - second.probability < CLOSE:
            doubt = "close"
        source = Source(file=number, name=row.file, frame=row.frame)
        sub_plane_close = row.answer.sub_plane_reason == "close"
        yield Candidate(source, best.plane, best.probability, row.answer.sub_plane, sub_plane_close, doubt)
