"""Prediction sets: the planes that a frame may show, at a level of coverage, by split conformal prediction.

A plane is in the set where its probability is at least the plane's limit, which gives the smallest sets on average
(Sadinle et al. 2019, arXiv 1609.00451). The limit is class-conditional: a quantile over validation patients of that
plane alone, with the correction for their finite number (Vovk 2012, arXiv 1209.2673). With n patients, the highest
level is n / (n + 1). A plane with too few of them has the limit of all planes together, as in Ding et al. 2023 (arXiv
2306.09335), and the set claims no coverage of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

from service.errors import BadParameter
from service.inference.engine import Scores
from service.schemas.answers import AbstainReason, PredictionSet
from service.schemas.manifest import Plane, PredictionSets

_ROUNDING = 1e-9  # (n + 1) * level is a whole number for levels such as 0.95, but not in binary


@dataclass(frozen=True, slots=True)
class SetRule:
    """The limits of the planes at one level."""

    level: float
    limits: tuple[float, ...]  # least probability of each plane, in the manifest's order
    supported: tuple[bool, ...]  # whether the plane has enough validation patients for the level
    ids: tuple[str, ...]

    @classmethod
    def of(cls, planes: Sequence[Plane], sets: PredictionSets | None, level: float) -> Self:
        """Return the rule of a model at a level, 0..1; planes and sets are its manifest's.

        Raises
        ------
        BadParameter
            The model states no prediction sets, or has too few validation patients of every plane for this level.
        """
        if sets is None:
            raise BadParameter("This model states no prediction sets; leave out `set`.")
        scores = sets.probabilities
        supported = tuple(_rank(len(own), level) > 0 for own in scores)
        if not any(supported):
            most = max(map(len, scores))
            raise BadParameter(f"`set` must be at most {most / (most + 1):.3f}, the highest level of this model.")
        pooled = sorted(score for own in scores for score in own)
        limits = (limit_of(own if known else pooled, level) for own, known in zip(scores, supported, strict=True))
        return cls(level, tuple(limits), supported, tuple(plane.id for plane in planes))

    def predict(self, scores: Scores, reason: AbstainReason | None) -> PredictionSet | None:
        """Return the set of a frame; None where the model abstains because the frame is unlike those of validation."""
        if reason in ("color-flow", "out-of-distribution"):
            return None
        members = self.members(scores.probabilities.tolist())
        order = scores.ranked()
        return PredictionSet(
            level=self.level,
            planes=[self.ids[plane] for plane in order if plane in members] or [self.ids[order[0]]],
            empty=not members,
            unsupported=[plane for plane, known in zip(self.ids, self.supported, strict=True) if not known],
        )

    def members(self, probabilities: Sequence[float]) -> set[int]:
        """Return the numbers of the planes that reach their limit.

        There may be none. `predict` then adds the first prediction, which can only add coverage.
        """
        pairs = zip(probabilities, self.limits, strict=True)
        return {plane for plane, (probability, limit) in enumerate(pairs) if probability >= limit}


def limit_of(probabilities: Sequence[float], level: float) -> float:
    """Return the limit that a new patient's probability reaches in a share `level` of all cases, at least.

    The probabilities are of exchangeable patients, ascending. Too few for the level give 0, which every plane reaches.
    """
    rank = _rank(len(probabilities), level)
    return probabilities[rank - 1] if rank else 0.0


def _rank(count: int, level: float) -> int:
    """Return which of `count` probabilities, from the lowest, is the limit; 0 where they are too few."""
    return count + 1 - max(1, ceil((count + 1) * level - _ROUNDING))
