"""The plane classifier: backbone, attention, mean pooling, MLP."""

from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from model_build.models.attention import ATTENTIONS
from model_build.models.efficientnet import BACKBONES, Backbone
from model_build.models.pretrained import pretrained_backbone

_HIDDEN_WIDTHS = {1: (), 2: (256,), 3: (256, 64)}  # by number of linear layers


class Architecture(Protocol):
    """What decides a classifier's layers; a recipe's `[network]` table has these fields."""

    @property
    def backbone(self) -> str:
        """A key of `BACKBONES`."""

    @property
    def attention(self) -> str:
        """A key of `ATTENTIONS`."""

    @property
    def mlp_layers(self) -> int:
        """Linear layers after pooling, 1 to 3."""

    @property
    def dropout(self) -> float:
        """Dropout before the first linear layer; half of it before the others."""


class Head(nn.Module):
    """Everything after the backbone: attention, mean pooling and MLP.

    It is a module of its own because Grad-CAM needs the gradient of this part only.
    """

    def __init__(self, num_classes: int, attention: str, mlp_layers: int, dropout: float) -> None:
        super().__init__()
        self.attention = ATTENTIONS[attention](Backbone.channels)
        self.mlp = _mlp(Backbone.channels, num_classes, mlp_layers, dropout)

    def embed(self, features: Tensor) -> Tensor:
        """Return attended, pooled features: [N, C, h, w] to [N, C]."""
        embedding: Tensor = self.attention(features).mean((2, 3))
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """Return logits: [N, C, h, w] to [N, K]."""
        logits: Tensor = self.mlp(self.embed(features))
        return logits


class PlaneClassifier(nn.Module):
    """Gray levels float32 [N, 1, S, S] in 0..255 to logits float32 [N, K]."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits: [N, 1, S, S] to [N, K]."""
        logits: Tensor = self.head(self.backbone(frames))
        return logits


def create_classifier(
    network: Architecture, num_classes: int, *, pretrained: bool = False, weights: Path | None = None
) -> PlaneClassifier:
    """Create a classifier with a freshly initialized head.

    Parameters
    ----------
    pretrained
        Load ImageNet weights into the backbone; False initializes it at random.
    weights
        A file of backbone weights, where they are not in an installed wheel; see `pretrained_backbone`.

    Raises
    ------
    ValueError
        The backbone or the attention is unknown; the message lists the known ones.
    WeightsError
        The pretrained weights are missing or are not the published ones.
    """
    check_architecture(network)
    name = network.backbone
    backbone = pretrained_backbone(name, weights) if pretrained else Backbone(BACKBONES[name])
    return PlaneClassifier(backbone, Head(num_classes, network.attention, network.mlp_layers, network.dropout))


def check_architecture(network: Architecture) -> None:
    """Raise ValueError where the backbone or the attention is unknown; the message lists the known ones."""
    for field, name, known in (
        ("backbone", network.backbone, list(BACKBONES)),
        ("attention", network.attention, list(ATTENTIONS)),
    ):
        if name not in known:
            raise ValueError(f"{field}: {name!r} is none of {', '.join(known)}")


def _mlp(inputs: int, outputs: int, layers: int, dropout: float) -> nn.Sequential:
    modules: list[nn.Module] = [nn.Dropout(dropout)]
    for width in _HIDDEN_WIDTHS[layers]:
        modules += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout / 2)]
        inputs = width
    return nn.Sequential(*modules, nn.Linear(inputs, outputs))
