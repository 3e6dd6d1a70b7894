"""Run the graphs of a model package on ONNX Runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.execution.work import current_work
from service.inference.package import CLASSIFIER, EXPLAINER, ModelPackage, PackageError
from service.inference.session import Floats, open_session, run_session
from service.inference.sub_planes import SubPlaneHead

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Gray = NDArray[np.uint8]

_ANSWER = ("probabilities", "ood_score", "distance")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The output of the classifier for one frame."""

    probabilities: Floats  # float32 [K], calibrated, in the order of the manifest's planes
    ood_score: float  # how little evidence it holds for any plane, and how much for another organ: `max_ood_score`
    distance: float  # how far its texture is from that of the training frames: `max_distance`
    features: Floats | None = None  # float32 [1, C, h, w], the explainer's input; None unless requested
    # Outputs of the classifier that the sub-plane head takes, by name; None without such a head, and after it has run.
    head_inputs: Mapping[str, Floats] | None = None

    def ranked(self) -> list[int]:
        """Return the indices of the planes, the most probable first; equal ones in the order of the manifest."""
        return [int(index) for index in np.argsort(-self.probabilities, kind="stable")]


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Grad-CAM of one plane's logit (Selvaraju et al., 2017, arXiv 1610.02391)."""

    values: Floats  # float32 [h, w], 0..1; all zeros where no evidence is positive
    raw_max: float  # maximum of the raw map, by which it was divided; 0 where the map is empty

    @property
    def empty(self) -> bool:
        """Whether nothing in the frame is evidence for the plane."""
        return self.raw_max == 0


@dataclass(frozen=True, slots=True)
class AllCores:
    """Lets a run that is alone on the machine use every core."""

    threads: int  # of such a run
    is_alone: Callable[[], bool]  # called when a run begins: whether it is alone


class Engine:
    """A model package in memory, ready to run; thread-safe.

    Each run uses the calling thread only: on a CPU, runs side by side are faster than threads within a run. With
    `all_cores`, a second session with several threads serves the runs that are alone on the machine.

    Raises
    ------
    PackageError
        ONNX Runtime cannot load a graph, or a graph's inputs or outputs contradict the manifest.
    """

    def __init__(self, package: ModelPackage, all_cores: AllCores | None = None) -> None:
        self.manifest = package.manifest
        self.all_cores = all_cores
        self._classifier = open_session(package.classifier, CLASSIFIER, providers=package.providers)
        self._wide: InferenceSession | None = None
        if all_cores is not None and all_cores.threads > 1:
            self._wide = open_session(package.classifier, CLASSIFIER, all_cores.threads)
        self._explainer = open_session(package.explainer, EXPLAINER)
        self._check_graphs()
        self._sub_planes = SubPlaneHead.of(package, self._classifier)
        self.package = package.without_graphs()

    @property
    def providers(self) -> list[str]:
        """The names of the providers that compute the classifier, in order."""
        return list(self._classifier.get_providers())

    def score(self, frame: Gray, *, with_features: bool = False) -> Scores:
        """Classify one letterboxed frame, uint8 [S, S]."""
        outputs = self._infer(frame, with_features=with_features)
        return Scores(
            probabilities=outputs["probabilities"][0],
            ood_score=float(outputs["ood_score"][0]),
            distance=float(outputs["distance"][0]),
            features=outputs["features"] if with_features else None,
            head_inputs=outputs if self._sub_planes is not None else None,
        )

    def score_sub_planes(self, scores: Scores) -> Floats | None:
        """Return the calibrated probabilities float32 [M] of the sub-planes of the most probable plane.

        None where the model knows no sub-planes of that plane. The classifier does not run again.
        """
        head = self._sub_planes
        if head is None or scores.head_inputs is None or scores.ranked()[0] != head.plane:
            return None
        return head.probabilities(scores.head_inputs)

    def explain(self, scores: Scores, plane: int) -> HeatMap:
        """Compute the Grad-CAM of plane number `plane` from the features in `scores`; the backbone does not run again.

        Raises ValueError where the scores hold no features.
        """
        if scores.features is None:
            raise ValueError("the scores were made without features")
        target = np.zeros((1, len(self.manifest.planes)), np.float32)
        target[0, plane] = 1
        raw: Floats = run_session(self._explainer, ["heatmaps"], {"features": scores.features, "target": target})[0][0]
        raw_max = float(raw.max())
        return HeatMap(raw / raw_max if raw_max > 0 else np.zeros_like(raw), max(raw_max, 0.0))

    def warm_up(self) -> None:
        """Run each session once on a black frame; raises PackageError where an output is not finite or misshapen."""
        side, planes = self.manifest.preprocessing.size, len(self.manifest.planes)
        black = np.zeros((side, side), np.uint8)
        if self._wide is not None:
            run_session(self._wide, None, {"frames": black[None, None]})
        scores = self.score(black, with_features=True)
        heat = self.explain(scores, 0)
        if self._sub_planes is not None:
            self._sub_planes.warm_up(self._infer(black))
        valid = scores.probabilities.shape == (planes,) and abs(float(scores.probabilities.sum()) - 1) < 1e-3
        finite = np.isfinite((scores.ood_score, scores.distance)).all() and np.isfinite(heat.values).all()
        if not (valid and finite):
            raise PackageError("the model's output for a black frame is not finite, or does not sum to 1")

    def _infer(self, frame: Gray, *, with_features: bool = False) -> dict[str, Floats]:
        """Return the outputs of the classifier that are needed, by name."""
        features = ["features"] if with_features else []
        names = list(dict.fromkeys((*_ANSWER, *features, *(self._sub_planes.inputs if self._sub_planes else ()))))
        outputs = run_session(self._choose_session(), names, {"frames": frame[None, None]})
        return dict(zip(names, outputs, strict=True))

    def _choose_session(self) -> "InferenceSession":
        if self._wide is not None and self.all_cores is not None and self.all_cores.is_alone():
            current_work().threads.append(self.all_cores.threads)
            return self._wide
        current_work().threads.append(1)
        return self._classifier

    def _check_graphs(self) -> None:
        side = self.manifest.preprocessing.size
        inputs = {node.name: node for node in self._classifier.get_inputs()}
        if set(inputs) != {"frames"} or inputs["frames"].shape[1:] != [1, side, side]:
            raise PackageError(f"{CLASSIFIER} must take `frames` [N, 1, {side}, {side}] and nothing else")
        outputs, needed = {node.name: node for node in self._classifier.get_outputs()}, (*_ANSWER, "logits", "features")
        if not set(needed) <= set(outputs):
            raise PackageError(f"{CLASSIFIER} must return {', '.join(needed)}")
        planes = len(self.manifest.planes)
        if outputs["probabilities"].shape[1:] != [planes]:
            raise PackageError(f"{CLASSIFIER} must return probabilities of the manifest's {planes} planes")
        if {node.name for node in self._explainer.get_inputs()} != {"features", "target"}:
            raise PackageError(f"{EXPLAINER} must take `features` and `target` and nothing else")
        if "heatmaps" not in {node.name for node in self._explainer.get_outputs()}:
            raise PackageError(f"{EXPLAINER} must return `heatmaps`")
