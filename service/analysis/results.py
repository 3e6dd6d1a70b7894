"""The results of the analysis: plain values that hold what an answer needs, without wire types."""

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


class PlaneScore(NamedTuple):
    """A plane or a sub-plane with its calibrated probability, rounded as every answer rounds it."""

    plane: Plane
    probability: float

    @classmethod
    def rounded(cls, plane: Plane, probability: float) -> "PlaneScore":
        """Return a score of at most 1, rounded to six decimals."""
        return cls(plane, round(min(1.0, probability), 6))


class ModelIdentity(NamedTuple):
    """The model that gave a result: `sha256` is the package manifest's."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What the model found in one frame; it holds no pixels.

    Attributes
    ----------
    frame
        The frame without its pixels.
    crop
        The part of the frame that the model saw.
    scores
        The raw output of the classifier.
    ranked
        Every plane, the most probable first.
    abstain_reason
        Why no plane should be believed; None where the first prediction stands.
    sub_plane, sub_planes
        The most probable sub-plane of the first prediction, and the probabilities of all, float32 [M]. None where the
        model abstains or knows no sub-planes of that plane.
    model
        The model.
    """

    frame: FrameMetadata
    crop: Crop
    scores: Scores
    ranked: tuple[PlaneScore, ...]
    abstain_reason: AbstainReason | None
    sub_plane: PlaneScore | None
    sub_planes: Floats | None
    model: ModelIdentity


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFrame(FrameResult):
    """A result with the evidence for one plane.

    Attributes
    ----------
    pixels
        The frame, uint8 [H, W]; the overlay is painted on it.
    target
        The plane that is explained.
    heat
        Its Grad-CAM.
    """

    pixels: NDArray[np.uint8]
    target: Plane
    heat: HeatMap
