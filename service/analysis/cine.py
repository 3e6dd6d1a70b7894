"""Read a cine: which plane it shows when, and which frame shows each plane best.

Probabilities are averaged over neighboring frames, so that the flicker of one frame makes no segment. An average never
reaches across a cut, because two shots joined into one file are independent. Frames on which the model abstains are
left out of the average.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.analysis.results import PlaneScore
from service.imaging.overlay import downscale
from service.inference.session import Floats

RADIUS = 2
"""Neighbors on either side of a frame that its average includes."""

_SIGNATURE_SIDE = 8  # cells per side; speckle and small movements of the probe vanish in them
_SAME_SHOT = 0.75  # correlation of two signatures; stills of different planes are below it, neighboring frames above
_FLAT = 1.0  # standard deviation in gray levels; a flatter frame has no structure to compare


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive frames of one plane.

    Attributes
    ----------
    start, end
        The indices of the first and the last frame in the file.
    plane
        The number of the plane; None where the model abstained on every frame.
    confidence
        The mean of the plane's averaged probabilities, 0..1; None without a plane.
    frames, abstained
        The number of frames analyzed, and of those on which the model abstained.
    """

    start: int
    end: int
    plane: int | None
    confidence: float | None
    frames: int
    abstained: int


@dataclass(frozen=True, slots=True)
class Best:
    """The frame that shows a plane best: the most probable one whose neighbors agree with it.

    Attributes
    ----------
    plane, index
        The number of the plane; the index of the frame in the file.
    probability, smoothed
        The frame's own calibrated probability, and the average over its neighborhood.
    sub_plane
        The frame's sub-plane; None where the model names none.
    """

    plane: int
    index: int
    probability: float
    smoothed: float
    sub_plane: PlaneScore | None = None


@dataclass(frozen=True, slots=True)
class Cine:
    """What a loop shows.

    Attributes
    ----------
    frames
        The number of frames analyzed.
    cuts
        The indices of the frames that begin another shot.
    segments
        In the order of the frames.
    best
        The best frame of each plane.
    """

    frames: int
    cuts: tuple[int, ...]
    segments: tuple[Segment, ...]
    best: tuple[Best, ...]


def shot_signature(pixels: NDArray[np.uint8]) -> Floats:
    """Return a frame's signature for cut detection: an 8 x 8 copy without its mean, float32 [64].

    Parameters
    ----------
    pixels
        uint8 [H, W].

    Returns
    -------
    float32 [64], of length 1; zeros where the frame is flat
    """
    small = downscale(pixels, _SIGNATURE_SIDE, _SIGNATURE_SIDE).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > _FLAT * _SIGNATURE_SIDE else np.zeros_like(small)


def is_cut(before: Floats, after: Floats) -> bool:
    """Return whether the signatures of two consecutive frames belong to different shots."""
    if not before.any() and not after.any():
        return False
    return float(before @ after) < _SAME_SHOT


class CineReader:
    """Takes the frames of a loop in order, keeps some bytes of each, and returns what the loop shows."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._probabilities: list[Floats] = []
        self._votes: list[bool] = []
        self._sub_planes: list[PlaneScore | None] = []
        self._starts: list[int] = []  # of shots, as positions in the lists above
        self._last: Floats | None = None

    def add(
        self,
        index: int,
        probabilities: Floats,
        abstains: bool,
        signature: Floats,
        sub_plane: PlaneScore | None = None,
    ) -> None:
        """Take the next frame.

        Parameters
        ----------
        index
            The index of the frame in the file; rising.
        probabilities
            float32 [K], calibrated.
        abstains
            Whether the model abstains on the frame.
        signature
            As `shot_signature` returns it.
        sub_plane
            The frame's sub-plane, where the model names one.
        """
        if self._last is None or is_cut(self._last, signature):
            self._starts.append(len(self._indices))
        self._last = signature
        self._indices.append(index)
        self._probabilities.append(probabilities)
        self._votes.append(not abstains)
        self._sub_planes.append(sub_plane)

    def finish(self) -> Cine:
        """Return what the frames show together, after the last one."""
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
        for first, stop in shots:
            bounds = [first, *(first + 1 + np.flatnonzero(np.diff(planes[first:stop]))).tolist(), stop]
            for start, end in pairwise(bounds):
                plane = int(planes[start])
                confidence = float(smoothed[start:end, plane].mean()) if plane >= 0 else None
                found.append(
                    Segment(
                        start=self._indices[start],
                        end=self._indices[end - 1],
                        plane=plane if plane >= 0 else None,
                        confidence=confidence,
                        frames=end - start,
                        abstained=int((~votes[start:end]).sum()),
                    )
                )
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
    """Return the mean over each frame's neighborhood in one shot, over the frames that vote; zeros where none votes."""
    window = np.ones(2 * RADIUS + 1, np.float32)
    middle = slice(RADIUS, RADIUS + len(votes))
    counts = np.convolve(votes.astype(np.float32), window)[middle, None]
    voted = probabilities * votes[:, None]
    sums = np.stack([np.convolve(column, window)[middle] for column in voted.T], axis=1)
    return np.asarray(sums / np.maximum(counts, 1) * (counts > 0.5), np.float32)
