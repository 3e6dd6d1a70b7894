"""A tiny model package with known outputs: a convolution, its ReLU, a global mean and a linear head.

The gradient of a logit with respect to the features is the head's weight divided by the number of cells, so Grad-CAM
has a closed form. `Phantom` computes every output a second time in NumPy.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PLANES = ("fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax", "maternal_cervix", "other")
CHANNELS = 5
STRIDE = 8
OPSET = 17

Floats = NDArray[np.float32]


@dataclass
class Phantom:
    """The phantom model in numpy, for any number of planes."""

    planes: tuple[str, ...] = PLANES
    size: int = 64
    crop: str = "none"
    zoom: float = 1.0
    temperature: float = 0.5
    min_probability: float = 0.0
    max_ood_score: float = 1.0  # of every plane
    max_distance: float = 1.0
    set_scores: tuple[tuple[float, ...], ...] = ()  # of each plane, what prediction sets are made of
    sub_planes: tuple[str, ...] = ()
    sub_planes_of: str = "fetal_brain"
    int8: "Phantom | None" = None  # whose classifier and constants are those of INT8
    kernels: Floats = field(init=False)
    head: Floats = field(init=False)
    sub_plane_head: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        self.kernels = rng.normal(0, 0.25, (CHANNELS, 1, STRIDE, STRIDE)).astype(np.float32)
        self.head = rng.normal(0, 2, (CHANNELS, len(self.planes))).astype(np.float32)
        self.sub_plane_head = rng.normal(0, 9, (CHANNELS, len(self.sub_planes))).astype(np.float32)

    @property
    def cells(self) -> int:
        return self.size // STRIDE

    def features(self, frame: NDArray[np.uint8]) -> Floats:
        """Return float32 [C, h, w] of a letterboxed frame uint8 [S, S]."""
        blocks = (frame / np.float32(255)).reshape(self.cells, STRIDE, self.cells, STRIDE)
        convolved = np.einsum("aibj,cij->cab", blocks, self.kernels[:, 0])
        return np.asarray(np.maximum(convolved, 0), np.float32)

    def logits(self, frame: NDArray[np.uint8]) -> Floats:
        return np.asarray(self.features(frame).mean((1, 2)) @ self.head)

    def probabilities(self, frame: NDArray[np.uint8]) -> Floats:
        return _softmax(self.logits(frame) / self.temperature)

    def sub_plane_probabilities(self, frame: NDArray[np.uint8]) -> Floats:
        """Return float32 [M], for any frame."""
        return _softmax(self.features(frame).mean((1, 2)) @ self.sub_plane_head)

    def heatmap(self, frame: NDArray[np.uint8], plane: int) -> Floats:
        """Return the Grad-CAM of a plane's logit, float32 [h, w], not rescaled."""
        weights = self.head[:, plane] / self.cells**2
        return np.asarray(np.maximum(np.einsum("c,cab->ab", weights, self.features(frame)), 0))

    def ood_score(self, frame: NDArray[np.uint8]) -> float:
        return float(frame.mean() / 255)

    def distance(self, frame: NDArray[np.uint8]) -> float:
        return float(frame.max() / 255)

    def write(self, folder: Path) -> Path:
        """Write the package into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classifier.onnx").write_bytes(self._classifier())
        (folder / "explainer.onnx").write_bytes(self._explainer())
        if self.sub_planes:
            (folder / "sub_planes.onnx").write_bytes(self._sub_planes())
        if self.int8:
            (folder / "classifier_int8.onnx").write_bytes(self.int8._classifier())
            if self.int8.sub_planes:
                (folder / "sub_planes_int8.onnx").write_bytes(self.int8._sub_planes())
        (folder / "MODEL_CARD.md").write_text("# A phantom\n")
        write_manifest(folder, self.manifest())
        return folder

    def manifest(self) -> dict[str, Any]:
        described = {
            "plane": self.sub_planes_of,
            "sub_planes": _described(self.sub_planes),
            "file": "sub_planes.onnx",
            "temperature": 1.0,
            "metrics": [],
        }
        optional: dict[str, Any] = {"sub_planes": described} if self.sub_planes else {}
        if self.set_scores:
            optional["prediction_sets"] = {"probabilities": self.set_scores}
        if self.int8:
            optional["int8"] = self.int8.as_int8()
        return optional | {
            "format": 2,
            "name": "phantom",
            "version": "1.2.3",
            "planes": _described(self.planes),
            "preprocessing": {"size": self.size, "crop": self.crop, "zoom": self.zoom},
            "temperature": self.temperature,
            "abstention": {
                "min_probability": self.min_probability,
                "max_ood_score": [self.max_ood_score] * len(self.planes),
                "max_distance": self.max_distance,
            },
            "files": {},
            "opset": OPSET,
            "training_data": {
                "name": "none",
                "license": "Apache-2.0",
                "citation": "none",
                "train_frames": 0,
                "train_patients": 0,
            },
            "metrics": [],
            "code_version": "0.1.0",
        }

    def as_int8(self) -> dict[str, Any]:
        """Return the part of INT8 in the manifest of another phantom."""
        own = self.manifest()
        fields = ("temperature", "abstention", "metrics", "sub_planes", "prediction_sets")
        part = {name: own[name] for name in fields if name in own} | {"file": "classifier_int8.onnx"}
        if self.sub_planes:
            part["sub_planes"] = part["sub_planes"] | {"file": "sub_planes_int8.onnx"}
        return part

    def _classifier(self) -> bytes:
        nodes = [
            helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["cast", "white"], ["scaled"]),
            helper.make_node("Conv", ["scaled", "kernels"], ["convolved"], strides=[STRIDE, STRIDE]),
            helper.make_node("Relu", ["convolved"], ["features"]),
            helper.make_node("ReduceMean", ["features"], ["pooled"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
            helper.make_node("Div", ["logits", "temperature"], ["cooled"]),
            helper.make_node("Softmax", ["cooled"], ["probabilities"], axis=1),
            helper.make_node("ReduceMean", ["scaled"], ["ood_score"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("ReduceMax", ["scaled"], ["distance"], axes=[1, 2, 3], keepdims=0),
        ]
        constants = {
            "white": np.float32(255),
            "temperature": np.float32(self.temperature),
            "kernels": self.kernels,
            "head": self.head,
        }
        inputs: dict[str, Any] = {"frames": (TensorProto.UINT8, ["N", 1, self.size, self.size])}
        outputs: dict[str, Any] = {
            "probabilities": (TensorProto.FLOAT, ["N", len(self.planes)]),
            "logits": (TensorProto.FLOAT, ["N", len(self.planes)]),
            "features": (TensorProto.FLOAT, ["N", len(self.kernels), self.cells, self.cells]),
            "ood_score": (TensorProto.FLOAT, ["N"]),
            "distance": (TensorProto.FLOAT, ["N"]),
        }
        return serialize("classifier", nodes, inputs, outputs, constants)

    def _explainer(self) -> bytes:
        nodes = [
            helper.make_node("MatMul", ["target", "gradients"], ["weights"]),
            helper.make_node("Unsqueeze", ["weights", "last"], ["spread"]),
            helper.make_node("Mul", ["features", "spread"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "channels"], ["summed"], keepdims=0),
            helper.make_node("Relu", ["summed"], ["heatmaps"]),
        ]
        constants = {
            "gradients": (self.head.T / self.cells**2).astype(np.float32),
            "last": np.array([2, 3]),
            "channels": np.array([1]),
        }
        inputs: dict[str, Any] = {
            "features": (TensorProto.FLOAT, ["N", len(self.kernels), self.cells, self.cells]),
            "target": (TensorProto.FLOAT, ["N", len(self.planes)]),
        }
        outputs: dict[str, Any] = {"heatmaps": (TensorProto.FLOAT, ["N", self.cells, self.cells])}
        return serialize("explainer", nodes, inputs, outputs, constants)

    def _sub_planes(self) -> bytes:
        nodes = [
            helper.make_node("ReduceMean", ["features"], ["pooled"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["pooled", "sub_plane_head"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
        inputs: dict[str, Any] = {
            "features": (TensorProto.FLOAT, ["N", len(self.kernels), self.cells, self.cells]),
        }
        outputs: dict[str, Any] = {"probabilities": (TensorProto.FLOAT, ["N", len(self.sub_planes)])}
        return serialize("subplanes", nodes, inputs, outputs, {"sub_plane_head": self.sub_plane_head})


def _described(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"id": name, "label": name.replace("_", " ").capitalize()} for name in names]


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), np.float32)


def serialize(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    constants: dict[str, Any],
) -> bytes:
    """Return a checked ONNX model in serialized form."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(each, *kind) for each, kind in inputs.items()],
        [helper.make_tensor_value_info(each, *kind) for each, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), each) for each, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `model.json`, with the sha256 of every other file of the folder."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    files.pop("model.json", None)
    (folder / "model.json").write_text(json.dumps(manifest | {"files": files}))
