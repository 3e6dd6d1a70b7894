"""The quantized graph of an exported classifier."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from model_build.models.classifier import Network, create_classifier
from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore
from model_build.packaging.int8.graph import FLOAT_CONVOLUTIONS, quantize_classifier, set_temperature
from model_build.packaging.int8.inference import GraphInference
from model_build.packaging.onnx_export import OUTPUTS, ServedClassifier, export_classifier
from service.inference.self_contained import check_self_contained
from service.inference.session import open_session
from tests.support.paths import ROOT

SIZE, PLANES = 64, 6


def outputs_of(path: Path, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    session = open_session(path.read_bytes(), path.name)
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"frames": frames}), strict=True))


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """Smooth random frames: the activations of noise are not those of pictures."""
    coarse = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), np.uint8)
    return coarse.repeat(SIZE // 8, 2).repeat(SIZE // 8, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, frames: NDArray[np.uint8]) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("graphs")
    network = Network(backbone="lite0", attention="cbam", mlp_layers=3, dropout=0.2)
    model = create_classifier(network, PLANES, pretrained=True).eval()
    with torch.no_grad():
        _, stage5, _, features = model.backbone.forward_features(torch.from_numpy(frames).float())
        pooled, descriptors = features.mean((2, 3)), Distance.describe(stage5)
    head = OodScore.fit_head(pooled[:12], [pooled[12:]])
    distance = Distance.fit(descriptors, np.arange(24) % PLANES)
    export_classifier(ServedClassifier(model, head, distance, 1.7), SIZE, PLANES, path)
    quantize_classifier(path / "classifier.onnx", frames, path / "int8.onnx")
    return path


def test_inputs_and_outputs_are_those_of_float32(folder: Path, frames: NDArray[np.uint8]) -> None:
    expected, found = (outputs_of(folder / name, frames) for name in ("classifier.onnx", "int8.onnx"))
    for name in OUTPUTS:
        assert found[name].shape == expected[name].shape
        assert found[name].dtype == np.float32
        assert not np.array_equal(found[name], expected[name])
    assert np.corrcoef(found["features"].ravel(), expected["features"].ravel())[0, 1] > 0.98
    assert abs(found["probabilities"].sum(1) - 1).max() < 1e-5


def test_the_first_convolutions_and_the_heads_stay_in_float(folder: Path) -> None:
    graph = onnx.load(folder / "int8.onnx").graph
    owner = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantized = [owner.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    backbone = [any("backbone" in name for name in node.input) for node in convolutions]
    assert not any(quantized[:FLOAT_CONVOLUTIONS])
    assert quantized[FLOAT_CONVOLUTIONS:] == backbone[FLOAT_CONVOLUTIONS:]
    assert backbone.count(True) > 40


def test_weights_have_a_scale_for_each_channel(folder: Path) -> None:
    graph = onnx.load(folder / "int8.onnx").graph
    constants = {each.name: each for each in graph.initializer}
    weights = [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 4]
    assert len(weights) > 40
    for each in weights:
        assert list(constants[each.name.replace("_quantized", "_scale")].dims) == [each.dims[0]]
        assert abs(numpy_helper.to_array(each).astype(int)).max() == 127


def test_the_graph_is_self_contained_and_holds_no_local_path(folder: Path) -> None:
    contents = (folder / "int8.onnx").read_bytes()
    check_self_contained(contents)
    for trace in (str(ROOT).encode(), str(folder).encode(), b"site-packages"):
        assert trace not in contents


def test_the_temperature_changes_the_probabilities_alone(folder: Path, frames: NDArray[np.uint8]) -> None:
    path = folder / "warmer.onnx"
    path.write_bytes((folder / "int8.onnx").read_bytes())
    set_temperature(path, 3.4)
    before, after = outputs_of(folder / "int8.onnx", frames), outputs_of(path, frames)
    for name in OUTPUTS[1:]:
        assert np.array_equal(before[name], after[name])
    expected = torch.softmax(torch.from_numpy(before["logits"]) / 3.4, 1).numpy()
    assert np.allclose(after["probabilities"], expected, atol=1e-5)


def test_batches_give_what_single_frames_give(folder: Path, frames: NDArray[np.uint8]) -> None:
    found = GraphInference((folder / "int8.onnx").read_bytes(), None).infer(torch.from_numpy(frames))
    alone = outputs_of(folder / "int8.onnx", frames[:1])
    assert np.allclose(found.logits[:1].numpy(), alone["logits"], atol=1e-4)
    assert np.allclose(found.pooled[:1].numpy(), alone["features"].mean((2, 3)), atol=1e-4)
