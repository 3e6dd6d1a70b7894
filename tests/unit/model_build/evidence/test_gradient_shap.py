import numpy as np
import torch
from torch import Tensor, nn

from model_build.evidence.gradient_shap import blurred, gradient_shap
from tests.support.tiny_dataset import phantom


def test_the_attribution_is_the_contribution_of_a_pixel_to_the_logit() -> None:
    pixels = phantom(1, 5)[:64, :64]
    weights = torch.zeros(2, 64, 64)
    weights[0, :32], weights[1, 32:] = 1, -1

    class TwoSums(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.einsum("nchw,khw->nk", inputs, weights)

    for plane in range(2):
        found = gradient_shap(TwoSums(), pixels, plane)
        gain = pixels - blurred(pixels).astype(np.float32) / 2  # over the mean of black and the blurred input
        assert np.allclose(found, weights[plane].numpy() * gain, atol=4)  # the noise that is added
        assert not found[weights[plane].numpy() == 0].any()


def test_the_global_random_state_is_restored() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 2))
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    gradient_shap(model, phantom(1, 5)[:64, :64], 0)
    assert np.random.random() == expected
