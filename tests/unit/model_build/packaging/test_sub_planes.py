"""The head for sub-planes: from brain frames to a package whose service tells them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch

from model_build.cli import main
from model_build.data.datasets import IGNORE_INDEX
from model_build.data.records import SUB_PLANES, DataError, Record, read_records
from model_build.data.splits import Split, split_stretched
from model_build.evaluation.sub_plane_metrics import of_all, of_each
from model_build.models.multi_task import blank_network, mean_loss
from model_build.models.sub_plane_head import MAPS, ServedSubPlanes, SubPlaneNet
from model_build.packaging.onnx_export import export_graph
from model_build.recipe import Network
from model_build.run_dir import read_network
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.tiny_dataset import phantom, write_table

CHANNELS = (5, 7)
RECIPE = """
validation_folds = 4
[network]
backbone = 'lite0'
attention = 'se'
mlp_layers = 3
dropout = 0.2
[preprocessing]
size = 64
crop = 'sector'
[training]
epochs = 3
batch_size = 8
backbone_lr = 1e-3
head_lr = 3e-3
weight_decay = 0.01
warmup_fraction = 0.1
label_smoothing = 0.0
ema_decay = 0.5
balance = 0.5
frozen_blocks = 2
[augmentation]
geometry = 0.3
intensity = 0.3
texture = 0.3
graphics = 0.0
[sub_planes]
weight = 0.5
stretched = 4
"""


def random_maps(count: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, channels, side, side) for channels, side in zip(CHANNELS, (6, 3), strict=True)]


def test_where_a_structure_lies_does_not_matter() -> None:
    """Attention weighs places by what they hold: maps that are mirrored or turned tell the same."""
    net = SubPlaneNet(CHANNELS, 3).eval()
    forward_features = random_maps(2)
    told = net(*forward_features)
    assert torch.allclose(told, net(*(each.flip(3).transpose(2, 3) for each in forward_features)), atol=1e-5)
    assert not torch.allclose(told, net(*(each.roll(1, 1) for each in forward_features)), atol=1e-3)


def test_the_graph_equals_the_net_for_any_number_of_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    channels = (4, 6, 8)
    served = ServedSubPlanes(SubPlaneNet(channels, 3), 1.7).eval()

    def forward_features(count: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(count, each, side, side) for each, side in zip(channels, (6, 6, 3), strict=True))

    export_graph(served, forward_features(4), list(MAPS), ["probabilities"], tmp_path / "head.onnx")
    session = ort.InferenceSession(tmp_path / "head.onnx")
    for count in (1, 5):
        given = forward_features(count)
        (found,) = session.run(None, {name: each.numpy() for name, each in zip(MAPS, given, strict=True)})
        np.testing.assert_allclose(found, served(*given).detach().numpy(), atol=1e-5)


def test_what_is_untold_teaches_nothing() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    numbers = torch.tensor([1, IGNORE_INDEX, 2, IGNORE_INDEX])
    loss = mean_loss(logits, numbers, 0.1)
    told = torch.nn.functional.cross_entropy(logits[[0, 2]], numbers[[0, 2]], label_smoothing=0.1)
    assert torch.allclose(loss, told)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[[1, 3]].abs().max() == 0
    assert mean_loss(logits, torch.full((4,), IGNORE_INDEX), 0.1).item() == 0  # and not "not a number"


@pytest.mark.parametrize("backbone", ["lite0", "lite2"])
def test_the_planes_are_told_alike_with_the_head_and_without(backbone: str) -> None:
    network = blank_network(Network(backbone=backbone, attention="se", mlp_layers=2, dropout=0), 6, sub_planes=True)
    frames = torch.rand(2, 1, 64, 64) * 255
    with torch.inference_mode():
        planes, sub_planes = network.eval()(frames)
        assert torch.equal(planes, network.classifier(frames))
    assert sub_planes is not None
    assert sub_planes.shape == (2, 3)


def test_stretched_frames_go_where_their_patients_are() -> None:
    def record(patient: str, split: str, sub_plane: int | None = 0) -> Record:
        return Record(Path(patient), patient, 1, "Aloka", "test" if split == "test" else "train", sub_plane)

    split = Split([record("a", "train")], [record("b", "train")], [record("c", "test")])
    more = [record(patient, "train") for patient in "abcx"] + [record("y", "test"), record("a", "train", None)]
    sides = split_stretched(more, split)
    assert [[each.patient for each in side] for side in sides] == [["a", "x"], ["b"], ["c", "y"]]


def test_figures_of_merit() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 0]]
    patients = list("aabbcc")
    rows = of_each(probabilities, labels, patients)
    assert [row["right"] for row in rows] == [1, 2, 1]
    assert [row["f1"] for row in rows] == pytest.approx([0.5, 0.8, 2 / 3])
    whole = of_all(probabilities, labels, patients)
    assert whole["macro_f1"] == pytest.approx(np.mean([0.5, 0.8, 2 / 3]))
    assert whole["accuracy"] == pytest.approx(4 / 6)


def draw(folder: Path, patients: int, sub_planes: tuple[str, ...], planes: tuple[str, ...]) -> Path:
    """Phantoms of every plane; the brain's have a bar that is as thick as their sub-plane's number."""
    (folder / "Images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for number, plane in enumerate(planes):
            for take, name in enumerate(sub_planes if plane == "Fetal brain" else ("Not A Brain",)):
                frame = phantom(1 if plane == "Fetal brain" else (0, 1, 2, 3, 4, 5)[number], patient * 6 + take)
                cv2.rectangle(frame, (70, 40), (90, 44 + 12 * take), 255, -1)
                file = f"p{folder.name}{patient}_{number}_{take}"
                cv2.imwrite(str(folder / "Images" / f"{file}.png"), frame)
                side = "0 " if patient % 3 == 2 else "1 "
                rows.append([file, str(patient), plane, name, "Op. 1", "Aloka", side])
    write_table(folder, rows)
    return folder


NAMES = tuple(plane.label for plane in SUB_PLANES)
SIX = ("Fetal abdomen", "Fetal brain", "Fetal femur", "Fetal thorax", "Maternal cervix", "Other")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its package, made by the commands."""
    place = tmp_path_factory.mktemp("subplanes")
    (place / "tiny.toml").write_text(RECIPE)
    data = draw(place / "data", 12, (*NAMES, "Other"), SIX)
    stretched = draw(place / "stretched", 9, NAMES, ("Fetal brain",))
    sets = ["--data", str(data), "--stretched", str(stretched)]
    run, package = place / "run", place / "package"
    recipe = ["--recipe", str(place / "tiny.toml"), "--device", "cpu"]
    assert main(["train", str(run), *sets, *recipe]) == 0
    assert main(["package", str(run), str(package), *sets, "--version", "9.9"]) == 0
    return run, package


