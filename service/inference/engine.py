"""Runs the graphs of a model package on ONNX Runtime."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.execution.work import current_work
from service.inference.package import CLASSIFIER, EXPLAINER, ModelPackage, PackageError
from service.inference.session import open_session, run_session
from service.inference.sub_planes import SubPlaneHead
from service.schemas.answers import AbstainReason

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

_ANSWER = ("probabilities", "ood_score")
_CLASSIFIER_OUTPUTS = (*_ANSWER, "logits", "features")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the classifier says of one frame.

    Attributes
    ----------
    probabilities
        float32 [K], calibrated, in the order of the manifest's planes.
    ood_score
        How unlike the training frames it is; compared with the manifest's `max_ood_score`.
    features
        float32 [1, C, h, w] for the explainer; None where they were not asked for.
    sub_planes
        float32 [M], calibrated, in the order of the manifest's sub-planes; None where the model has none of the plane
        that it finds most probable, or abstains.
    """

    probabilities: Floats
    ood_score: float
    features: Floats | None = None
    sub_planes: Floats | None = None

    def ranked(self) -> list[int]:
        """Indices of the planes, the most probable first; of equals the earlier plane first."""
        return [int(index) for index in np.argsort(-self.probabilities, kind="stable")]

    def sub_plane(self) -> tuple[int, float] | None:
        """Number and probability of the most probable sub-plane; None where none was told."""
        if self.sub_planes is None:
            return None
        best = int(self.sub_planes.argmax())
        return best, min(1.0, float(self.sub_planes[best]))


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Grad-CAM of one plane's logit.

    Attributes
    ----------
    values
        float32 [h, w], 0..1; all zeros where no evidence is positive.
    raw_max
        What the raw map was divided by; 0 where it is empty.
    """

    values: Floats
    raw_max: float

    @property
    def empty(self) -> bool:
        """Whether nothing in the frame speaks for the plane."""
        return self.raw_max == 0


@dataclass(frozen=True, slots=True)
class AllCores:
    """Lets a run that is alone on the machine use every core.

    Attributes
    ----------
    threads
        Of such a run.
    free
        Whether the run that asks is alone; called as it begins.
    """

    threads: int
    free: Callable[[], bool]


class Engine:
    """A model package in memory, ready to run; safe to use from several threads at once.

    Each run uses the one thread that calls it: on a CPU, runs side by side beat threads within a run. A run that is
    alone is another matter, and `all_cores` its remedy: a second session, with threads, that serves such runs only.

    Raises
    ------
    PackageError
        ONNX Runtime cannot load a graph, or a graph is not of the shape that the manifest promises.
    """

    def __init__(self, package: ModelPackage, all_cores: AllCores | None = None) -> None:
        self.package = package
        self.manifest = package.manifest
        self.all_cores = all_cores if all_cores and all_cores.threads > 1 else None
        self._classifier = open_session(package.classifier, CLASSIFIER)
        self._wide: InferenceSession | None = None
        if self.all_cores is not None:
            self._wide = open_session(package.classifier, CLASSIFIER, self.all_cores.threads)
        self._explainer = open_session(package.explainer, EXPLAINER)
        self._check_graphs()
        self._sub_planes = SubPlaneHead.of(package, self._classifier)

    def score(self, frame: Gray, *, with_features: bool = False) -> Scores:
        """Classify one prepared frame, uint8 [S, S]."""
        outputs = self._infer(frame, with_features=with_features)
        scores = Scores(
            outputs["probabilities"][0], float(outputs["ood_score"][0]), outputs["features"] if with_features else None
        )
        if self._sub_planes is None or scores.ranked()[0] != self._sub_planes.plane or self.abstains(scores):
            return scores
        return replace(scores, sub_planes=self._sub_planes.probabilities(outputs))

    def explain(self, scores: Scores, plane: int) -> HeatMap:
        """Find the evidence for plane number `plane` in the features of `scores`; the backbone does not run again."""
        if scores.features is None:
            raise ValueError("the scores were made without features")
        target = np.zeros((1, len(self.manifest.planes)), np.float32)
        target[0, plane] = 1
        raw: Floats = run_session(self._explainer, ["heatmaps"], {"features": scores.features, "target": target})[0][0]
        raw_max = float(raw.max())
        return HeatMap(raw / raw_max if raw_max > 0 else np.zeros_like(raw), max(raw_max, 0.0))

    def abstains(self, scores: Scores) -> AbstainReason | None:
        """Why no plane should be believed, or None. A frame unlike any seen in training outweighs a sure answer."""
        if scores.ood_score > self.manifest.abstention.max_ood_score:
            return "out-of-distribution"
        if scores.probabilities.max() < self.manifest.abstention.min_probability:
            return "uncertain"
        return None

    def warm_up(self) -> None:
        """Run each session once on a black frame.

        Raises
        ------
        PackageError
            An answer is not finite or not of the promised shape: such a model must not be served.
        """
        side, planes = self.manifest.preprocessing.size, len(self.manifest.planes)
        black = np.zeros((side, side), np.uint8)
        if self._wide is not None:
            run_session(self._wide, None, {"frames": black[None, None]})
        scores = self.score(black, with_features=True)
        heat = self.explain(scores, 0)
        if self._sub_planes is not None:
            self._sub_planes.warm_up(self._infer(black))
        sound = scores.probabilities.shape == (planes,) and abs(float(scores.probabilities.sum()) - 1) < 1e-3
        if not (sound and np.isfinite(scores.ood_score) and np.isfinite(heat.values).all()):
            raise PackageError("the model's answer to a black frame is not one of finite probabilities that sum to 1")

    def _infer(self, frame: Gray, *, with_features: bool = False) -> dict[str, Floats]:
        """The classifier's outputs that are needed, by name."""
        asked = ["features"] if with_features else []
        names = list(dict.fromkeys((*_ANSWER, *asked, *(self._sub_planes.needs if self._sub_planes else ()))))
        outputs = run_session(self._choose_session(), names, {"frames": frame[None, None]})
        return dict(zip(names, outputs, strict=True))

    def _choose_session(self) -> "InferenceSession":
        if self._wide is not None and self.all_cores is not None and self.all_cores.free():
            current_work().threads.append(self.all_cores.threads)
            return self._wide
        current_work().threads.append(1)
        return self._classifier

    def _check_graphs(self) -> None:
        side = self.manifest.preprocessing.size
        inputs = {node.name: node for node in self._classifier.get_inputs()}
        if set(inputs) != {"frames"} or inputs["frames"].shape[1:] != [1, side, side]:
            raise PackageError(f"{CLASSIFIER} must take `frames` [N, 1, {side}, {side}] and nothing else")
        outputs = {node.name: node for node in self._classifier.get_outputs()}
        if not set(_CLASSIFIER_OUTPUTS) <= set(outputs):
            raise PackageError(f"{CLASSIFIER} must give {', '.join(_CLASSIFIER_OUTPUTS)}")
        planes = len(self.manifest.planes)
        if outputs["probabilities"].shape[1:] != [planes]:
            raise PackageError(f"{CLASSIFIER} must tell the manifest's {planes} planes apart")
        if {node.name for node in self._explainer.get_inputs()} != {"features", "target"}:
            raise PackageError(f"{EXPLAINER} must take `features` and `target` and nothing else")
        if "heatmaps" not in {node.name for node in self._explainer.get_outputs()}:
            raise PackageError(f"{EXPLAINER} must give `heatmaps`")
