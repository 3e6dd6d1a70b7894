"""The sub-plane head."""

import pytest
import torch

from model_build.models.classifier import Network
from model_build.models.multi_task import create_network
from model_build.models.sub_plane_head import SubPlaneHead

CHANNELS = (5, 7)


def random_features(count: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, channels, side, side) for channels, side in zip(CHANNELS, (6, 3), strict=True)]


def test_the_place_of_a_structure_does_not_matter() -> None:
    """Attention weighs positions by content: mirrored or rotated features give the same logits."""
    head = SubPlaneHead(CHANNELS, 3).eval()
    features = random_features(2)
    logits = head(*features)
    assert torch.allclose(logits, head(*(each.flip(3).transpose(2, 3) for each in features)), atol=1e-5)
    assert not torch.allclose(logits, head(*(each.roll(1, 1) for each in features)), atol=1e-3)


@pytest.mark.parametrize("backbone", ["lite0", "lite2"])
def test_the_sub_plane_head_does_not_change_the_planes(backbone: str) -> None:
    network = create_network(Network(backbone=backbone, attention="se", mlp_layers=2, dropout=0), 6, 3)
    frames = torch.rand(2, 1, 64, 64) * 255
    with torch.inference_mode():
        planes, sub_planes = network.eval()(frames)
        assert torch.equal(planes, network.classifier(frames))
    assert sub_planes is not None
    assert sub_planes.shape == (2, 3)