def test_the_test_patients_alone_are_scored(made: tuple[Path, Path]) -> None:
    figures = json.loads((made[0] / "subplanes" / "figures.json").read_text())
    assert figures["test"]["frames"] == 3 * (4 + 3)  # a third of the patients; brain planes of no name do not count
    assert figures["held"]["patients"] == 2  # a fourth of the other eight
    with (made[0] / "subplanes" / "of_parts.csv").open() as lines:
        parts = {row["part"]: int(row["frames"]) for row in csv.DictReader(lines)}
    assert (parts["own shape"], parts["stretched"]) == (12, 9)


def test_the_head_learns(made: tuple[Path, Path]) -> None:
    """Its loss moves it, and the average keeps it: what a run keeps is not what it began with."""
    torch.manual_seed(0)
    network = read_network(made[0])
    assert network.sub_planes is not None
    glance = network.sub_planes.get_submodule("glances.0.standard")
    assert glance.get_buffer("running_mean").abs().max() > 0
    assert network.sub_planes.last.bias.abs().max() > 0


def test_a_package_tells_sub_planes_and_the_planes_to_the_last_bit_as_without(made: tuple[Path, Path]) -> None:
    package = load_package(made[1])
    assert package.manifest.sub_planes is not None
    assert package.manifest.sub_planes.sub_planes == SUB_PLANES
    assert "## Brain sub-planes" in (made[1] / "MODEL_CARD.md").read_text()
    plain = replace(package, manifest=package.manifest.model_copy(update={"sub_planes": None}), sub_planes=None)
    engine, without = Engine(package), Engine(plain)
    for seed in range(6):
        view = crop_and_letterbox(phantom(1, seed), package.manifest.preprocessing)[0]
        told = [each.score(view, with_features=True) for each in (engine, without)]
        assert told[0].probabilities.tobytes() == told[1].probabilities.tobytes()
        assert told[0].ood_score == told[1].ood_score
        assert told[0].features is not None
        assert told[1].features is not None
        assert told[0].features.tobytes() == told[1].features.tobytes()


def test_an_unknown_brain_plane_is_told(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", 3, ("Trans-atlantic",), ("Fetal brain",))
    with pytest.raises(DataError, match="Trans-atlantic"):
        read_records(data)
