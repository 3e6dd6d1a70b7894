"""The loss of the two heads; frames without a label for a head do not train it."""

from torch import Tensor
from torch.nn import functional

from model_build.data.datasets import IGNORE_INDEX
from model_build.recipe import Recipe


def multi_task_loss(
    logits: tuple[Tensor, Tensor | None],
    planes: Tensor,
    sub_planes: Tensor,
    recipe: Recipe,
    soft_targets: Tensor | None = None,
) -> Tensor:
    """Return the plane loss plus the weighted sub-plane loss.

    The logits are [N, K], and [N, M] or None. The labels are int64 [N], `IGNORE_INDEX` where not known. `soft_targets`
    are a teacher's probabilities (Hinton et al. 2015, arXiv 1503.02531, at temperature 1) of the frames whose plane is
    known; they need a recipe that has a distillation.
    """
    plane_logits, sub_plane_logits = logits
    smoothing = recipe.training.label_smoothing
    loss = masked_cross_entropy(plane_logits, planes, smoothing)
    if soft_targets is not None and recipe.distillation is not None:
        known = planes != IGNORE_INDEX
        soft = functional.cross_entropy(plane_logits[known].float(), soft_targets, reduction="sum")
        soft = soft / known.sum().clamp(min=1)
        loss = recipe.distillation.label_weight * loss + recipe.distillation.soft_weight * soft
    if sub_plane_logits is not None and recipe.sub_planes is not None:
        loss = loss + recipe.sub_planes.weight * masked_cross_entropy(sub_plane_logits, sub_planes, smoothing)
    return loss


def masked_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Return the mean cross-entropy of the frames whose label is not `IGNORE_INDEX`; 0 where all labels are."""
    total = functional.cross_entropy(
        logits.float(), labels, ignore_index=IGNORE_INDEX, label_smoothing=label_smoothing, reduction="sum"
    )
    return total / (labels != IGNORE_INDEX).sum().clamp(min=1)
