"""The sub-plane head and its loss."""

import pytest
import torch

from model_build.data.datasets import IGNORE_INDEX
from model_build.models.multi_task import blank_network, mean_loss
from model_build.models.sub_plane_head import SubPlaneNet
from model_build.recipe import Network

CHANNELS = (5, 7)


def random_features(count: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, channels, side, side) for channels, side in zip(CHANNELS, (6, 3), strict=True)]


def test_the_place_of_a_structure_does_not_matter() -> None:
    """Attention weighs positions by content: mirrored or rotated features give the same logits."""
    net = SubPlaneNet(CHANNELS, 3).eval()
    features = random_features(2)
    logits = net(*features)
    assert torch.allclose(logits, net(*(each.flip(3).transpose(2, 3) for each in features)), atol=1e-5)
    assert not torch.allclose(logits, net(*(each.roll(1, 1) for each in features)), atol=1e-3)


def test_ignored_labels_give_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    numbers = torch.tensor([1, IGNORE_INDEX, 2, IGNORE_INDEX])
    loss = mean_loss(logits, numbers, 0.1)
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], numbers[[0, 2]], label_smoothing=0.1)
    assert torch.allclose(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[[1, 3]].abs().max() == 0
    assert mean_loss(logits, torch.full((4,), IGNORE_INDEX), 0.1).item() == 0  # and not NaN


@pytest.mark.parametrize("backbone", ["lite0", "lite2"])
def test_the_sub_plane_head_does_not_change_the_planes(backbone: str) -> None:
    network = blank_network(Network(backbone=backbone, attention="se", mlp_layers=2, dropout=0), 6, sub_planes=True)
    frames = torch.rand(2, 1, 64, 64) * 255
    with torch.inference_mode():
        planes, sub_planes = network.eval()(frames)
        assert torch.equal(planes, network.classifier(frames))
    assert sub_planes is not None
    assert sub_planes.shape == (2, 3)
