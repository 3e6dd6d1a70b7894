"""The head for sub-planes: from brain frames to a package whose service tells them."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch

from model_build.classifier import pretrained_classifier
from model_build.cli import main
from model_build.data import DataError
from model_build.export import export_graph
from model_build.recipe import Recipe
from model_build.run_folder import write_model, write_recipe
from model_build.subplanes.fit import Fitting, fit
from model_build.subplanes.frames import SUB_PLANES, Maps, read_brain_frames
from model_build.subplanes.head import EYES, MAPS, ServedSubPlanes, Standard, SubPlaneNet, side_by_side
from model_build.subplanes.score import of_all, of_each
from tests.build.phantoms import phantom, write_table

CHANNELS = (5, 7)


def random_maps(count: int, seed: int = 0) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(count, channels, side, side) for channels, side in zip(CHANNELS, (6, 3), strict=True)]


def test_nets_side_by_side_give_their_mean() -> None:
    torch.manual_seed(1)
    nets = [SubPlaneNet(CHANNELS, 3).eval() for _ in range(4)]
    maps = random_maps(5)
    expected = torch.stack([net(*maps) for net in nets]).mean(0)
    assert torch.allclose(side_by_side(nets)(*maps), expected, atol=1e-5)


def test_folded_standards_change_nothing() -> None:
    maps = [3 * each + 2 for each in random_maps(9)]
    net = Standard(SubPlaneNet(CHANNELS, 3), maps).eval()
    expected = net(*maps)
    assert torch.allclose(net.folded()(*maps), expected, atol=1e-4)


def test_where_a_structure_lies_does_not_matter() -> None:
    """Attention weighs places by what they hold: maps that are mirrored or shuffled tell the same."""
    net = SubPlaneNet(CHANNELS, 3).eval()
    maps = random_maps(2)
    assert torch.allclose(net(*maps), net(*(each.flip(3).transpose(2, 3) for each in maps)), atol=1e-5)
    assert net.last.in_features % EYES == 0


def test_fitting_learns_what_can_be_learnt() -> None:
    labels = np.arange(60) % 3
    maps = random_maps(60)
    for row, label in enumerate(labels):
        maps[1][row, label, row % 3, row % 2] += 6  # a structure somewhere in the map
    patients = [str(row // 2) for row in range(60)]
    fitted = fit(maps, [], labels, np.arange(60), patients, Fitting(folds=3, epochs=20, batch=16))
    assert (fitted.held.argmax(1) == labels).mean() > 0.8  # by nets that had not seen the patient
    assert 0.2 <= fitted.temperature <= 5
    assert (fitted.net(*maps).argmax(1).numpy() == labels).mean() > 0.9


def test_views_are_taken_by_their_rows() -> None:
    arrays = tuple(np.arange(24, dtype=np.float16).reshape(6, 1, 2, 2) for _ in CHANNELS)
    (first, _) = Maps(arrays).of(np.array([4, 1]))
    assert first[:, 0, 0, 0].tolist() == [16, 4]


def test_the_graph_equals_the_net_for_any_number_of_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    channels = (4, 6, 8)
    net = side_by_side([SubPlaneNet(channels, 3) for _ in range(2)])
    served = ServedSubPlanes(net, 1.7).eval()

    def maps(count: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(count, each, side, side) for each, side in zip(channels, (6, 6, 3), strict=True))

    export_graph(served, maps(4), list(MAPS), ["probabilities"], tmp_path / "head.onnx")
    session = ort.InferenceSession(tmp_path / "head.onnx")
    for count in (1, 5):
        given = maps(count)
        (found,) = session.run(None, {name: each.numpy() for name, each in zip(MAPS, given, strict=True)})
        np.testing.assert_allclose(found, served(*given).detach().numpy(), atol=1e-5)


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
def run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Recipe) -> tuple[Path, Path, Path]:
    """A run with a head, made by the command; and its two data sets."""
    place = tmp_path_factory.mktemp("subplanes")
    data = draw(place / "data", 12, (*NAMES, "Other"), SIX)
    extra = draw(place / "extra", 9, NAMES, ("Fetal brain",))
    torch.manual_seed(0)
    write_recipe(place / "run", tiny_recipe)
    write_model(place / "run", pretrained_classifier(tiny_recipe.network, 6).eval())
    assert main(["subplanes", str(place / "run"), "--data", str(data), "--extra", str(extra)]) == 0
    return place / "run", data, extra


def test_the_command_scores_the_test_patients_alone(run: tuple[Path, Path, Path]) -> None:
    head = json.loads((run[0] / "subplanes" / "head.json").read_text())
    assert head["test"]["frames"] == 3 * (4 + 3)  # a third of the patients; brain planes of no name do not count
    assert head["cross_validated"]["frames"] == 3 * (8 + 6)
    with (run[0] / "subplanes" / "of_parts.csv").open() as lines:
        parts = {row["part"]: int(row["frames"]) for row in csv.DictReader(lines)}
    assert (parts["own shape"], parts["stretched"]) == (12, 9)


def test_an_unknown_brain_plane_is_told(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", 3, ("Trans-atlantic",), ("Fetal brain",))
    with pytest.raises(DataError, match="Trans-atlantic"):
        read_brain_frames(data)
