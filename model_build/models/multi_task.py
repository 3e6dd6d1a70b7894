"""The network that training optimizes: the plane classifier and, optionally, a sub-plane head on the same backbone."""

from pathlib import Path
from typing import Self

from torch import Tensor, nn

from model_build.models.classifier import Network, PlaneClassifier, create_classifier
from model_build.models.sub_plane_head import SubPlaneHead


class MultiTaskNetwork(nn.Module):
    """A plane classifier with an optional sub-plane head; each becomes a graph of its own in the model package."""

    def __init__(self, classifier: PlaneClassifier, num_sub_planes: int = 0) -> None:
        super().__init__()
        self.classifier = classifier
        self.sub_planes = SubPlaneHead(classifier.backbone.stage_channels, num_sub_planes) if num_sub_planes else None
        self._frozen: tuple[nn.Module, ...] = ()
        self._fixed: tuple[nn.Module, ...] = ()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return plane logits [N, K] and sub-plane logits [N, M] (None without a head) of frames [N, 1, S, S]."""
        *stages, features = self.classifier.backbone.forward_features(frames)
        plane_logits = self.classifier.head(features)
        return plane_logits, None if self.sub_planes is None else self.sub_planes(*stages)

    def freeze(self, blocks: int) -> None:
        """Fix weights and statistics of the stem and the first `blocks` blocks of the backbone; 0 fixes nothing."""
        backbone = self.classifier.backbone
        if blocks:
            stem = backbone.get_submodule("_conv_stem"), backbone.get_submodule("_bn0")
            self._frozen = (*stem, *backbone.blocks[:blocks])
        for module in self._frozen:
            module.requires_grad_(False)

    def fix_norms(self) -> None:
        """Keep the statistics of the backbone's BatchNorms; their scale and bias still train."""
        self._fixed = tuple(each for each in self.classifier.backbone.modules() if isinstance(each, nn.BatchNorm2d))

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; frozen modules and fixed BatchNorms stay in evaluation mode."""
        super().train(mode)
        for module in (*self._frozen, *self._fixed):
            module.eval()
        return self


def create_network(
    network: Network, num_planes: int, num_sub_planes: int = 0, *, pretrained: bool = False, weights: Path | None = None
) -> MultiTaskNetwork:
    """Create a network with freshly initialized heads, see `create_classifier`; 0 sub-planes for no second head."""
    classifier = create_classifier(network, num_planes, pretrained=pretrained, weights=weights)
    return MultiTaskNetwork(classifier, num_sub_planes)
