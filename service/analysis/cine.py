"""Read a cine: which plane it shows when, and which frame shows each plane best.

Probabilities are averaged over neighboring frames, so that the flicker of one frame makes no segment. An average never
reaches across a cut, because two shots joined into one file are independent. Frames on which the model abstains are
left out of the average. A few answered frames among many that are not name no plane: see `is_supported`.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.analysis.batch import File
from service.analysis.results import FrameResult, round_probability
from service.imaging.letterbox import CELLS
from service.imaging.sector import downscale
from service.inference.session import Floats
from service.schemas.answers import SubPlane
from service.schemas.batch import CineBest, CineSegment, CineSummary
from service.schemas.manifest import Plane

RADIUS = 2
"""Neighbors on either side of a frame that its average includes."""

_SAME_SHOT = 0.75  # correlation of two signatures; stills of different planes are below it, neighboring frames above
_DENSE_PART = 10  # frames; answers that happen to lie next to each other make shorter parts
_FLAT = 1.0  # standard deviation in gray levels; a flatter frame has no structure to compare


def shot_signature(pixels: NDArray[np.uint8]) -> Floats:
    """Return the signature of a frame [H, W] for cut detection: an 8 x 8 copy without its mean.

    float32 [64], of length 1; zeros where the frame is flat.
    """
    small = downscale(pixels, CELLS, CELLS).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > _FLAT * CELLS else np.zeros_like(small)


def is_cut(before: Floats, after: Floats) -> bool:
    """Return whether the signatures of two consecutive frames belong to different shots."""
    if not before.any() and not after.any():
        return False
    return float(before @ after) < _SAME_SHOT


def is_supported(votes: NDArray[np.bool_], agreed: NDArray[np.bool_]) -> bool:
    """Return whether frames show a plane together: at least half are answered, and most of the answers agree.

    Parameters
    ----------
    votes
        For each frame, whether the model answers.
    agreed
        For each frame, whether the answer is the plane.
    """
    return 2 * int(votes.sum()) >= len(votes) and 2 * int(agreed.sum()) > int(votes.sum())


class CineReader:
    """Takes the results of a loop's frames in order, and returns what the loop shows.

    Parameters
    ----------
    file, count
        The file and the number of its frames.
    planes
        The model's.
    """

    def __init__(self, file: File, count: int, planes: Sequence[Plane]) -> None:
        self._file, self._count, self._planes = file, count, planes
        self._results: list[FrameResult] = []
        self._starts: list[int] = []  # of shots, as positions in the list above
        self._last: Floats | None = None

    def add(self, result: FrameResult, signature: Floats) -> None:
        """Take the next frame; `signature` is its `shot_signature`."""
        if self._last is None or is_cut(self._last, signature):
            self._starts.append(len(self._results))
        self._last = signature
        self._results.append(result)

    def finish(self) -> CineSummary:
        """Return what the frames show together, after the last one."""
        rows = [result.scores.probabilities for result in self._results]
        probabilities = np.array(rows, np.float32).reshape(-1, len(self._planes))
        votes = np.array([result.abstain_reason is None for result in self._results], np.bool_)
        smoothed = np.zeros_like(probabilities)
        for start, end in pairwise([*self._starts, len(rows)]):
            smoothed[start:end] = _smooth(probabilities[start:end], votes[start:end])
        planes = self._supported(np.where(smoothed.any(1), smoothed.argmax(1), -1), probabilities.argmax(1), votes)
        return CineSummary(
            file=self._file.number,
            name=self._file.name,
            count=self._count,
            frames=len(rows),
            abstained=int((~votes).sum()),
            cuts=[self._index(start) for start in self._starts[1:]],
            segments=list(self._segments(planes, smoothed, votes)),
            best=list(self._best(probabilities, planes, smoothed, votes)),
        )

    def _index(self, position: int) -> int:
        return self._results[position].frame.index

    def _spans(self, planes: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return start and end of each run of equal planes in one shot."""
        changes = (np.flatnonzero(np.diff(planes)) + 1).tolist()
        return list(pairwise([*sorted({*self._starts, *changes}), len(planes)]))

    def _supported(
        self, planes: NDArray[np.int64], answers: NDArray[np.int64], votes: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Return the planes of the frames, with -1 where a run is not supported, except for its dense parts."""

        def supported(start: int, end: int) -> bool:
            span = slice(start, end)
            return is_supported(votes[span], votes[span] & (answers[span] == planes[start]))

        kept = planes.copy()
        for start, end in self._spans(planes):
            if planes[start] >= 0 and not supported(start, end):
                kept[start:end] = -1
                for first, last in _dense_parts(votes[start:end]):
                    if supported(start + first, start + last):
                        kept[start + first : start + last] = planes[start]
        return kept

    def _segments(self, planes: NDArray[np.int64], smoothed: Floats, votes: NDArray[np.bool_]) -> Iterator[CineSegment]:
        for start, end in self._spans(planes):
            number = int(planes[start])
            plane = self._planes[number] if number >= 0 else None
            yield CineSegment(
                start=self._index(start),
                end=self._index(end - 1),
                start_seconds=self._results[start].frame.seconds,
                end_seconds=self._results[end - 1].frame.seconds,
                plane=plane.id if plane else None,
                label=plane.label if plane else None,
                confidence=round_probability(float(smoothed[start:end, number].mean())) if plane else None,
                frames=end - start,
                abstained=int((~votes[start:end]).sum()),
            )

    def _best(
        self, probabilities: Floats, planes: NDArray[np.int64], smoothed: Floats, votes: NDArray[np.bool_]
    ) -> Iterator[CineBest]:
        """Yield the most probable frame of each plane, among the frames whose neighbors agree with them."""
        agreed = votes & (probabilities.argmax(1) == planes)
        for number in np.unique(planes[agreed]).tolist():
            own, around = probabilities[:, number], smoothed[:, number]
            candidates = np.flatnonzero(agreed & (planes == number)).tolist()
            best = max(candidates, key=lambda each: (own[each], around[each]))  # the first of equal ones
            sub_plane = self._results[best].sub_plane
            yield CineBest(
                plane=self._planes[number].id,
                label=self._planes[number].label,
                frame=self._index(best),
                seconds=self._results[best].frame.seconds,
                probability=round_probability(float(own[best])),
                smoothed=round_probability(float(around[best])),
                sub_plane=SubPlane(**sub_plane._asdict()) if sub_plane else None,
                sub_plane_reason=self._results[best].sub_plane_reason,
            )


def _dense_parts(votes: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each long part of a run in which half of each frame's neighborhood is answered."""
    window, middle = np.ones(2 * RADIUS + 1), slice(RADIUS, RADIUS + len(votes))
    answered, frames = (np.convolve(each, window)[middle] for each in (votes.astype(float), np.ones(len(votes))))
    edges = np.flatnonzero(np.diff(2 * answered >= frames, prepend=False, append=False)).tolist()
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= _DENSE_PART:
            yield start, end


def _smooth(probabilities: Floats, votes: NDArray[np.bool_]) -> Floats:
    """Return the mean over each frame's neighborhood in one shot, over the frames that vote; zeros where none votes."""
    window = np.ones(2 * RADIUS + 1, np.float32)
    middle = slice(RADIUS, RADIUS + len(votes))
    counts = np.convolve(votes.astype(np.float32), window)[middle, None]
    voted = probabilities * votes[:, None]
    sums = np.stack([np.convolve(column, window)[middle] for column in voted.T], axis=1)
    return np.asarray(sums / np.maximum(counts, 1) * (counts > 0.5), np.float32)
