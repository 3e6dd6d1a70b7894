"""Value objects of a data set: one labeled frame on disk, the list of all of them, and their decoded pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.schemas.manifest import Plane

Frame = NDArray[np.uint8]  # gray, [H, W]; sizes differ from frame to frame
Frames = Sequence[Frame]


class DataError(Exception):
    """A data set does not match its layout; the message names the file, and the line where there is one."""


@dataclass(frozen=True)
class Record:
    """One labeled frame on disk.

    The label comes from the data set's table or folder, never from the file name.

    Attributes
    ----------
    plane
        Class number, an index into `DatasetIndex.planes`.
    sub_plane
        Class number, an index into `SUB_PLANES`; None where the frame has no labeled sub-plane.
    stretched
        The publisher resized every frame of the set to one shape, so the aspect ratio is not the scanner's. Such a
        frame trains the sub-plane head only: the plane head would learn that "stretched" means one plane.
    """

    path: Path
    patient: str
    plane: int
    scanner: str
    split: Literal["train", "test"]
    sub_plane: int | None = None
    stretched: bool = False


@dataclass(frozen=True)
class Source:
    """The origin of a data set, as the model card states it."""

    name: str
    license: str = "not stated"
    citation: str = "not stated"


@dataclass(frozen=True)
class DatasetIndex:
    """What a data set holds, without its pixels.

    Attributes
    ----------
    folder
        The data set's folder; `splits.json` names files relative to it.
    planes
        In the order of the model's outputs.
    warnings
        Limits of any figure measured on these data. They are printed and written into the model card.
    """

    folder: Path
    planes: tuple[Plane, ...]
    records: list[Record]
    source: Source
    warnings: tuple[str, ...] = ()

    def side(self, split: Literal["train", "test"]) -> list[Record]:
        """Return the records of one side of the published split."""
        return [record for record in self.records if record.split == split]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Decoded frames and their records, in the same order."""

    frames: Frames
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.records)


FrameLoader = Callable[[Sequence[Record]], Frames]  # decodes the frames of records


def planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the true class numbers, int64 [N]."""
    return np.array([record.plane for record in records], np.int64)
