"""Limits of the OOD terms, and scores of what a fit left out, on made-up outputs of a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_build.packaging.ood.fit import (
    OOD_SHARE,
    far_limit,
    fit_distance,
    fit_ood_score,
    score,
    score_left_out,
    score_limits,
)
from model_build.packaging.ood.negative_inputs import OTHER_ORGANS, Negatives
from model_build.packaging.ood.outputs import LabeledOutputs, OodData, Outputs

STRICT = np.array([False, False, True])


def outputs(planes: NDArray[np.int64], shift: int, seed: int) -> Outputs:
    """Return outputs that name `planes`; `shift` is the feature in which they differ from frames."""
    random = np.random.default_rng(seed)
    pooled = random.normal(0, 1, (len(planes), 30)) + 4 * np.eye(30)[shift] * (shift > 0)
    logits = 5 * np.eye(3)[planes] + random.normal(0, 1, (len(planes), 3))
    descriptors = random.normal(0, 1, (len(planes), 20)) + np.eye(3, 20)[planes]
    return Outputs(*(torch.from_numpy(each).float() for each in (logits, pooled, descriptors)))


def labeled(count: int, seed: int) -> LabeledOutputs:
    planes = np.arange(count) % 3
    return LabeledOutputs(outputs(planes, 0, seed), planes, np.array(["A", "B"])[np.arange(count) // 3 % 2])


@pytest.fixture(scope="module")
def data() -> OodData:
    """Two sets of other organs, off in feature 1 and 2, and warped frames, off in feature 3, named as plane 2."""
    inputs = torch.zeros(0, dtype=torch.uint8)
    organs = Negatives(OTHER_ORGANS, inputs, np.repeat(["liver", "lung", "liver", "lung"], 50), served=100)
    warped = Negatives("warped", inputs, np.full(100, ""), keeps_probe=True)
    both = [outputs(np.zeros(50, np.int64), shift, 10 + row) for row, shift in enumerate((1, 2, 1, 2))]
    parts = (torch.cat([getattr(each, name) for each in both]) for name in ("logits", "pooled", "descriptors"))
    negatives = [(organs, Outputs(*parts)), (warped, outputs(np.full(100, 2), 3, 20))]
    return OodData(labeled(600, 0), labeled(300, 1), negatives)


def test_a_set_is_scored_by_a_head_that_has_not_seen_it(data: OodData) -> None:
    left_out = {each.name: each for each in score_left_out(data)}
    assert {name: len(each.scores) for name, each in left_out.items()} == {"liver": 50, "lung": 50, "warped": 100}
    whole = fit_ood_score(data)
    for name, feature in (("liver", 1), ("lung", 2), ("warped", 3)):
        assert whole.weights[feature] > 0.3
        assert abs(left_out[name].ood_score.weights[feature]) < 0.15
        assert left_out[name].scores.mean() < score(whole, left_out[name].outputs).mean() - 0.5


def test_a_fixed_share_of_the_right_validation_inputs_exceeds_the_general_limit(data: OodData) -> None:
    ood_score = fit_ood_score(data)
    limits = score_limits(ood_score, data.val, score_left_out(data), np.zeros(3, np.bool_))
    assert len(set(limits)) == 1
    assert (score(ood_score, data.val.outputs)[data.val.right] > limits[0]).mean() == pytest.approx(
        OOD_SHARE, abs=0.005
    )


def test_a_strict_plane_has_a_lower_limit_that_accepts_most_of_its_own_inputs(data: OodData) -> None:
    ood_score, left_out = fit_ood_score(data), score_left_out(data)
    *general, strict = score_limits(ood_score, data.val, left_out, STRICT)
    assert strict < general[0] == general[1]
    own = score(ood_score, data.val.outputs)[data.val.right & (data.val.planes == 2)]
    assert OOD_SHARE < (own > strict).mean() <= 0.25 + 1e-6


def test_a_strict_plane_without_negatives_or_right_inputs_has_the_general_limit(data: OodData) -> None:
    ood_score = fit_ood_score(data)
    organs = [each for each in score_left_out(data) if each.name != "warped"]  # all named as plane 0
    wrong = replace(data.val, planes=np.where(data.val.planes == 2, 0, data.val.planes))
    for val, left_out in ((data.val, organs), (data.val, []), (wrong, score_left_out(data))):
        limits = score_limits(ood_score, val, left_out, STRICT)
        assert limits[2] <= limits[0]
    assert score_limits(ood_score, wrong, score_left_out(data), STRICT)[2] == limits[0]


def test_the_far_limit_accepts_a_scanner_that_the_distance_was_not_fitted_to(data: OodData) -> None:
    moved = data.train.outputs.descriptors.clone()
    moved[torch.from_numpy(data.train.scanners == "B")] += 2 * torch.eye(20)[7]
    train = replace(data.train, outputs=replace(data.train.outputs, descriptors=moved))
    limit = far_limit(replace(data, train=train))
    for name in ("A", "B"):
        own = train.scanners == name
        distances = fit_distance(train, ~own).of(train.outputs.select(own).descriptors)
        assert float((distances > limit).float().mean()) <= 0.031
    assert limit > far_limit(data)


def test_one_scanner_sets_the_far_limit_by_validation_inputs(data: OodData) -> None:
    train = replace(data.train, scanners=np.full(600, "A"))
    limit = far_limit(replace(data, train=train))
    distances = fit_distance(train).of(data.val.outputs.descriptors)
    assert float((distances > limit).float().mean()) == pytest.approx(0.03, abs=0.005)
