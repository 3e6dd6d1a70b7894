"""What training moves: the classifier and, on maps of the same backbone, the head that tells sub-planes."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from model_build.classifier import PlaneClassifier, blank_classifier, pretrained_classifier
from model_build.data import SUB_PLANES
from model_build.recipe import Network
from model_build.subplanes.head import SubPlaneNet
from model_build.views import UNTOLD


class JointNetwork(nn.Module):
    """A classifier and, where sub-planes are told, their head; each is served as a graph of its own."""

    def __init__(self, classifier: PlaneClassifier, *, sub_planes: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.sub_planes = SubPlaneNet(classifier.backbone.map_channels, len(SUB_PLANES)) if sub_planes else None

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Grey levels [N, 1, S, S] to the logits of planes [N, K] and, where there is a head, of sub-planes [N, M]."""
        *maps, features = self.classifier.backbone.maps(frames)
        return self.classifier.head(features), self.sub_planes(*maps) if self.sub_planes is not None else None


def pretrained_network(
    network: Network, planes: int, weights: Path | None = None, *, sub_planes: bool = False
) -> JointNetwork:
    """ImageNet weights below fresh heads."""
    return JointNetwork(pretrained_classifier(network, planes, weights), sub_planes=sub_planes)


def blank_network(network: Network, planes: int, *, sub_planes: bool) -> JointNetwork:
    """The same without weights, to load a checkpoint into."""
    return JointNetwork(blank_classifier(network, planes), sub_planes=sub_planes)


def mean_loss(logits: Tensor, numbers: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy over the frames that are told, those whose number is not `UNTOLD`; 0 where there is none."""
    total = functional.cross_entropy(
        logits.float(), numbers, ignore_index=UNTOLD, label_smoothing=smoothing, reduction="sum"
    )
    return total / (numbers != UNTOLD).sum().clamp(min=1)
