"""What training moves: the classifier and, on maps of the same backbone, the head that tells sub-planes."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from model_build.data.datasets import IGNORE_INDEX
from model_build.data.records import SUB_PLANES
from model_build.models.classifier import PlaneClassifier, blank_classifier, pretrained_classifier
from model_build.models.sub_plane_head import SubPlaneNet
from model_build.recipe import Network


class MultiTaskNetwork(nn.Module):
    """A classifier and, where sub-planes are told, their head; each is served as a graph of its own."""

    def __init__(self, classifier: PlaneClassifier, *, sub_planes: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.sub_planes = SubPlaneNet(classifier.backbone.map_channels, len(SUB_PLANES)) if sub_planes else None

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Gray levels [N, 1, S, S] to the logits of planes [N, K] and, where there is a head, of sub-planes [N, M]."""
        *forward_features, features = self.classifier.backbone.forward_features(frames)
        return self.classifier.head(features), self.sub_planes(
            *forward_features
        ) if self.sub_planes is not None else None


def pretrained_network(
    network: Network, planes: int, weights: Path | None = None, *, sub_planes: bool = False
) -> MultiTaskNetwork:
    """ImageNet weights below fresh heads."""
    return MultiTaskNetwork(pretrained_classifier(network, planes, weights), sub_planes=sub_planes)


def blank_network(network: Network, planes: int, *, sub_planes: bool) -> MultiTaskNetwork:
    """The same without weights, to load a checkpoint into."""
    return MultiTaskNetwork(blank_classifier(network, planes), sub_planes=sub_planes)


def mean_loss(logits: Tensor, numbers: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy over the frames that are told, those whose number is not `UNTOLD`; 0 where there is none."""
    total = functional.cross_entropy(
        logits.float(), numbers, ignore_index=IGNORE_INDEX, label_smoothing=smoothing, reduction="sum"
    )
    return total / (numbers != IGNORE_INDEX).sum().clamp(min=1)
