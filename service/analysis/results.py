"""The result of the analysis of one frame: plain values that hold what an answer needs, without wire types."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.imaging.frame import FrameMetadata
from service.imaging.letterbox import Crop
from service.inference.engine import HeatMap, Scores
from service.inference.package import ModelPackage
from service.inference.session import Floats
from service.schemas.answers import AbstainReason, SubPlaneReason
from service.schemas.manifest import Plane, Precision


class PlaneScore(NamedTuple):
    """The id and the label of a plane or a sub-plane, with its calibrated probability as answers show it."""

    plane: str
    label: str
    probability: float

    @classmethod
    def rounded(cls, plane: Plane, probability: float) -> "PlaneScore":
        """Return the score of a plane, with `round_probability` applied."""
        return cls(plane.id, plane.label, round_probability(probability))


def round_probability(probability: float) -> float:
    """Return a probability of at most 1, rounded to six decimals."""
    return round(min(1.0, probability), 6)


class ModelIdentity(NamedTuple):
    """The model that gave a result: `sha256` is the package manifest's."""

    name: str
    version: str
    sha256: str
    precision: Precision = "float32"

    @classmethod
    def of(cls, package: ModelPackage) -> "ModelIdentity":
        """Return the identity of a package in the precision that it has."""
        return cls(package.manifest.name, package.manifest.version, package.sha256, package.precision)


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What the model found in one frame; it holds no pixels."""

    frame: FrameMetadata
    crop: Crop  # the part of the frame that the model saw
    scores: Scores
    ranked: tuple[PlaneScore, ...]  # every plane, the most probable first
    abstain_reason: AbstainReason | None  # the reason for abstaining; None where the first prediction stands
    # The most probable sub-plane of the first prediction, and the probabilities of all, float32 [M]. None where the
    # model abstains or knows no sub-planes of that plane; where two are close, the first is None alone.
    sub_plane: PlaneScore | None
    sub_planes: Floats | None
    model: ModelIdentity

    @property
    def sub_plane_reason(self) -> SubPlaneReason | None:
        """The reason for naming no sub-plane of a plane that has some; None where one is named."""
        return "close" if self.sub_planes is not None and self.sub_plane is None else None


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFrame(FrameResult):
    """A result with the evidence for one plane."""

    pixels: NDArray[np.uint8] | None  # the frame [H, W], on which the overlay is painted; None where none is wanted
    target: Plane  # the explained plane
    heat: HeatMap
