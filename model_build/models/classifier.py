"""The network: backbone, attention, pooling, perceptron."""

from pathlib import Path

from torch import Tensor, nn

from model_build.models.attention import ATTENTIONS
from model_build.models.efficientnet import BACKBONES, Backbone, pretrained_backbone
from model_build.recipe import Network

_WIDTHS = {1: (), 2: (256,), 3: (256, 64)}  # hidden layers of the perceptron, by its depth


class Head(nn.Module):
    """All that comes after the backbone: attention, mean pooling and the perceptron.

    It stands apart because Grad-CAM needs no more than its gradient.
    """

    def __init__(self, planes: int, attention: str, depth: int, dropout: float) -> None:
        super().__init__()
        self.attention = ATTENTIONS[attention](Backbone.channels)
        self.perceptron = _perceptron(Backbone.channels, planes, depth, dropout)

    def embed(self, features: Tensor) -> Tensor:
        """The attended, pooled features: [N, C, h, w] to [N, C]."""
        embedding: Tensor = self.attention(features).mean((2, 3))
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, C, h, w] to logits [N, K]."""
        logits: Tensor = self.perceptron(self.embed(features))
        return logits


class PlaneClassifier(nn.Module):
    """Gray levels float32 [N, 1, S, S] in 0..255 to logits float32 [N, K]."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, frames: Tensor) -> Tensor:
        """Gray levels [N, 1, S, S] to logits [N, K]."""
        logits: Tensor = self.head(self.backbone(frames))
        return logits


def pretrained_classifier(network: Network, planes: int, weights: Path | None = None) -> PlaneClassifier:
    """A classifier of `planes` classes, with ImageNet weights below a fresh head."""
    return PlaneClassifier(pretrained_backbone(network.backbone, weights), _head(network, planes))


def blank_classifier(network: Network, planes: int) -> PlaneClassifier:
    """The same without weights, to load a checkpoint into."""
    return PlaneClassifier(Backbone(BACKBONES[network.backbone]), _head(network, planes))


def _head(network: Network, planes: int) -> Head:
    return Head(planes, network.attention, network.mlp_layers, network.dropout)


def _perceptron(inputs: int, outputs: int, depth: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Dropout(dropout)]
    for width in _WIDTHS[depth]:
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout / 2)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
