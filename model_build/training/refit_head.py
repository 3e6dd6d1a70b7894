"""Train the sub-plane head again on a finished backbone: after averaging weights, the feature maps are new ones."""

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader
from tqdm import tqdm

from model_build.data.datasets import AugmentedDataset
from model_build.data.labels import SUB_PLANES
from model_build.data.records import Dataset
from model_build.models.multi_task import MultiTaskNetwork
from model_build.models.sub_plane_head import SubPlaneHead
from model_build.recipe import Recipe
from model_build.training.losses import masked_cross_entropy

_REPEATS = 4  # augmented inputs per frame; the backbone computes their feature maps once
_EPOCHS = 12  # over all inputs
_BATCH_SIZE = 48
_PEAK_LR, _WEIGHT_DECAY, _LABEL_SMOOTHING = 2e-3, 0.05, 0.1


def refit_sub_plane_head(network: MultiTaskNetwork, data: Dataset, recipe: Recipe) -> None:
    """Replace the network's sub-plane head by one that is trained on its backbone, which does not change.

    Every frame of `data` has a sub-plane.
    """
    torch.manual_seed(recipe.seed)
    labels = torch.tensor([record.sub_plane for record in data.records]).repeat(_REPEATS)
    stages = _feature_maps(network, AugmentedDataset(data, recipe))
    head = SubPlaneHead(network.classifier.backbone.stage_channels, len(SUB_PLANES)).train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=_PEAK_LR, weight_decay=_WEIGHT_DECAY)
    steps = _EPOCHS * (len(labels) // _BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LR, total_steps=max(2, steps), pct_start=0.1)
    for _ in tqdm(range(_EPOCHS), desc="sub-plane head", unit="epoch", disable=None, leave=False):
        for rows in BatchSampler(torch.randperm(len(labels)).tolist(), _BATCH_SIZE, drop_last=True):
            logits = head(*(stage[rows].float() for stage in stages))
            loss = masked_cross_entropy(logits, labels[rows], _LABEL_SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    network.sub_planes = head.eval()


@torch.inference_mode()
def _feature_maps(network: MultiTaskNetwork, augmented: AugmentedDataset) -> list[Tensor]:
    """Return stages four to six of `_REPEATS` augmented inputs per frame, float16 [_REPEATS * N, C, h, w] each."""
    network.eval()
    batches: list[list[Tensor]] = []
    generator = torch.Generator()  # keeps the loader from drawing on the global one, which initializes the head
    for epoch in range(_REPEATS):
        augmented.epoch = epoch
        title, loader = f"augmented inputs {epoch + 1}/{_REPEATS}", DataLoader(augmented, 16, generator=generator)
        for inputs, _, _ in tqdm(loader, desc=title, disable=None, leave=False):
            frames = inputs.to(torch.float32, memory_format=torch.channels_last)
            *stages, _ = network.classifier.backbone.forward_features(frames)
            batches.append([stage.half() for stage in stages])
    return [torch.cat(stage).clone() for stage in zip(*batches, strict=True)]
