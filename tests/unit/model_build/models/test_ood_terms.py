"""The two OOD terms of the graph: the distance of the texture, and the score of evidence and outliers."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore

Fitted = tuple[Distance, Tensor]  # with the descriptors that it was fitted to


@pytest.fixture(scope="module")
def space() -> Fitted:
    """A distance fitted to 600 descriptors of three planes that differ in the first three directions."""
    random = np.random.default_rng(0)
    labels = np.arange(600) % 3
    points = torch.from_numpy(
        random.normal(0, 1, (600, 200)) * np.linspace(1, 0.01, 200) + 6 * np.eye(3, 200)[labels]
    ).float()
    return Distance.fit(points, labels), points


class TestDistance:
    def test_it_grows_inside_and_outside_of_the_leading_directions(self, space: Fitted) -> None:
        distance, points = space
        own = distance.of(points)
        within = points + 3 * torch.eye(200)[0]  # along a direction that planes differ in
        outside = points + 3 * torch.eye(200)[199]  # along one that nothing uses
        for changed in (distance.of(within), distance.of(outside)):
            assert float(changed.mean()) > float(own.mean() + 0.4 * own.std())
        assert float(distance.of(points * 10).min()) > float(own.max())

    def test_descriptors_are_mean_and_standard_deviation(self, space: Fitted) -> None:
        distance, _ = space
        features = torch.rand(4, 100, 5, 7)
        described = Distance.describe(features)
        assert torch.allclose(described[:, :100], features.mean((2, 3)))
        assert torch.allclose(described[:, 100:], features.std((2, 3), correction=0), atol=1e-4)
        assert torch.equal(distance(features), distance.of(described))


@pytest.fixture(scope="module")
def groups() -> tuple[Tensor, list[Tensor]]:
    """Pooled features of 400 frames, and of two groups of negatives of unequal size, each off in one direction."""
    torch.manual_seed(0)
    negatives = [torch.randn(count, 20) + 4 * torch.eye(20)[row] for row, count in enumerate((300, 20))]
    return torch.randn(400, 20), negatives


def test_a_small_group_of_negatives_counts_as_much_as_a_large_one(groups: tuple[Tensor, list[Tensor]]) -> None:
    frames, negatives = groups
    head = OodScore.fit_head(frames, negatives)
    logits = torch.zeros(1, 6)
    limit = head(frames, logits).quantile(0.95)
    for group in negatives:
        assert float((head(group, logits) > limit).float().mean()) > 0.8
    assert head.weights[0] == pytest.approx(head.weights[1], rel=0.5)


def test_the_score_is_standardized_and_weighs_head_and_energy_alike(groups: tuple[Tensor, list[Tensor]]) -> None:
    frames, negatives = groups
    logits = 4 * torch.randn(400, 6)
    head = OodScore.fit_head(frames, negatives)
    score = head.with_energy(frames, logits)
    own = score(frames, logits)
    assert float(own.mean()) == pytest.approx(0, abs=1e-4)
    assert float(own.std()) == pytest.approx(1, abs=1e-4)
    by_head = score(frames, torch.zeros(400, 6)).std()
    by_energy = score(torch.zeros(400, 20), logits).std()
    assert float(by_head) == pytest.approx(float(by_energy), rel=1e-3)


def test_less_evidence_and_a_likeness_to_negatives_raise_the_score(groups: tuple[Tensor, list[Tensor]]) -> None:
    frames, negatives = groups
    logits = 4 * torch.randn(400, 6)
    score = OodScore.fit_head(frames, negatives).with_energy(frames, logits)
    assert float(score(frames, logits / 4).mean()) > float(score(frames, logits).mean())
    assert float(score(negatives[0], logits[:300]).mean()) > float(score(frames, logits).mean()) + 1
