"""The sub-plane head in a package: evaluated on test patients, exported, served next to the classifier."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_build.data.labels import SUB_PLANES
from model_build.models.sub_plane_head import MAPS, ServedSubPlanes, SubPlaneHead
from model_build.packaging.onnx_export import export_graph
from model_build.run_dir import read_network
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.inference.package import load_package
from service.inference.session import open_session
from tests.support.tiny_dataset import phantom
from tests.support.tiny_run import BuiltModel


def test_the_graph_equals_the_head_for_any_number_of_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    channels = (4, 6, 8)
    served = ServedSubPlanes(SubPlaneHead(channels, 3), 1.7).eval()

    def features(count: int) -> dict[str, torch.Tensor]:
        sizes = zip(MAPS, channels, (6, 6, 3), strict=True)
        return {name: torch.randn(count, width, side, side) for name, width, side in sizes}

    export_graph(served, features(4), ["probabilities"], tmp_path / "head.onnx")
    session = open_session((tmp_path / "head.onnx").read_bytes(), "head.onnx")
    for count in (1, 5):
        given = features(count)
        (found,) = session.run(None, {name: each.numpy() for name, each in given.items()})
        np.testing.assert_allclose(found, served(*given.values()).detach().numpy(), atol=1e-5)


def test_only_test_patients_are_scored(built: BuiltModel) -> None:
    folder = built.run / "report" / "sub_planes"
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    frames = {metric["split"]: metric["n"] for metric in metrics}
    # Three labeled frames of each of four test patients, and of the stretched frames of three; likewise in validation.
    assert frames == {"test": 3 * (4 + 3), "val": 3 * (2 + 2)}
    with (folder / "subsets.csv").open() as lines:
        subsets = {row["subset"]: int(row["frames"]) for row in csv.DictReader(lines)}
    assert (subsets["original shape"], subsets["stretched"]) == (12, 9)


def test_training_changes_the_head(built: BuiltModel) -> None:
    network = read_network(built.run)
    assert network.sub_planes is not None
    norm = network.sub_planes.get_submodule("pools.0.norm")
    assert norm.get_buffer("running_mean").abs().max() > 0
    assert network.sub_planes.linear.bias.abs().max() > 0


def test_the_manifest_describes_the_head(built: BuiltModel) -> None:
    sub_planes = load_package(built.package).manifest.sub_planes
    assert sub_planes is not None
    assert sub_planes.sub_planes == SUB_PLANES
    assert {(metric.metric, metric.split, metric.n) for metric in sub_planes.metrics} == {
        ("macro_f1", "test", 21),
        ("top1", "test", 21),
        ("calibration_error", "test", 21),
    }
    assert "## Brain sub-planes" in (built.package / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("seed", range(6))
def test_the_head_does_not_change_a_bit_of_the_other_answers(built: BuiltModel, seed: int) -> None:
    package = load_package(built.package)
    plain = replace(package, manifest=package.manifest.model_copy(update={"sub_planes": None}), sub_planes=None)
    pixels = crop_and_letterbox(phantom(1, seed), package.manifest.preprocessing).pixels
    with_head, without = (Engine(each).score(pixels, with_features=True) for each in (package, plain))
    assert with_head.probabilities.tobytes() == without.probabilities.tobytes()
    assert with_head.ood_score == without.ood_score
    assert with_head.features is not None
    assert without.features is not None
    assert with_head.features.tobytes() == without.features.tobytes()
