"""The result of the analysis of one frame: plain values that hold what an answer needs, without wire types."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.imaging.frame import FrameMetadata
from service.imaging.letterbox import Crop
from service.inference.engine import HeatMap, Scores
from service.inference.session import Floats
from service.schemas.answers import AbstainReason
from service.schemas.manifest import Plane

CLOSE = 0.2
"""It is not sure which of two planes or sub-planes a frame shows if they differ by less than this probability."""


class PlaneScore(NamedTuple):
    """The id and the label of a plane or a sub-plane, with its calibrated probability as answers show it."""

    plane: str
    label: str
    probability: float

    @classmethod
    def rounded(cls, plane: Plane, probability: float) -> "PlaneScore":
        """Return the score of a plane, with `round_probability` applied."""
        return cls(plane.id, plane.label, round_probability(probability))


class SubPlaneScore(NamedTuple):
    """The most probable sub-plane; `close` where the next one is less than `CLOSE` less probable."""

    plane: str
    label: str
    probability: float
    close: bool


def round_probability(probability: float) -> float:
    """Return a probability of at most 1, rounded to six decimals."""
    return round(min(1.0, probability), 6)


class ModelIdentity(NamedTuple):
    """The model that gave a result: `sha256` is the package manifest's."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What the model found in one frame; it holds no pixels."""

    frame: FrameMetadata
    crop: Crop  # the part of the frame that the model saw
    scores: Scores
    ranked: tuple[PlaneScore, ...]  # every plane, the most probable first
    abstain_reason: AbstainReason | None  # the reason for abstaining; None where the first prediction stands
    # The most probable sub-plane of the first prediction, and the probabilities of all, float32 [M]. None where the
    # model abstains or knows no sub-planes of that plane.
    sub_plane: SubPlaneScore | None
    sub_planes: Floats | None
    model: ModelIdentity


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFrame(FrameResult):
    """A result with the evidence for one plane."""

    pixels: NDArray[np.uint8]  # the frame [H, W]; the overlay is painted on it
    target: Plane  # the explained plane
    heat: HeatMap
