"""The exported graphs equal PyTorch and Captum; an export that does not is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from captum.attr import LayerGradCam
from onnx import TensorProto, helper, numpy_helper

from model_build.data.datasets import eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import Head, Network, PlaneClassifier, create_classifier
from model_build.models.distance import Distance
from model_build.models.multi_task import MultiTaskNetwork
from model_build.models.ood_score import OodScore
from model_build.packaging.grad_cam import traced_explainer
from model_build.packaging.onnx_export import ServedClassifier, export_classifier
from model_build.packaging.ood.outputs import TorchInference
from model_build.packaging.parity import ExportError, check_parity
from service.schemas.manifest import Preprocessing

Exported = tuple[ServedClassifier, Path, np.ndarray]


def with_noise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Add noise to every weight, so that no gate is the identity and no gradient is zero by construction."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += torch.randn_like(parameter) * 0.02
    return module.eval()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_traced_explainer_equals_captum(attention: str) -> None:
    head = Head(6, attention, 3, 0.3)
    with_noise(head)
    explainer = traced_explainer(head, torch.rand(2, 1280, 4, 4), torch.eye(6)[[0, 1]])

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = torch.nn.Identity(), head

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.layer(features))
            return logits

    whole = Whole()
    for count in (1, 3):
        features = torch.relu(torch.randn(count, 1280, 4, 4))
        for plane in range(6):
            target = torch.eye(6)[[plane] * count]
            expected = (
                LayerGradCam(whole, whole.layer)
                .attribute(features, target=plane, relu_attributions=True)[:, 0]
                .detach()
            )
            found = explainer(features, target)
            assert found.shape == (count, 4, 4)
            assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


@pytest.fixture(scope="module")
def exported(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("graphs")
    network = Network(backbone="lite0", attention="cbam", mlp_layers=3, dropout=0.2)
    model = create_classifier(network, 6, pretrained=True)
    with_noise(model.head)
    records = read_data(phantoms).records[:24]
    inputs = eval_inputs(load_frames(records), Preprocessing(size=64, crop="sector"))
    outputs = TorchInference(MultiTaskNetwork(model)).infer(inputs)
    head = OodScore.fit_head(outputs.pooled[:12], [outputs.pooled[12:]])
    distance = Distance.fit(outputs.descriptors, np.array([record.plane for record in records]))
    served = ServedClassifier(model, head.with_energy(outputs.pooled, outputs.logits), distance, 1.7)
    export_classifier(served, 64, 6, folder)
    return served, folder, inputs.numpy()[:6]


def test_exported_graphs_equal_pytorch(exported: Exported) -> None:
    served, folder, inputs = exported
    differences = check_parity(served, folder, inputs, 6)
    assert differences["probability_difference"] < 1e-5
    assert differences["heat_map_relative_difference"] < 1e-3
    (frames,) = onnx.load(folder / "classifier.onnx").graph.input
    assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_parity_fails_where_the_gradient_is_frozen(exported: Exported, tmp_path: Path) -> None:
    """A known fault of exporters: the gradient at the traced input becomes a constant of the graph."""
    served, folder, inputs = exported
    (tmp_path / "classifier.onnx").write_bytes((folder / "classifier.onnx").read_bytes())
    features = torch.rand(1, 1280, 2, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(served.head(features)[0, 0], features)
    weights = gradient.mean((2, 3))[0].numpy()

    nodes = [
        helper.make_node("Mul", ["features", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["sum"], keepdims=0),
        helper.make_node("Relu", ["sum"], ["heatmaps"]),
    ]
    constants = [
        numpy_helper.from_array(weights.reshape(1, -1, 1, 1), "weights"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    declared = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1280, "h", "w"]),
        helper.make_tensor_value_info("target", TensorProto.FLOAT, ["n", 6]),
    ]
    output = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", "h", "w"])
    graph = helper.make_graph(nodes, "frozen", declared, [output], constants)
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "explainer.onnx")
    with pytest.raises(ExportError, match="heat maps differ"):
        check_parity(served, tmp_path, inputs, 6)


def test_parity_fails_for_another_models_graph(exported: Exported) -> None:
    served, folder, inputs = exported
    model = PlaneClassifier(served.backbone, served.head)
    other = ServedClassifier(model, served.ood_score, served.distance, temperature=1.3)
    with pytest.raises(ExportError, match="probabilities differ"):
        check_parity(other, folder, inputs, 6)
