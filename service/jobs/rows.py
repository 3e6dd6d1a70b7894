"""The result of one frame, the counts of many, and the interface of what receives them."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.answers import Classification
from service.schemas.problems import ProblemDetails

DISCLAIMER = "Research use only. Not a medical device."


class ResultRow(BaseModel):
    """The result of one frame: its answer, or the reason why it was refused."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="Path of the file below the source folder, or its SOP Instance UID.")
    frame: int = Field(description="Index of the frame, from 0.")
    frames: int | None = Field(description="Number of frames in the file; null if it could not be read.")
    answer: Classification | None = Field(description="The same answer as `/classify` gives.")
    problem: ProblemDetails | None = Field(description="The same problem as `/classify` reports.")
    dicom: list[str] = Field(description="DICOM objects written for this frame: file names or SOP Instance UIDs.")
    ood_score: float | None = Field(
        default=None, exclude=True, description="Distance from the training frames. Only the Parquet table holds it."
    )


@dataclass(slots=True)
class Counts:
    """The number of frames, and how many of them were refused, abstained on, or assigned to each plane."""

    frames: int = 0
    refused: int = 0
    abstained: int = 0
    planes: Counter[str] = field(default_factory=Counter)

    def add(self, row: ResultRow) -> None:
        """Count one row."""
        self.frames += 1
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
        self.planes.update(other.planes)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON types."""
        counts = {"frames": self.frames, "refused": self.refused, "abstained": self.abstained}
        return counts | {"planes": dict(self.planes)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Counts":
        """Return the counts that `to_dict` wrote; raises `LookupError` or `TypeError` for anything else."""
        return cls(**values | {"planes": Counter(values["planes"])})

    def text(self) -> str:
        """Return the counts as a sentence for a person."""
        planes = ", ".join(f"{plane} {count}" for plane, count in self.planes.most_common())
        return (
            f"{self.frames} frames: {planes or 'no plane named'}; abstained {self.abstained}, refused {self.refused}. "
            f"{DISCLAIMER}"
        )


class Sink(ABC):
    """Receives the rows of a job, in one thread, and counts them.

    A sink that continues an earlier run overrides `frame_count` and `has`.
    """

    def __init__(self) -> None:
        self.counts = Counts()

    def frame_count(self, file: str) -> int | None:
        """Return the number of frames in a file that an earlier run opened; None for any other file."""
        return None

    def has(self, file: str, frame: int) -> bool:
        """Return whether an earlier run wrote the row of this frame."""
        return False

    def write(self, row: ResultRow) -> None:
        """Store and count one row."""
        self._store(row)
        self.counts.add(row)

    @abstractmethod
    def _store(self, row: ResultRow) -> None: ...
