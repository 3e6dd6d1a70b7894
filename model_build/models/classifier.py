"""The plane classifier: backbone, attention, mean pooling, MLP."""

from pathlib import Path

from pydantic import BaseModel, Field
from torch import Tensor, nn

from model_build.models.attention import ATTENTIONS
from model_build.models.efficientnet import BACKBONES, Backbone
from model_build.models.pretrained import pretrained_backbone

_HIDDEN_WIDTHS = {1: (), 2: (256,), 3: (256, 64)}  # by number of linear layers


class Network(BaseModel, frozen=True, extra="forbid"):
    """The network's architecture; unknown names are refused where the network is created."""

    backbone: str = Field(description="A key of `BACKBONES` in `models.efficientnet`.")
    attention: str = Field(description="A key of `ATTENTIONS` in `models.attention`.")
    mlp_layers: int = Field(ge=1, le=3, description="Linear layers after pooling; the paper has 3.")
    dropout: float = Field(ge=0, lt=1, description="Before the first linear layer; half of it before the others.")


class Head(nn.Module):
    """Attention, mean pooling and MLP: a module of its own, as Grad-CAM needs the gradient of this part only."""

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
    network: Network, num_classes: int, *, pretrained: bool = False, weights: Path | None = None
) -> PlaneClassifier:
    """Create a classifier with a freshly initialized head, and a backbone with ImageNet weights or random ones.

    Raises what `check_architecture` and, for `weights` too, `pretrained_backbone` raise.
    """
    check_architecture(network)
    name = network.backbone
    backbone = pretrained_backbone(name, weights) if pretrained else Backbone(BACKBONES[name])
    return PlaneClassifier(backbone, Head(num_classes, network.attention, network.mlp_layers, network.dropout))


def check_architecture(network: Network) -> None:
    """Raise ValueError where the backbone or the attention is unknown; the message lists the known ones."""
    if network.backbone not in BACKBONES:
        raise ValueError(f"backbone: {network.backbone!r} is none of {', '.join(BACKBONES)}")
    if network.attention not in ATTENTIONS:
        raise ValueError(f"attention: {network.attention!r} is none of {', '.join(ATTENTIONS)}")


def _mlp(inputs: int, outputs: int, layers: int, dropout: float) -> nn.Sequential:
    modules: list[nn.Module] = [nn.Dropout(dropout)]
    for width in _HIDDEN_WIDTHS[layers]:
        modules += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout / 2)]
        inputs = width
    return nn.Sequential(*modules, nn.Linear(inputs, outputs))
