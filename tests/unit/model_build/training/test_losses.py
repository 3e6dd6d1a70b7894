import torch

from model_build.data.datasets import IGNORE_INDEX
from model_build.training.losses import masked_cross_entropy


def test_ignored_labels_give_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([1, IGNORE_INDEX, 2, IGNORE_INDEX])
    loss = masked_cross_entropy(logits, labels, 0.1)
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]], label_smoothing=0.1)
    assert torch.allclose(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[[1, 3]].abs().max() == 0
    assert masked_cross_entropy(logits, torch.full((4,), IGNORE_INDEX), 0.1).item() == 0  # and not NaN
