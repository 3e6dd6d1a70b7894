from pathlib import Path

import pytest
import torch

from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import pretrained_classifier
from model_build.models.efficientnet import (
    BACKBONES,
    Backbone,
    SameConv,
    WeightsError,
    pretrained_backbone,
    wheel_weights,
)
from model_build.recipe import Network

PARAMETERS = {  # published counts with three input channels, less the ImageNet classifier's 1,281,000
    "lite0": 4_652_008 - 1_281_000,
    "lite1": 5_416_680 - 1_281_000,
    "lite2": 6_092_072 - 1_281_000,
    "b0": 5_288_548 - 1_281_000,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_parameter_count_is_the_published_one(name: str) -> None:
    spec = BACKBONES[name]
    saved = 2 * 32 * 9 if spec.gray_stem else 0
    assert sum(parameter.numel() for parameter in Backbone(spec).parameters()) == PARAMETERS[name] - saved


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_wheel_weights_load_and_react_to_a_picture(name: str) -> None:
    backbone = pretrained_backbone(name).eval()
    features = backbone(torch.rand(2, 1, 96, 96) * 255)
    assert features.shape == (2, 1280, 3, 3)
    assert float(features.detach().std()) > 0.05


def test_one_gray_channel_equals_three_alike() -> None:
    gray = pretrained_backbone("lite0").eval()
    kernel = torch.load(wheel_weights("lite0"), weights_only=True)["_conv_stem.weight"]
    frames = torch.rand(1, 1, 32, 32) * 255
    colored = torch.nn.functional.conv2d(
        torch.nn.functional.pad((frames.repeat(1, 3, 1, 1) - 127.5) / 127.5, (0, 1, 0, 1)), kernel, stride=2
    )
    assert torch.allclose(gray.get_submodule("_conv_stem")((frames - 127.5) / 127.5), colored, atol=1e-5)


def test_same_padding_puts_the_odd_pixel_last() -> None:
    conv = SameConv(1, 1, 3, 2)
    torch.nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, 0, 0] = 1  # picks the top left pixel of each window
    picture = torch.arange(16.0).view(1, 1, 4, 4)
    assert conv(picture)[0, 0].tolist() == [[0.0, 2.0], [8.0, 10.0]]
    assert conv(torch.zeros(1, 1, 5, 7)).shape == (1, 1, 3, 4)


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match="sha256"):
        pretrained_backbone("lite0", tmp_path / "wrong.pth")


def test_b0_loads_strictly_from_a_file(tmp_path: Path) -> None:
    state = Backbone(BACKBONES["b0"]).state_dict() | {"_fc.weight": torch.zeros(1000, 1280)}
    torch.save(state, tmp_path / "b0.pth")
    assert pretrained_backbone("b0", tmp_path / "b0.pth").eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 1280, 2, 2)
    torch.save({key: value for key, value in state.items() if "_se_reduce" not in key}, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match="_se_reduce"):
        pretrained_backbone("b0", tmp_path / "less.pth")


def test_b0_without_a_file_is_explained() -> None:
    with pytest.raises(WeightsError, match="give a weights file"):
        pretrained_backbone("b0")


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_starts_as_the_identity_and_learns(name: str) -> None:
    torch.manual_seed(0)
    attention = ATTENTIONS[name](64)
    features = torch.rand(2, 64, 5, 4)
    assert torch.allclose(attention(features), features, atol=1e-6)
    if name == "none":
        return
    (attention(features) ** 2).sum().backward()
    gradients = [parameter.grad for parameter in attention.parameters() if parameter.grad is not None]
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_perceptron_has_the_depth_that_is_asked_for(depth: int) -> None:
    network = Network(backbone="lite0", attention="eca", mlp_layers=depth, dropout=0.1)
    model = pretrained_classifier(network, 5)
    assert sum(isinstance(layer, torch.nn.Linear) for layer in model.head.perceptron) == depth
    assert model.eval()(torch.rand(3, 1, 64, 64)).shape == (3, 5)
