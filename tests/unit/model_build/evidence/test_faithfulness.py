"""Deletion, insertion and weight randomization, on heat maps and networks whose result is known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_build.evidence.collect import against_center_rows
from model_build.evidence.faithfulness import areas, compare, randomization
from model_build.models.classifier import Network, create_classifier
from tests.support.tiny_dataset import phantom

SIZE = 64


def brightness_of_a_corner(inputs: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
    """A classifier whose probability comes from one corner of the input only."""
    return np.asarray(inputs[:, 0, :16, :16].mean((1, 2)) / 255, np.float32)


def heat_at(rows: slice, columns: slice) -> NDArray[np.float32]:
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[rows, columns] = 1
    return heat


def test_a_heat_map_of_the_true_evidence_beats_one_of_another_place() -> None:
    pixels = np.full((SIZE, SIZE), 255, np.uint8)
    pixels[32:] = 0
    true = areas(pixels, heat_at(slice(0, 16), slice(0, 16)), 0, brightness_of_a_corner)
    false = areas(pixels, heat_at(slice(48, 64), slice(48, 64)), 0, brightness_of_a_corner)
    assert true["deletion"] < false["deletion"] / 3


def test_the_gain_over_the_center_has_an_interval() -> None:
    pixels = np.full((SIZE, SIZE), 255, np.uint8)
    pixels[32:] = 0
    found = compare([pixels], {"true": [heat_at(slice(0, 16), slice(0, 16))]}, [0], brightness_of_a_corner)
    assert list(found) == ["true", "random, as coarse", "center Gaussian"]
    rows = {(row["method"], row["measure"]): row for row in against_center_rows(found)}
    assert float(rows["true", "deletion"]["gain"]) > 0.5
    assert all(float(row["low"]) <= float(row["gain"]) <= float(row["high"]) for row in rows.values())


def test_each_deletion_removes_what_its_name_says() -> None:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[::2] = 200
    heat = heat_at(slice(0, SIZE), slice(0, SIZE))

    def brightness(inputs: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.asarray(inputs[:, 0].mean((1, 2)) / 100, np.float32)

    def texture(inputs: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.asarray(inputs[:, 0].std((1, 2)) / 100, np.float32)

    bright, textured = areas(pixels, heat, 0, brightness), areas(pixels, heat, 0, texture)
    assert bright["deletion"] == pytest.approx(0.5, abs=0.02)
    assert bright["deletion_blurred"] == pytest.approx(1, abs=0.02)
    assert bright["deletion_mean"] == pytest.approx(1.5, abs=0.02)  # half of the pixels are black
    assert max(textured["deletion_blurred"], textured["deletion_mean"]) < 0.8


def test_random_weights_change_the_heat_maps_and_the_model_keeps_its_own() -> None:
    network = Network(backbone="lite0", attention="se", mlp_layers=2, dropout=0)
    model = create_classifier(network, 6, pretrained=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.stack(
        [torch.from_numpy(np.kron(phantom(plane, 1)[:96, :96], np.ones((2, 2), np.uint8))) for plane in range(6)]
    )[:, None]
    correlations = randomization(model, inputs, torch.arange(6))
    assert list(correlations) == ["head", "and last convolution", "and last six blocks", "all"]
    assert all(abs(value) < 0.6 for value in correlations.values())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
