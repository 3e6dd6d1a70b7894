"""SonoNet-16 from a file in the published layout, with random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from model_build.models.sononet import SonoNet16
from tests.support.sononet import write_sononet


def test_features_are_those_of_convolutions_with_their_norms(tmp_path: Path) -> None:
    network = SonoNet16.read(write_sononet(tmp_path / "weights.npz"))
    arrays = np.load(tmp_path / "weights.npz")
    frame = (torch.rand(2, 1, 288, 288, generator=torch.Generator().manual_seed(1)) * 255).round()
    x = frame[:, :, 32:256]
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), correction=0, keepdim=True) * 255
    for number in range(13):
        if number in (2, 4, 7, 10):
            x = functional.max_pool2d(x, 2)
        weight, beta, gamma, mean, inverse_std = (torch.from_numpy(arrays[f"arr_{5 * number + k}"]) for k in range(5))
        x = functional.conv2d(x, weight, padding=1) - mean[:, None, None]
        x = torch.relu(x * (gamma * inverse_std)[:, None, None] + beta[:, None, None])
    assert x.shape == (2, 128, 14, 18)
    expected = torch.cat((x.mean((2, 3)), x.flatten(2).std(2), x.amax((2, 3))), 1)
    with torch.inference_mode():
        found = network(frame)
    assert found.shape == (2, SonoNet16.num_features)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_black_frame_has_finite_features(tmp_path: Path) -> None:
    network = SonoNet16.read(write_sononet(tmp_path / "weights.npz"))
    assert network(torch.zeros(1, 1, 64, 64)).isfinite().all()


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", arr_0=np.zeros((8, 1, 3, 3), np.float32))
    with pytest.raises(ValueError, match=r"other\.npz does not hold the weights of SonoNet-16"):
        SonoNet16.read(tmp_path / "other.npz")
