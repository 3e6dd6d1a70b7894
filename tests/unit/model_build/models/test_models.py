from pathlib import Path

import pytest
import torch

from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import Network, create_classifier
from model_build.models.efficientnet import BACKBONES, Backbone, SameConv
from model_build.models.multi_task import create_network
from model_build.models.pretrained import WeightsError, pretrained_backbone, wheel_weights

PARAMETERS = {  # published counts with three input channels, without the 1,281,000 of the ImageNet classifier
    "lite0": 4_652_008 - 1_281_000,
    "lite1": 5_416_680 - 1_281_000,
    "lite2": 6_092_072 - 1_281_000,
    "b0": 5_288_548 - 1_281_000,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_parameter_count_is_the_published_one(name: str) -> None:
    spec = BACKBONES[name]
    saved = 2 * 32 * 9 if spec.lite else 0
    assert sum(parameter.numel() for parameter in Backbone(spec).parameters()) == PARAMETERS[name] - saved


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_wheel_weights_load_and_give_varied_features(name: str) -> None:
    backbone = pretrained_backbone(name).eval()
    features = backbone(torch.rand(2, 1, 96, 96) * 255)
    assert features.shape == (2, 1280, 3, 3)
    assert float(features.detach().std()) > 0.05


def test_one_gray_channel_equals_three_equal_channels() -> None:
    gray = pretrained_backbone("lite0").eval()
    kernel = torch.load(wheel_weights("lite0"), weights_only=True)["_conv_stem.weight"]
    frames = torch.rand(1, 1, 32, 32) * 255
    colored = torch.nn.functional.conv2d(
        torch.nn.functional.pad((frames.repeat(1, 3, 1, 1) - 127.5) / 127.5, (0, 1, 0, 1)), kernel, stride=2
    )
    assert torch.allclose(gray.get_submodule("_conv_stem")((frames - 127.5) / 127.5), colored, atol=1e-5)


def test_same_padding_adds_the_odd_pixel_right_and_below() -> None:
    conv = SameConv(1, 1, 3, 2)
    torch.nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, 0, 0] = 1  # picks the top left pixel of each window
    picture = torch.arange(16.0).view(1, 1, 4, 4)
    assert conv(picture)[0, 0].tolist() == [[0.0, 2.0], [8.0, 10.0]]
    assert conv(torch.zeros(1, 1, 5, 7)).shape == (1, 1, 3, 4)


def test_other_weights_than_the_published_ones_are_refused(tmp_path: Path) -> None:
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


def test_b0_without_a_weights_file_is_refused() -> None:
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


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_mlp_has_the_requested_number_of_layers(layers: int) -> None:
    network = Network(backbone="lite0", attention="eca", mlp_layers=layers, dropout=0.1)
    model = create_classifier(network, 5, pretrained=True)
    assert sum(isinstance(module, torch.nn.Linear) for module in model.head.mlp) == layers
    assert model.eval()(torch.rand(3, 1, 64, 64)).shape == (3, 5)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"backbone": "b9"}, "backbone: 'b9' is none of lite0, lite1, lite2, b0"),
        ({"attention": "lens"}, "attention: 'lens' is none of none, se, eca, cbam, self"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(update: dict[str, str], message: str) -> None:
    network = Network(backbone="lite0", attention="se", mlp_layers=1, dropout=0).model_copy(update=update)
    with pytest.raises(ValueError, match=message):
        create_classifier(network, 3)


def test_frozen_blocks_stay_in_evaluation_mode() -> None:
    network = create_network(Network(backbone="lite0", attention="none", mlp_layers=1, dropout=0), 3)
    network.freeze(2)
    network.train()
    blocks = network.classifier.backbone.blocks
    assert [block.training for block in blocks[:4]] == [False, False, True, True]
    assert not any(parameter.requires_grad for block in blocks[:2] for parameter in block.parameters())
