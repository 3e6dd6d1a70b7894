"""Reads a cine: which plane is shown when, and which frame of the loop shows each plane best.

Probabilities are averaged over neighboring frames, so that one frame's flicker makes no segment of its own. An average
never reaches across a cut: of two shots that were joined into one file, neither says anything of the other. Frames on
which the model abstains have no vote.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.imaging.downscale import downscale

Floats = NDArray[np.float32]

RADIUS = 2
"""Frames on either side whose probabilities are averaged with a frame's own."""

_SIGNATURE_SIDE = 8  # cells; speckle and a probe's small movements vanish in them
_SAME_SHOT = 0.75  # correlation of two glances; real stills of different planes stay below it, moved frames above
_FLAT = 1.0  # gray levels; below it a picture has no shape that could be compared


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of frames of one plane.

    Attributes
    ----------
    start, end
        The first and the last frame, by their index in the file.
    plane
        Number of the plane; None where the model abstained throughout.
    confidence
        The mean of the averaged probabilities of the plane, 0..1; None without a plane.
    frames, abstained
        How many frames were looked at, and on how many of them the model abstained.
    """

    start: int
    end: int
    plane: int | None
    confidence: float | None
    frames: int
    abstained: int


@dataclass(frozen=True, slots=True)
class Best:
    """The frame that shows a plane best: the most probable of those that their neighbors agree with.

    Attributes
    ----------
    plane, index
        Number of the plane; the frame, by its index in the file.
    probability, smoothed
        The frame's own calibrated probability, and the average over its neighbors.
    sub_plane
        Number and probability of the frame's sub-plane; None where none was told.
    """

    plane: int
    index: int
    probability: float
    smoothed: float
    sub_plane: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Cine:
    """What a loop shows: `frames` that were looked at, where shots begin (`cuts`), segments, the best of each plane."""

    frames: int
    cuts: tuple[int, ...]
    segments: tuple[Segment, ...]
    best: tuple[Best, ...]


def shot_signature(pixels: NDArray[np.uint8]) -> Floats:
    """What the eye keeps of a frame uint8 [H, W] for a moment: float32 [64] of length 1, or zeros where it is flat."""
    small = downscale(pixels, _SIGNATURE_SIDE, _SIGNATURE_SIDE).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > _FLAT * _SIGNATURE_SIDE else np.zeros_like(small)


def is_cut(before: Floats, after: Floats) -> bool:
    """Whether two glances, of frames that follow each other, are of different shots."""
    if not before.any() and not after.any():
        return False
    return float(before @ after) < _SAME_SHOT


class CineReader:
    """Takes a loop's frames in order, keeps some bytes of each, and tells in the end what the loop shows."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._probabilities: list[Floats] = []
        self._votes: list[bool] = []
        self._sub_planes: list[tuple[int, float] | None] = []
        self._starts: list[int] = []  # of shots, as positions in the lists above
        self._last: Floats | None = None

    def add(
        self,
        index: int,
        probabilities: Floats,
        abstains: bool,
        signature: Floats,
        sub_plane: tuple[int, float] | None = None,
    ) -> None:
        """Take the next frame.

        Parameters
        ----------
        index
            Its index in the file; rising.
        probabilities
            float32 [K], calibrated.
        abstains
            Whether the model abstains on it.
        glanced
            What `glance` gives of it.
        sub_plane
            Number and probability of its sub-plane, where one was told.
        """
        if self._last is None or is_cut(self._last, signature):
            self._starts.append(len(self._indices))
        self._last = signature
        self._indices.append(index)
        self._probabilities.append(probabilities)
        self._votes.append(not abstains)
        self._sub_planes.append(sub_plane)

    def finish(self) -> Cine:
        """What the frames show together."""
        if not self._indices:
            return Cine(0, (), (), ())
        probabilities, votes = np.stack(self._probabilities), np.array(self._votes)
        shots = list(pairwise([*self._starts, len(self._indices)]))
        smoothed = np.concatenate([_smooth(probabilities[a:b], votes[a:b]) for a, b in shots])
        planes = np.where(smoothed.any(1), smoothed.argmax(1), -1)
        return Cine(
            frames=len(self._indices),
            cuts=tuple(self._indices[start] for start, _ in shots[1:]),
            segments=tuple(self._segments(shots, planes, smoothed, votes)),
            best=tuple(self._best(probabilities, planes, smoothed, votes)),
        )

    def _segments(
        self, shots: list[tuple[int, int]], planes: NDArray[np.int64], smoothed: Floats, votes: NDArray[np.bool_]
    ) -> list[Segment]:
        found = []
        for first, beyond in shots:
            turns = [first, *(first + 1 + np.flatnonzero(np.diff(planes[first:beyond]))).tolist(), beyond]
            for start, end in pairwise(turns):
                plane = int(planes[start])
                confidence = float(smoothed[start:end, plane].mean()) if plane >= 0 else None
                named = plane if plane >= 0 else None
                abstained = int((~votes[start:end]).sum())
                bounds = self._indices[start], self._indices[end - 1]
                found.append(Segment(*bounds, named, confidence, end - start, abstained))
        return found

    def _best(
        self, probabilities: Floats, planes: NDArray[np.int64], smoothed: Floats, votes: NDArray[np.bool_]
    ) -> list[Best]:
        agreed = votes & (probabilities.argmax(1) == planes)
        found = []
        for plane in sorted(set(planes[agreed].tolist())):
            own, around = probabilities[:, plane], smoothed[:, plane]
            candidates = np.flatnonzero(agreed & (planes == plane))
            place = max(candidates.tolist(), key=lambda each: (own[each], around[each], -each))
            own_and_smoothed = float(own[place]), float(around[place])
            found.append(Best(plane, self._indices[place], *own_and_smoothed, self._sub_planes[place]))
        return found


def _smooth(probabilities: Floats, votes: NDArray[np.bool_]) -> Floats:
    """The mean over each frame's neighborhood in one shot, of those that vote; zeros where none does."""
    window = np.ones(2 * RADIUS + 1, np.float32)
    middle = slice(RADIUS, RADIUS + len(votes))
    counts = np.convolve(votes.astype(np.float32), window)[middle, None]
    voted = probabilities * votes[:, None]
    sums = np.stack([np.convolve(column, window)[middle] for column in voted.T], axis=1)
    return np.asarray(sums / np.maximum(counts, 1) * (counts > 0.5), np.float32)
