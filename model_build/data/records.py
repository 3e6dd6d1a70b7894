"""Value objects of a data set: one labeled frame on disk, the list of all of them, and their decoded pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.schemas.file_names import path_text
from service.schemas.manifest import Plane

Frame = NDArray[np.uint8]  # gray, [H, W]; sizes differ from frame to frame
Frames = Sequence[Frame]
SplitName: TypeAlias = Literal["train", "val", "test"]
TestSide: TypeAlias = Literal["stated", "patients", "files", "frames"]  # by the data set, or a fifth of these
NOT_STATED = "not stated"


class DataError(Exception):
    """A data set does not match its layout; the message names the file, and the line where there is one."""


@dataclass(frozen=True)
class Record:
    """One labeled frame on disk; the label comes from the data set's table or folder, never from the file name.

    A frame is stretched where the publisher resized every frame of the set to one shape, so the aspect ratio is not the
    scanner's. It trains the sub-plane head only: the plane head would learn that "stretched" means one plane.
    """

    path: Path
    patient: str
    plane: int  # index into `DatasetIndex.planes`
    scanner: str
    split: SplitName  # as the data set states it
    sub_plane: int | None = None  # index into `SUB_PLANES`; None where it is not labeled
    stretched: bool = False
    index: int = 0  # of the frame in its file, which may be a loop
    group: str | None = None  # the part of its plane that is reported apart, such as "adult carotid artery"

    @property
    def key(self) -> tuple[Path, int]:
        """What tells this frame from all others."""
        return self.path, self.index

    @property
    def name(self) -> str:
        """The file of the frame for messages, with the index of a later frame of a loop."""
        return path_text(self.path) + (f", frame {self.index}" if self.index else "")


@dataclass(frozen=True)
class Skipped:
    """A file or folder of a data set that gives no frame, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Source:
    """The origin of a data set, as the model card states it."""

    name: str
    license: str = NOT_STATED
    citation: str = NOT_STATED


@dataclass(frozen=True)
class DatasetIndex:
    """What a data set holds, without its pixels."""

    folder: Path  # `splits.json` names files relative to it
    planes: tuple[Plane, ...]  # in the order of the model's outputs
    records: list[Record]
    source: Source
    warnings: tuple[str, ...] = ()  # limits of any figure measured on these data; printed, and in the model card
    skipped: tuple[Skipped, ...] = ()  # `check` lists them
    published: bool = False  # a public data set, not a user's own
    patients_known: bool = True
    test_side: TestSide = "stated"  # which frames `Record.split` calls test
    notes: tuple[str, ...] = ()  # how the files were read, where more than one way exists; `check` prints them

    @property
    def named(self) -> bool:
        """Whether the data set states a name; else it has that of its folder."""
        return self.published or self.source.name != path_text(self.folder.resolve().name)

    def side(self, split: Literal["train", "test"]) -> list[Record]:
        """Return the records of one side of the published split; its validation frames belong to `train`."""
        return [record for record in self.records if (record.split == "test") == (split == "test")]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Decoded frames and their records, in the same order."""

    frames: Frames
    records: Sequence[Record]


FrameLoader = Callable[[Sequence[Record]], Frames]  # decodes the frames of records


def planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the true class numbers, int64 [N]."""
    return np.array([record.plane for record in records], np.int64)


def listing(heading: str, lines: Sequence[str], most: int | None = None) -> str:
    """Return a message with one line per item, at most `most` of them, or a single line where there is one item."""
    if len(lines) == 1:
        return f"{heading} {lines[0]}"
    more = [f"and {len(lines) - most} more"] if most is not None and len(lines) > most else []
    return "\n  ".join((heading, *lines[:most], *more))
