"""Runs the two graphs of a model package on ONNX Runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.inference.package import CLASSIFIER, EXPLAINER, ModelPackage, PackageError
from service.inference.run import current_run

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
AbstainReason = Literal["unfamiliar", "uncertain"]

_CLASSIFIER_OUTPUTS = ("probabilities", "logits", "features", "novelty")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the classifier says of one frame.

    Attributes
    ----------
    probabilities
        float32 [K], calibrated, in the order of the manifest's planes.
    novelty
        How unlike the training frames it is; compared with the manifest's `max_novelty`.
    features
        float32 [1, C, h, w] for the explainer; None where they were not asked for.
    """

    probabilities: Floats
    novelty: float
    features: Floats | None = None

    def ranked(self) -> list[int]:
        """Indices of the planes, the most probable first; of equals the earlier plane first."""
        return [int(index) for index in np.argsort(-self.probabilities, kind="stable")]


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
        self._classifier = _open_session(package.classifier, CLASSIFIER)
        self._wide: ort.InferenceSession | None = None
        if self.all_cores is not None:
            self._wide = _open_session(package.classifier, CLASSIFIER, self.all_cores.threads)
        self._explainer = _open_session(package.explainer, EXPLAINER)
        self._check_graphs()

    def score(self, frame: Grey, *, with_features: bool = False) -> Scores:
        """Classify one prepared frame, uint8 [S, S]."""
        names = ["probabilities", "novelty", "features"] if with_features else ["probabilities", "novelty"]
        outputs = _run(self._choose_session(), names, {"frames": frame[None, None]})
        return Scores(outputs[0][0], float(outputs[1][0]), outputs[2] if with_features else None)

    def explain(self, scores: Scores, plane: int) -> HeatMap:
        """Find the evidence for plane number `plane` in the features of `scores`; the backbone does not run again."""
        if scores.features is None:
            raise ValueError("the scores were made without features")
        target = np.zeros((1, len(self.manifest.planes)), np.float32)
        target[0, plane] = 1
        raw: Floats = _run(self._explainer, ["heatmaps"], {"features": scores.features, "target": target})[0][0]
        raw_max = float(raw.max())
        return HeatMap(raw / raw_max if raw_max > 0 else np.zeros_like(raw), max(raw_max, 0.0))

    def abstains(self, scores: Scores) -> AbstainReason | None:
        """Why no plane should be believed, or None. A frame unlike any seen in training outweighs a sure answer."""
        if scores.novelty > self.manifest.abstention.max_novelty:
            return "unfamiliar"
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
            _run(self._wide, None, {"frames": black[None, None]})
        scores = self.score(black, with_features=True)
        heat = self.explain(scores, 0)
        sound = scores.probabilities.shape == (planes,) and abs(float(scores.probabilities.sum()) - 1) < 1e-3
        if not (sound and np.isfinite(scores.novelty) and np.isfinite(heat.values).all()):
            raise PackageError("the model's answer to a black frame is not one of finite probabilities that sum to 1")

    def _choose_session(self) -> ort.InferenceSession:
        if self._wide is not None and self.all_cores is not None and self.all_cores.free():
            current_run().threads.append(self.all_cores.threads)
            return self._wide
        current_run().threads.append(1)
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


def _run(session: ort.InferenceSession, outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
    """Run a session as part of the current run, which may be stopped meanwhile; raises `Stopped` then."""
    run = current_run()
    try:
        results: list[Any] = session.run(outputs, inputs, run.options)
    except Exception:
        run.check()  # ended midway, ONNX Runtime raises an error of its own
        raise
    return results


def _open_session(graph: bytes, name: str, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait are quick to start, and steal the cores from whatever else would run. With one
    # thread there is nothing to wait for; with more, they spin within a run and stop at its end.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own kinds, which share no base
        raise PackageError(f"ONNX Runtime cannot load {name}: {error}") from error
