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
    """One labeled frame on disk; the label comes from the data set's table or folder, never from the file name.

    A frame is stretched where the publisher resized every frame of the set to one shape, so the aspect ratio is not the
    scanner's. It trains the sub-plane head only: the plane head would learn that "stretched" means one plane.
    """

    path: Path
    patient: str
    plane: int  # index into `DatasetIndex.planes`
    scanner: str
    split: Literal["train", "test"]
    sub_plane: int | None = None  # index into `SUB_PLANES`; None where it is not labeled
    stretched: bool = False


@dataclass(frozen=True)
class Source:
    """The origin of a data set, as the model card states it."""

    name: str
    license: str = "not stated"
    citation: str = "not stated"


@dataclass(frozen=True)
class DatasetIndex:
    """What a data set holds, without its pixels."""

    folder: Path  # `splits.json` names files relative to it
    planes: tuple[Plane, ...]  # in the order of the model's outputs
    records: list[Record]
    source: Source
    warnings: tuple[str, ...] = ()  # limits of any figure measured on these data; printed, and in the model card

    def side(self, split: Literal["train", "test"]) -> list[Record]:
        """Return the records of one side of the published split."""
        return [record for record in self.records if record.split == split]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Decoded frames and their records, in the same order."""

    frames: Frames
    records: Sequence[Record]


FrameLoader = Callable[[Sequence[Record]], Frames]  # decodes the frames of records


def planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the true class numbers, int64 [N]."""
    return np.array([record.plane for record in records], np.int64)
