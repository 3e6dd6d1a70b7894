"""A run directory made of a model package."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from model_build.cli import main
from model_build.data.datasets import eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.evaluation.sub_planes import predict_sub_planes
from model_build.models.inference import predict
from model_build.packaging.ood.fitted import read_fitted
from model_build.run_dir import SPLITS, read_network, read_recipe
from service.inference.package import load_package
from tests.support.tiny_run import BuiltModel


def import_weights(built: BuiltModel, package: Path, run: Path) -> int:
    sets = ["--data", str(built.data), "--stretched", str(built.stretched)]
    return main(["import-weights", str(package), str(run), *sets, "--recipe", str(built.run.parent / "tiny.toml")])


def test_the_network_and_the_split_are_those_of_the_run(built: BuiltModel, tmp_path: Path) -> None:
    assert import_weights(built, built.package, tmp_path / "run") == 0
    assert (tmp_path / "run" / SPLITS).read_text() == (built.run / SPLITS).read_text()
    networks = [read_network(run) for run in (built.run, tmp_path / "run")]
    inputs = eval_inputs(load_frames(read_data(built.data).records[:9]), read_recipe(built.run).preprocessing)
    expected, found = (predict(network.classifier, inputs) for network in networks)
    assert torch.allclose(found, expected, atol=1e-3)
    expected, found = (torch.from_numpy(predict_sub_planes(network, inputs)) for network in networks)
    assert torch.allclose(found, expected, atol=1e-3)


def test_a_package_made_again_answers_as_before(built: BuiltModel, tmp_path: Path) -> None:
    """The constants are those of the package, not of another fit; `--refit` fits them, to the same as any run's."""
    package = shutil.copytree(built.package, tmp_path / "package")
    manifest = json.loads((package / "model.json").read_text())
    manifest["abstention"] = {"min_probability": 0.123, "max_ood_score": [1.5] * 6, "max_distance": 9.0}
    manifest["temperature"] = 2.5
    (package / "model.json").write_text(json.dumps(manifest))
    run = tmp_path / "run"
    assert import_weights(built, package, run) == 0
    fitted = read_fitted(run)
    assert fitted is not None
    assert (fitted.temperature, fitted.thresholds.model_dump()) == (
        2.5,
        manifest["abstention"] | {"max_ood_score": (1.5,) * 6},
    )
    expected = {
        each.name: numpy_helper.to_array(each) for each in onnx.load(package / "classifier.onnx").graph.initializer
    }
    for name, value in {
        **_named(fitted.terms.ood_score, "ood_score"),
        **_named(fitted.terms.distance, "distance"),
    }.items():
        assert np.array_equal(value, expected[name]), name
    sets = ["--data", str(built.data), "--stretched", str(built.stretched), "--name", "mine", "--version", "9.9"]
    assert main(["package", str(run), str(tmp_path / "again"), *sets, "--force"]) == 0
    again = load_package(tmp_path / "again").manifest
    assert (again.temperature, again.abstention) == (2.5, fitted.thresholds)
    assert again.prediction_sets is not None


def _named(module: nn.Module, prefix: str) -> dict[str, NDArray[np.float32]]:
    return {f"{prefix}.{name}": buffer.numpy() for name, buffer in module.named_buffers()}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("preprocessing", {"size": 96, "crop": "sector"}, "preprocessing differs"),
        ("training_data", {"train_frames": 7}, "number of training frames"),
    ],
)
def test_a_package_of_another_recipe_is_refused(
    built: BuiltModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    field: str,
    value: dict[str, object],
    message: str,
) -> None:
    package = shutil.copytree(built.package, tmp_path / "package")
    manifest = json.loads((package / "model.json").read_text())
    manifest[field] |= value
    (package / "model.json").write_text(json.dumps(manifest))
    assert import_weights(built, package, tmp_path / "run") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
