import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from captum.attr import LayerGradCam
from onnx import TensorProto, helper, numpy_helper

from model_build.cli import main
from model_build.data.datasets import eval_inputs
from model_build.data.records import load_frames, read_records
from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import Head, PlaneClassifier, pretrained_classifier
from model_build.models.ood_score import OodScore
from model_build.packaging.build import infer
from model_build.packaging.grad_cam import traced_explainer
from model_build.packaging.onnx_export import ExportError, Served, check_parity, export_graphs
from model_build.recipe import Network
from service.inference.engine import Engine
from service.inference.package import load_package
from service.schemas.manifest import Preprocessing


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Move every weight a little, so that no gate is the identity and no gradient is zero by construction."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += torch.randn_like(parameter) * 0.02
    return module.eval()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_traced_explainer_equals_captum(attention: str) -> None:
    head = Head(6, attention, 3, 0.3)
    shaken(head)
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
def exported(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("graphs")
    network = Network(backbone="lite0", attention="cbam", mlp_layers=3, dropout=0.2)
    model = pretrained_classifier(network, 6)
    shaken(model.head)
    records = read_records(phantoms)[:24]
    views = eval_inputs(load_frames(records), Preprocessing(size=64, crop="sector"))
    logits, descriptors = infer(model, views)
    ood_score = OodScore.fit(descriptors, logits, np.array([record.plane for record in records]))
    served = Served(model, ood_score, 1.7)
    export_graphs(served, 64, 6, folder)
    return served, folder, views.numpy()[:6]


def test_exported_graphs_equal_pytorch(exported: tuple[Served, Path, np.ndarray]) -> None:
    served, folder, views = exported
    differences = check_parity(served, folder, views, 6)
    assert differences["probability_difference"] < 1e-5
    assert differences["heat_map_relative_difference"] < 1e-3
    inputs = onnx.load(folder / "classifier.onnx").graph.input
    assert inputs[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_parity_fails_where_the_gradient_is_frozen(exported: tuple[Served, Path, np.ndarray], tmp_path: Path) -> None:
    """The fault that exporters have been known for: the gradient at the traced input becomes a constant."""
    served, folder, views = exported
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
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1280, "h", "w"]),
        helper.make_tensor_value_info("target", TensorProto.FLOAT, ["n", 6]),
    ]
    output = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", "h", "w"])
    graph = helper.make_graph(nodes, "frozen", inputs, [output], constants)
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "explainer.onnx")
    with pytest.raises(ExportError, match="heat maps differ"):
        check_parity(served, tmp_path, views, 6)


def test_parity_fails_for_another_models_graph(exported: tuple[Served, Path, np.ndarray]) -> None:
    served, folder, views = exported
    other = Served(PlaneClassifier(served.backbone, served.head), served.ood_score, temperature=1.3)
    with pytest.raises(ExportError, match="probabilities differ"):
        check_parity(other, folder, views, 6)


def test_from_frames_to_a_package_that_the_service_opens(phantoms: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        "validation_folds = 4\n[network]\nbackbone = 'lite0'\nattention = 'se'\nmlp_layers = 3\ndropout = 0.2\n"
        "[preprocessing]\nsize = 64\ncrop = 'sector'\n"
        "[training]\nepochs = 1\nbatch_size = 8\nbackbone_lr = 1e-3\nhead_lr = 3e-3\nweight_decay = 0.01\n"
        "warmup_fraction = 0.1\n"
        "label_smoothing = 0.0\nema_decay = 0.5\nbalance = 0.5\nfrozen_blocks = 2\n"
        "[augmentation]\ngeometry = 0.3\nintensity = 0.3\ntexture = 0.3\ngraphics = 0.3\n"
    )
    run, package = tmp_path / "run", tmp_path / "package"
    assert main(["train", str(run), "--data", str(phantoms), "--recipe", str(recipe), "--device", "cpu"]) == 0
    assert main(["package", str(run), str(package), "--data", str(phantoms), "--version", "9.9"]) == 0
    engine = Engine(load_package(package))
    engine.warm_up()
    assert engine.manifest.version == "9.9"
    assert engine.manifest.training_data.train_patients == 6
    card = (package / "MODEL_CARD.md").read_text()
    assert "Maternal cervix | 4 (4)" in card
    assert engine.manifest.sub_planes is None  # the recipe wants none
    assert {"planes.csv", "scanners.csv", "confusion.csv", "confusion.png", "reliability.png"} <= {
        path.name for path in (run / "report").iterdir()
    }
    assert (run / "curves.png").stat().st_size > 5000
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert summary["figures"][0]["frames"] == 16
    assert main(["evaluate", str(package), "--data", str(phantoms), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "report" / "planes.csv").read_text() == (run / "report" / "planes.csv").read_text()


def test_a_missing_data_set_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "run"), "--data", str(tmp_path)]) == 1
    assert "FETAL_PLANES_DB_data.csv" in capsys.readouterr().err
