import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_build.evidence import faithfulness
from model_build.evidence import gradient_shap as attribution
from model_build.evidence.collect import against_center_rows, write_evidence
from model_build.evidence.doppler import KINDS
from model_build.evidence.faithfulness import areas, compare, randomization
from model_build.evidence.ood_inputs import ood_inputs
from model_build.models.classifier import create_classifier
from model_build.packaging.build import build_package
from model_build.recipe import Network, Recipe
from tests.support.tiny_dataset import phantom
from tests.support.tiny_run import write_untrained_run

SIZE = 64


def brightness_of_a_corner(views: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
    """A classifier whose probability is known to come from one corner of the view and nowhere else."""
    return np.asarray(views[:, 0, :16, :16].mean((1, 2)) / 255, np.float32)


def heat_at(rows: slice, columns: slice) -> NDArray[np.float32]:
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[rows, columns] = 1
    return heat


def test_a_map_of_the_true_evidence_beats_one_of_a_wrong_place() -> None:
    view = np.full((SIZE, SIZE), 255, np.uint8)
    view[32:] = 0
    right = areas(view, heat_at(slice(0, 16), slice(0, 16)), 0, brightness_of_a_corner)
    wrong = areas(view, heat_at(slice(48, 64), slice(48, 64)), 0, brightness_of_a_corner)
    assert right["deletion"] < wrong["deletion"] / 3
    found = compare([view], {"mine": [heat_at(slice(0, 16), slice(0, 16))]}, [0], brightness_of_a_corner)
    assert list(found) == ["mine", "random, as coarse", "center Gaussian"]
    assert found["mine"][0]["deletion"] < found["center Gaussian"][0]["deletion"] / 3
    better = {(row["map"], row["measure"]): row for row in against_center_rows(found)}
    assert float(better["mine", "deletion"]["better_by"]) > 0.5
    assert not [row for row in better.values() if not row["low"] <= row["better_by"] <= row["high"]]  # type: ignore[operator]


def test_each_deletion_takes_away_what_it_says() -> None:
    view = np.zeros((SIZE, SIZE), np.uint8)
    view[::2] = 200
    heat = heat_at(slice(0, SIZE), slice(0, SIZE))

    def light(views: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.asarray(views[:, 0].mean((1, 2)) / 100, np.float32)

    def texture(views: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.asarray(views[:, 0].std((1, 2)) / 100, np.float32)

    lights, textures = areas(view, heat, 0, light), areas(view, heat, 0, texture)
    assert lights["deletion"] == pytest.approx(0.5, abs=0.02)
    assert lights["deletion_blurred"] == pytest.approx(1, abs=0.02)
    assert lights["deletion_mean"] == pytest.approx(1.5, abs=0.02)  # the mean of what is not black is twice that of all
    assert max(textures["deletion_blurred"], textures["deletion_mean"]) < 0.8


def test_maps_change_when_the_head_forgets() -> None:
    model = create_classifier(Network(backbone="lite0", attention="se", mlp_layers=2, dropout=0), 6, pretrained=True)
    views = torch.stack(
        [torch.from_numpy(np.kron(phantom(plane, 1)[:96, :96], np.ones((2, 2), np.uint8))) for plane in range(6)]
    )[:, None]
    correlations = randomization(model, views, torch.arange(6))
    assert list(correlations) == ["head", "and last convolution", "and last six blocks", "all"]
    assert all(abs(value) < 0.6 for value in correlations.values())


def test_unfamiliar_inputs_are_frames_of_every_kind() -> None:
    inputs = ood_inputs(each=2)
    assert {"blank", "noise", "text page", "photograph", "other organ's ultrasound"} <= set(inputs)
    assert all(frames for frames in inputs.values())
    assert all(frame.dtype == np.uint8 and frame.ndim == 2 for frames in inputs.values() for frame in frames)
    again = ood_inputs(each=2)
    assert all(np.array_equal(a, b) for a, b in zip(inputs["noise"], again["noise"], strict=True))


def test_evidence_is_written_of_a_package(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "_SAMPLES", 2)
    monkeypatch.setattr(faithfulness, "_STEPS", 4)
    out = tmp_path / "evidence"
    run = write_untrained_run(tmp_path / "run", tiny_recipe, 0, phantoms)
    build_package(run, phantoms, tmp_path / "package", name="phantom", version="1")
    write_evidence(run, tmp_path / "package", phantoms, out, each=1)
    tables = {path.name: path.read_text().splitlines() for path in out.glob("*.csv")}
    assert tables["out_of_distribution.csv"][1].startswith("validation frames,")
    assert [line.split(",")[0] for line in tables["color.csv"][1:]] == list(KINDS)
    assert [line.split(",")[0] for line in tables["faithfulness.csv"][1:3]] == ["Grad-CAM", "GradientSHAP"]
    assert len(tables["against_center.csv"]) == 1 + 3 * 4
    assert len(tables["randomization.csv"]) == 5
    assert {path.name for path in out.glob("*.jpg")} & {"heat-right.jpg", "heat-wrong.jpg"}
    assert json.loads((run / "report" / "summary.json").read_text())["figures"]
    state = torch.load(run / "model.pt", weights_only=True)
    state["head.mlp.7.bias"][0] += 1
    torch.save(state, run / "model.pt")
    with pytest.raises(ValueError, match="was not made of this run"):
        write_evidence(run, tmp_path / "package", phantoms, out, each=1)
