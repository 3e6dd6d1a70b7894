"""What INT8 may lose against float32, and the comparison that says how much it loses."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from model_build.evaluation.metrics import calibration_error, top_k_rate
from model_build.evaluation.tables import Row
from model_build.packaging.int8.inference import GraphInference
from service.analysis.abstention import abstain_reason
from service.inference.engine import Engine, HeatMap

_ROUNDING = 1e-9  # of a difference


class Gate(NamedTuple):
    """The bounds on the difference of a metric, INT8 minus float32."""

    least: float
    most: float


_UNBOUNDED = float("inf")
GATES = {
    "top1": Gate(-0.002, _UNBOUNDED),
    "augmented_top1": Gate(-0.002, _UNBOUNDED),
    "calibration_error": Gate(-_UNBOUNDED, 0.003),
    "abstained": Gate(-0.005, 0.005),
    "heat_map_correlation": Gate(-0.02, _UNBOUNDED),
    "sub_plane_top1": Gate(-0.005, _UNBOUNDED),
}
"""The bounds by metric. `augmented_top1` counts six augmented views of each frame, `calibration_error` frames as served
and these views, the other metrics frames as served: a hundred frames alone cannot resolve a calibration error of 0.003.

`heat_map_correlation` is the mean rank correlation with float32's heat maps, of float32's first predictions.
"""


class Comparison(NamedTuple):
    """One metric in both precisions on one split."""

    split: str
    metric: str
    n: int  # inputs
    float32: float
    int8: float

    @property
    def passes(self) -> bool:
        """Whether INT8 passes the gate; a value that is not a number does not."""
        gate, difference = GATES[self.metric], self.int8 - self.float32
        return bool(gate.least - _ROUNDING <= difference <= gate.most + _ROUNDING)

    @property
    def allowed(self) -> str:
        """The bounds on the difference, such as `at least -0.002`."""
        gate = GATES[self.metric]
        bounds = (("at least", gate.least), ("at most", gate.most))
        return ", ".join(f"{name} {bound:+g}" for name, bound in bounds if np.isfinite(bound))

    def row(self) -> Row:
        """Return the row of a table."""
        return {
            "split": self.split,
            "metric": self.metric,
            "n": self.n,
            "float32": round(self.float32, 5),
            "int8": round(self.int8, 5),
            "difference": round(self.int8 - self.float32, 5),
            "allowed": self.allowed,
            "passes": "yes" if self.passes else "no",
        }

    def sentence(self) -> str:
        """Return the comparison as a clause for a message."""
        return f"{self.metric} on {self.split} is {self.int8:.4f}, float32: {self.float32:.4f}, allowed: {self.allowed}"


@dataclass(frozen=True, eq=False)
class SplitInputs:
    """The inputs of one split, uint8 [N, 1, S, S] each, with their true classes, int64 [N]."""

    split: str
    served: Tensor
    planes: NDArray[np.int64]
    augmented: Tensor  # of the same frames, view by view
    sub_planes: tuple[Tensor, NDArray[np.int64]] | None  # inputs with a sub-plane, and their sub-planes


@dataclass(frozen=True, eq=False)
class Candidate:
    """One precision of a package: the engine that serves it, and its graph alone."""

    engine: Engine
    graph: GraphInference

    def probabilities(self, inputs: Tensor) -> NDArray[np.float32]:
        """Return calibrated probabilities float32 [N, K] of inputs uint8 [N, 1, S, S]."""
        logits = self.graph.infer(inputs).logits
        return torch.softmax(logits / self.engine.manifest.temperature, 1).numpy()


def compare(float32: Candidate, int8: Candidate, inputs: SplitInputs) -> list[Comparison]:
    """Return all metrics on one split."""
    split, count = inputs.split, len(inputs.planes)
    served = _serve(float32.engine, int8.engine, inputs.served[:, 0].numpy())
    rates = [top_k_rate(each, inputs.planes) for each in served.probabilities]
    repeated = np.tile(inputs.planes, len(inputs.augmented) // count)
    views = [each.probabilities(inputs.augmented) for each in (float32, int8)]
    augmented = [top_k_rate(each, repeated) for each in views]
    labels = np.concatenate((inputs.planes, repeated))
    errors = [calibration_error(np.concatenate(each), labels) for each in zip(served.probabilities, views, strict=True)]
    found = [
        Comparison(split, "top1", count, *rates),
        Comparison(split, "augmented_top1", len(repeated), *augmented),
        Comparison(split, "calibration_error", len(labels), *errors),
        Comparison(split, "abstained", count, *served.abstained),
        Comparison(split, "heat_map_correlation", count, 1.0, served.correlation),
    ]
    if inputs.sub_planes is not None:
        frames, own = inputs.sub_planes
        of_sub_planes = [top_k_rate(each.graph.infer_sub_planes(frames), own) for each in (float32, int8)]
        found.append(Comparison(split, "sub_plane_top1", len(own), *of_sub_planes))
    return found


class _Served(NamedTuple):
    """What both engines answer to the same frames, float32 first."""

    probabilities: list[NDArray[np.float32]]  # [N, K] each
    abstained: list[float]
    correlation: float  # of the heat maps


def _serve(float32: Engine, int8: Engine, frames: NDArray[np.uint8]) -> _Served:
    """Run both engines on frames [N, S, S], one by one as the service does."""
    engines, correlations = (float32, int8), []
    probabilities: tuple[list[NDArray[np.float32]], ...] = ([], [])
    abstained = [0, 0]
    for frame in frames:
        both = [engine.score(frame, with_features=True) for engine in engines]
        plane = both[0].ranked()[0]
        correlations.append(rank_correlation(float32.explain(both[0], plane), int8.explain(both[1], plane)))
        for row, (engine, scores) in enumerate(zip(engines, both, strict=True)):
            probabilities[row].append(scores.probabilities)
            abstained[row] += abstain_reason(scores, engine.manifest.abstention) is not None
    shares = [each / len(frames) for each in abstained]
    return _Served([np.stack(each) for each in probabilities], shares, float(np.mean(correlations)))


def rank_correlation(a: HeatMap, b: HeatMap) -> float:
    """Return the rank correlation of two maps. It is undefined for an empty one, which equals another empty one."""
    if a.empty or b.empty:
        return float(a.empty and b.empty)
    return float(spearmanr(a.values.ravel(), b.values.ravel()).statistic)
